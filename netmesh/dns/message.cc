#include "netmesh/dns/message.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace bulwark::netmesh::dns {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxLabel = 63;
constexpr size_t kOptSize = 11;

uint8_t Byte(absl::string_view bytes, size_t at) {
  return static_cast<uint8_t>(bytes[at]);
}

void Append16(std::string* out, uint16_t value) {
  out->push_back(static_cast<char>(value >> 8));
  out->push_back(static_cast<char>(value));
}

void Append32(std::string* out, uint32_t value) {
  Append16(out, static_cast<uint16_t>(value >> 16));
  Append16(out, static_cast<uint16_t>(value));
}

// Moves `*at` behind a name that may end in a pointer.
bool SkipName(absl::string_view packet, size_t* at) {
  while (*at < packet.size()) {
    uint8_t length = Byte(packet, *at);
    if (length == 0) {
      *at += 1;
      return true;
    }
    if ((length & 0xc0) == 0xc0) {
      *at += 2;
      return *at <= packet.size();
    }
    if (length > kMaxLabel) return false;
    *at += 1 + length;
  }
  return false;
}

// Walks the records behind the question, looking for OPT.
bool ReadRecords(absl::string_view packet, Query* query) {
  size_t at = query->question_end;
  size_t count = 0;
  for (size_t field : {6, 8, 10}) count += Read16(packet, field);
  for (size_t i = 0; i < count; ++i) {
    size_t start = at;
    if (!SkipName(packet, &at) || packet.size() - at < 10) return false;
    uint16_t type = Read16(packet, at);
    size_t size = Read16(packet, at + 8);
    if (type == kOpt) {
      // One at most, owned by the root (RFC 6891, 6.1.1 and 6.1.2).
      if (query->edns || at != start + 1) return false;
      query->edns = true;
      query->udp_size =
          std::max<uint16_t>(Read16(packet, at + 2), kPlainUdpSize);
      query->edns_version = Byte(packet, at + 5);
    }
    at += 10;
    if (packet.size() - at < size) return false;
    at += size;
  }
  return true;
}

}  // namespace

uint16_t Read16(absl::string_view bytes, size_t at) {
  if (at + 2 > bytes.size()) return 0;
  return static_cast<uint16_t>(Byte(bytes, at) << 8 | Byte(bytes, at + 1));
}

void Write16(std::string* bytes, size_t at, uint16_t value) {
  (*bytes)[at] = static_cast<char>(value >> 8);
  (*bytes)[at + 1] = static_cast<char>(value);
}

size_t Query::UdpLimit() const {
  return edns ? std::min<size_t>(udp_size, kEdnsUdpSize) : kPlainUdpSize;
}

bool ReadPlainName(absl::string_view packet, size_t* at, std::string* name,
                   int* labels) {
  const size_t start = *at;
  name->clear();
  *labels = 0;
  while (*at < packet.size()) {
    size_t length = Byte(packet, *at);
    *at += 1;
    if (length == 0) return true;
    if (length > kMaxLabel || packet.size() - *at < length ||
        *at + length + 1 - start > kMaxName) {
      return false;
    }
    if (*labels > 0) name->push_back('.');
    for (char c : packet.substr(*at, length)) {
      unsigned char u = static_cast<unsigned char>(c);
      if (absl::ascii_isalnum(u) || c == '-' || c == '_') {
        name->push_back(absl::ascii_tolower(u));
      } else {
        absl::StrAppendFormat(name, "\\%03d", u);
      }
    }
    *at += length;
    *labels += 1;
  }
  return false;
}

ParseResult ParseQuery(absl::string_view packet, Query* query) {
  *query = Query{};
  if (packet.size() < kHeaderSize) return ParseResult::kDrop;
  query->id = Read16(packet, 0);
  query->flags = Read16(packet, 2);
  if (query->flags & kQr) return ParseResult::kDrop;
  if (query->flags & kOpcodeMask) return ParseResult::kNotImp;
  if (Read16(packet, 4) != 1) return ParseResult::kFormErr;
  size_t at = kHeaderSize;
  if (!ReadPlainName(packet, &at, &query->name, &query->labels) ||
      packet.size() - at < 4) {
    return ParseResult::kFormErr;
  }
  query->type = Read16(packet, at);
  query->klass = Read16(packet, at + 2);
  query->question_end = at + 4;
  if (!ReadRecords(packet, query)) return ParseResult::kFormErr;
  return ParseResult::kOk;
}

bool AppendName(std::string* out, absl::string_view name) {
  const size_t before = out->size();
  for (absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.size() > kMaxLabel) {
      out->resize(before);
      return false;
    }
    out->push_back(static_cast<char>(label.size()));
    out->append(label.data(), label.size());
  }
  out->push_back('\0');
  if (out->size() - before > kMaxName) {
    out->resize(before);
    return false;
  }
  return true;
}

bool Matches(absl::string_view query, size_t question_end,
             absl::string_view answer) {
  if (query.size() < question_end || answer.size() < question_end ||
      Read16(query, 0) != Read16(answer, 0) || !(Read16(answer, 2) & kQr) ||
      Read16(answer, 4) != 1) {
    return false;
  }
  // Lengths of labels are below 64, letters above: ignoring case in both is
  // ignoring it in the letters alone. Type and class follow the name.
  const size_t size = question_end - kHeaderSize - 4;
  return absl::EqualsIgnoreCase(query.substr(kHeaderSize, size),
                                answer.substr(kHeaderSize, size)) &&
         query.substr(question_end - 4, 4) ==
             answer.substr(question_end - 4, 4);
}

Answer::Answer(absl::string_view packet, const Query& query, size_t limit)
    : query_(query),
      limit_(limit - (query.edns ? kOptSize : 0)),
      flags_(kQr | kRa | (query.flags & (kOpcodeMask | kRd))) {
  bytes_ = std::string(packet.substr(0, query.question_end));
  bytes_.resize(std::max(bytes_.size(), kHeaderSize));
  for (size_t field = 2; field < kHeaderSize; field += 2) {
    Write16(&bytes_, field, 0);
  }
  if (query.question_end > kHeaderSize) Write16(&bytes_, 4, 1);
}

bool Answer::Add(Section section, absl::string_view owner, uint16_t type,
                 uint32_t ttl, absl::string_view data) {
  const size_t before = bytes_.size();
  if (owner.empty()) {
    Append16(&bytes_, 0xc000 | kHeaderSize);  // a pointer to the question
  } else if (!AppendName(&bytes_, owner)) {
    return false;
  }
  Append16(&bytes_, type);
  Append16(&bytes_, kClassIn);
  Append32(&bytes_, ttl);
  Append16(&bytes_, static_cast<uint16_t>(data.size()));
  bytes_.append(data.data(), data.size());
  if (bytes_.size() > limit_) {
    bytes_.resize(before);
    return false;
  }
  Write16(&bytes_, section, Read16(bytes_, section) + 1);
  return true;
}

std::string Answer::Finish() {
  Write16(&bytes_, 2, flags_ | (rcode_ & kRcodeMask));
  if (query_.edns) {
    bytes_.push_back('\0');
    Append16(&bytes_, kOpt);
    Append16(&bytes_, kEdnsUdpSize);
    bytes_.push_back(static_cast<char>(rcode_ >> 4));
    bytes_.append(5, '\0');
    Write16(&bytes_, kAdditional, Read16(bytes_, kAdditional) + 1);
  }
  return std::move(bytes_);
}

std::string EmptyAnswer(absl::string_view packet, const Query& query,
                        uint16_t rcode, uint16_t flags) {
  Answer answer(packet, query, kMaxMessage);
  answer.SetRcode(rcode);
  answer.SetFlag(flags);
  return answer.Finish();
}

}  // namespace bulwark::netmesh::dns
