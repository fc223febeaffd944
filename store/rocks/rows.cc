#include "store/rocks/rows.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::store::rows {
namespace {

enum EntryOp : char { kPut = 1, kCreate = 2, kDelete = 3 };

absl::Status Damaged(absl::string_view row, absl::string_view what) {
  std::string name;  // log rows end in binary
  for (unsigned char c : row) {
    absl::StrAppend(&name, c >= 0x20 && c < 0x7f
                               ? std::string(1, static_cast<char>(c))
                               : absl::StrCat("\\x", absl::Hex(c)));
  }
  return absl::DataLossError(absl::StrCat("read row \"", name, "\": ", what));
}

void Append64(std::string& out, uint64_t n) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(n >> shift));
  }
}

void AppendBytes(std::string& out, absl::string_view bytes) {
  const auto size = static_cast<uint32_t>(bytes.size());
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(size >> shift));
  }
  absl::StrAppend(&out, bytes);
}

// Takes a big-endian number of `width` bytes off the front of `in`.
bool Take(absl::string_view& in, size_t width, uint64_t& n) {
  if (in.size() < width) return false;
  n = 0;
  for (size_t i = 0; i < width; ++i) {
    n = n << 8 | static_cast<unsigned char>(in[i]);
  }
  in.remove_prefix(width);
  return true;
}

bool TakeBytes(absl::string_view& in, absl::string_view& bytes) {
  uint64_t size = 0;
  if (!Take(in, 4, size) || in.size() < size) return false;
  bytes = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

}  // namespace

std::string ObjectRow(const Key& key) {
  return absl::StrCat(kObjects, key.ToString());
}

std::string LogRow(uint64_t revision) {
  std::string row(kLog);
  Append64(row, revision);
  return row;
}

absl::StatusOr<Key> DecodeObjectRow(absl::string_view row) {
  if (absl::StartsWith(row, kObjects)) {
    absl::StatusOr<Key> key = Key::Parse(row.substr(kObjects.size()));
    if (key.ok()) return key;
  }
  return Damaged(row, "not the name of an object");
}

absl::StatusOr<uint64_t> DecodeLogRow(absl::string_view row) {
  absl::string_view rest = row;
  uint64_t revision = 0;
  if (!absl::StartsWith(row, kLog)) return Damaged(row, "not a log row");
  rest.remove_prefix(kLog.size());
  if (!Take(rest, 8, revision) || !rest.empty()) {
    return Damaged(row, "not a log row");
  }
  return revision;
}

std::string EncodeNumber(uint64_t number) {
  std::string out;
  Append64(out, number);
  return out;
}

absl::StatusOr<uint64_t> DecodeNumber(absl::string_view row,
                                      absl::string_view bytes) {
  uint64_t number = 0;
  if (!Take(bytes, 8, number) || !bytes.empty()) {
    return Damaged(row, "not a number");
  }
  return number;
}

std::string EncodeObject(uint64_t revision, absl::string_view value) {
  std::string out;
  out.reserve(8 + value.size());
  Append64(out, revision);
  absl::StrAppend(&out, value);
  return out;
}

absl::StatusOr<Stored> DecodeObject(absl::string_view row,
                                    absl::string_view bytes) {
  Stored stored;
  if (!Take(bytes, 8, stored.revision) || stored.revision == 0) {
    return Damaged(row, "no revision");
  }
  stored.value = std::string(bytes);
  return stored;
}

std::string EncodeEntry(const CommitEntry& entry) {
  std::string out;
  Append64(out, static_cast<uint64_t>(absl::ToUnixMicros(entry.time)));
  for (const Change& change : entry.changes) {
    const bool put = change.op == Change::Op::kPut;
    out.push_back(put ? (change.created ? kCreate : kPut) : kDelete);
    AppendBytes(out, change.key.ToString());
    AppendBytes(out, put ? change.value : change.previous);
  }
  return out;
}

absl::StatusOr<absl::Time> DecodeEntryTime(absl::string_view row,
                                           absl::string_view bytes) {
  uint64_t micros = 0;
  if (!Take(bytes, 8, micros)) return Damaged(row, "no time");
  return absl::FromUnixMicros(static_cast<int64_t>(micros));
}

absl::StatusOr<CommitEntry> DecodeEntry(absl::string_view row,
                                        absl::string_view bytes) {
  CommitEntry entry;
  ASSIGN_OR_RETURN(entry.revision, DecodeLogRow(row));
  ASSIGN_OR_RETURN(entry.time, DecodeEntryTime(row, bytes));
  bytes.remove_prefix(8);
  while (!bytes.empty()) {
    const char op = bytes.front();
    bytes.remove_prefix(1);
    absl::string_view name, value;
    if (op < kPut || op > kDelete || !TakeBytes(bytes, name) ||
        !TakeBytes(bytes, value)) {
      return Damaged(row, "malformed change");
    }
    absl::StatusOr<Key> key = Key::Parse(name);
    if (!key.ok()) return Damaged(row, key.status().message());
    Change change;
    change.revision = entry.revision;
    change.op = op == kDelete ? Change::Op::kDelete : Change::Op::kPut;
    change.key = *std::move(key);
    change.created = op == kCreate;
    (op == kDelete ? change.previous : change.value) = std::string(value);
    entry.changes.push_back(std::move(change));
  }
  if (entry.changes.empty()) return Damaged(row, "no change");
  return entry;
}

std::string EndOf(absl::string_view prefix) {
  std::string end(prefix);
  while (static_cast<unsigned char>(end.back()) == 0xff) end.pop_back();
  ++end.back();
  return end;
}

}  // namespace bulwark::store::rows
