#include "ctl/untar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace bulwark::ctl {
namespace {

constexpr size_t kBlock = 512;
constexpr int64_t kMaxExtended = 1 << 20;
constexpr size_t kMaxDepth = 256;

absl::Status Damaged(absl::string_view why) {
  return absl::DataLossError(absl::StrCat("read archive: ", why));
}

// A field of octal digits, or GNU's binary form.
absl::StatusOr<int64_t> Number(absl::string_view field) {
  if (!field.empty() && (static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    uint64_t value = static_cast<unsigned char>(field[0]) & 0x7f;
    for (size_t i = 1; i < field.size(); ++i) {
      if (value >> 55 != 0) return Damaged("a number is too large");
      value = value << 8 | static_cast<unsigned char>(field[i]);
    }
    return static_cast<int64_t>(value);
  }
  int64_t value = 0;
  for (const char c : field) {
    if (c == ' ' || c == '\0') continue;
    if (c < '0' || c > '7' || value > int64_t{1} << 58) {
      return Damaged("a number is none");
    }
    value = value * 8 + (c - '0');
  }
  return value;
}

std::string Text(absl::string_view field) {
  return std::string(field.substr(0, field.find('\0')));
}

bool SumIsRight(absl::string_view block, int64_t sum) {
  int64_t found = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    found += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
  }
  return found == sum;
}

}  // namespace

absl::Status UntarParser::Add(absl::string_view piece) {
  while (!piece.empty()) {
    if (left_ > 0) {
      const absl::string_view data = piece.substr(
          0, static_cast<size_t>(std::min<int64_t>(left_, piece.size())));
      piece.remove_prefix(data.size());
      left_ -= static_cast<int64_t>(data.size());
      if (in_extended_) {
        extended_.append(data.data(), data.size());
      } else {
        RETURN_IF_ERROR(OnData(data));
      }
      if (left_ > 0) continue;
      if (in_extended_) {
        RETURN_IF_ERROR(Extended());
      } else {
        RETURN_IF_ERROR(OnEntryEnd());
      }
      in_entry_ = in_extended_ = false;
      continue;
    }
    if (padding_ > 0) {
      const size_t n =
          static_cast<size_t>(std::min<int64_t>(padding_, piece.size()));
      piece.remove_prefix(n);
      padding_ -= static_cast<int64_t>(n);
      continue;
    }
    const size_t n = std::min(kBlock - block_.size(), piece.size());
    block_.append(piece.data(), n);
    piece.remove_prefix(n);
    if (block_.size() < kBlock) break;
    const std::string block = std::move(block_);
    block_.clear();
    RETURN_IF_ERROR(Header(block));
  }
  return absl::OkStatus();
}

absl::Status UntarParser::End() const {
  if (left_ > 0 || !block_.empty()) return Damaged("it is cut off");
  return absl::OkStatus();
}

absl::Status UntarParser::Header(absl::string_view block) {
  if (block.find_first_not_of('\0') == absl::string_view::npos) {
    return absl::OkStatus();  // the end, or what follows it
  }
  ASSIGN_OR_RETURN(const int64_t sum, Number(block.substr(148, 8)));
  if (!SumIsRight(block, sum)) return Damaged("a checksum is wrong");
  UntarEntry entry;
  entry.name = Text(block.substr(0, 100));
  const std::string prefix = Text(block.substr(345, 155));
  if (block.substr(257, 5) == "ustar" && !prefix.empty()) {
    entry.name = absl::StrCat(prefix, "/", entry.name);
  }
  entry.type = block[156] == '\0' ? '0' : block[156];
  entry.link = Text(block.substr(157, 100));
  ASSIGN_OR_RETURN(const int64_t mode, Number(block.substr(100, 8)));
  entry.mode = static_cast<mode_t>(mode & 07777);
  ASSIGN_OR_RETURN(entry.uid, Number(block.substr(108, 8)));
  ASSIGN_OR_RETURN(entry.gid, Number(block.substr(116, 8)));
  ASSIGN_OR_RETURN(entry.size, Number(block.substr(124, 12)));
  ASSIGN_OR_RETURN(entry.mtime, Number(block.substr(136, 12)));
  in_extended_ = entry.type == 'x' || entry.type == 'g';
  if (!in_extended_) {
    for (const auto& [key, value] : records_) {
      if (key == "path") entry.name = value;
      if (key == "linkpath") entry.link = value;
      bool good = true;
      if (key == "size") good = absl::SimpleAtoi(value, &entry.size);
      if (key == "uid") good = absl::SimpleAtoi(value, &entry.uid);
      if (key == "gid") good = absl::SimpleAtoi(value, &entry.gid);
      if (!good) return Damaged("a number is none");
    }
    records_.clear();
    if (entry.type != '0' && entry.type != '7') entry.size = 0;
  } else if (entry.size > kMaxExtended) {
    return Damaged("an extended header is too large");
  }
  if (entry.size < 0) return Damaged("a size is negative");
  left_ = entry.size;
  padding_ = (kBlock - left_ % kBlock) % kBlock;
  in_entry_ = true;
  extended_.clear();
  if (in_extended_) return absl::OkStatus();
  RETURN_IF_ERROR(OnEntry(entry));
  if (left_ > 0) return absl::OkStatus();
  in_entry_ = false;
  return OnEntryEnd();
}

absl::Status UntarParser::Extended() {
  absl::string_view rest = extended_;
  while (!rest.empty()) {
    const size_t space = rest.find(' ');
    size_t length = 0;
    if (space == absl::string_view::npos ||
        !absl::SimpleAtoi(rest.substr(0, space), &length) ||
        length <= space + 1 || length > rest.size()) {
      return Damaged("an extended header is none");
    }
    const absl::string_view record =
        rest.substr(space + 1, length - space - 2);  // without the newline
    const size_t equals = record.find('=');
    if (equals == absl::string_view::npos) {
      return Damaged("an extended header is none");
    }
    records_.emplace_back(record.substr(0, equals), record.substr(equals + 1));
    rest.remove_prefix(length);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Untar::Parts(
    const std::string& name) const {
  std::vector<std::string> parts;
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return absl::InvalidArgumentError(
          absl::StrCat("unpack \"", name, "\": \"..\" is refused"));
    }
    parts.emplace_back(part);
  }
  if (parts.size() > kMaxDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("unpack \"", name, "\": too deep"));
  }
  if (!options_.has_first || parts.empty()) return parts;
  if (options_.first.empty()) {
    parts.erase(parts.begin());
  } else {
    parts[0] = options_.first;
  }
  return parts;
}

absl::StatusOr<UniqueFd> Untar::OpenParent(
    const std::vector<std::string>& parts) {
  UniqueFd current(fcntl(folder_, F_DUPFD_CLOEXEC, 3));
  if (!current.ok()) return ErrnoStatus("open", "folder");
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    if (mkdirat(current.get(), parts[i].c_str(), 0755) != 0 &&
        errno != EEXIST) {
      return ErrnoStatus("make folder", parts[i]);
    }
    UniqueFd next(openat(current.get(), parts[i].c_str(),
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next.ok()) return ErrnoStatus("open folder", parts[i]);
    current = std::move(next);
  }
  return current;
}

absl::Status Untar::Make(int parent, const std::string& name,
                         const UntarEntry& entry) {
  const char* path = name.c_str();
  struct stat st;
  const bool exists = fstatat(parent, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (entry.type == '5') {
    if (exists && S_ISDIR(st.st_mode)) return absl::OkStatus();
    if (exists) {
      return absl::FailedPreconditionError(absl::StrCat(
          "unpack ", entry.name, ": something else has that name"));
    }
    return mkdirat(parent, path, 0700) == 0
               ? absl::OkStatus()
               : ErrnoStatus("make folder", entry.name);
  }
  if (exists && S_ISDIR(st.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("unpack ", entry.name, ": a folder has that name"));
  }
  if (exists && unlinkat(parent, path, 0) != 0) {
    return ErrnoStatus("replace", entry.name);
  }
  if (entry.type == '2') {
    return symlinkat(entry.link.c_str(), parent, path) == 0
               ? absl::OkStatus()
               : ErrnoStatus("make link", entry.name);
  }
  if (entry.type == '1') {
    ASSIGN_OR_RETURN(const std::vector<std::string> target, Parts(entry.link));
    if (target.empty()) return Damaged("a hard link leads nowhere");
    ASSIGN_OR_RETURN(const UniqueFd dir, OpenParent(target));
    return linkat(dir.get(), target.back().c_str(), parent, path, 0) == 0
               ? absl::OkStatus()
               : ErrnoStatus("link", entry.name);
  }
  if (entry.type != '0' && entry.type != '7') return absl::OkStatus();
  file_.Reset(openat(parent, path,
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                     0600));
  return file_.ok() ? absl::OkStatus() : ErrnoStatus("create", entry.name);
}

absl::Status Untar::OnEntry(const UntarEntry& entry) {
  current_ = entry;
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, Parts(entry.name));
  if (parts.empty()) return absl::OkStatus();  // the folder itself
  if (absl::string_view("01257").find(entry.type) == absl::string_view::npos) {
    // Devices and pipes are left out of folders.
    if (parts.size() > 1 || options_.first.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(
        absl::StrCat("copy ", entry.name, ": it is no file, folder or link"));
  }
  ASSIGN_OR_RETURN(const UniqueFd parent, OpenParent(parts));
  RETURN_IF_ERROR(Make(parent.get(), parts.back(), entry));
  if (entry.type == '5')
    folders_.emplace_back(absl::StrJoin(parts, "/"), entry);
  if (options_.keep_owners && !file_.ok() && entry.type != '1' &&
      fchownat(parent.get(), parts.back().c_str(),
               static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid),
               AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus("set owner of", entry.name);
  }
  return absl::OkStatus();
}

absl::Status Untar::OnData(absl::string_view data) {
  while (file_.ok() && !data.empty()) {
    const ssize_t n = write(file_.get(), data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("write", current_.name);
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status Untar::OnEntryEnd() {
  if (!file_.ok()) return absl::OkStatus();
  const UniqueFd file = std::move(file_);
  file_.Reset();
  if (options_.keep_owners &&
      fchown(file.get(), static_cast<uid_t>(current_.uid),
             static_cast<gid_t>(current_.gid)) != 0) {
    return ErrnoStatus("set owner of", current_.name);
  }
  // Without its owner, a file does not act for anybody either.
  const mode_t mask = options_.keep_owners ? 07777 : 0777;
  if (fchmod(file.get(), current_.mode & mask) != 0) {
    return ErrnoStatus("set mode of", current_.name);
  }
  const timespec times[2] = {{current_.mtime, 0}, {current_.mtime, 0}};
  futimens(file.get(), times);
  return absl::OkStatus();
}

absl::Status Untar::Finish() {
  RETURN_IF_ERROR(End());
  // The innermost first: its parent may not be writable afterwards.
  for (auto it = folders_.rbegin(); it != folders_.rend(); ++it) {
    const std::vector<std::string> parts = absl::StrSplit(it->first, '/');
    ASSIGN_OR_RETURN(const UniqueFd parent, OpenParent(parts));
    const UniqueFd dir(openat(parent.get(), parts.back().c_str(),
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir.ok()) continue;  // a later entry replaced it
    if (fchmod(dir.get(), it->second.mode & 01777) != 0) {
      return ErrnoStatus("set mode of", it->first);
    }
    const timespec times[2] = {{it->second.mtime, 0}, {it->second.mtime, 0}};
    futimens(dir.get(), times);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::ctl
