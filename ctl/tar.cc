#include "ctl/tar.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::ctl {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kPiece = size_t{1} << 20;
constexpr int64_t kMaxUstarSize = 077777777777;
constexpr int64_t kMaxUstarId = 07777777;

// A field of octal digits, ended by NUL.
void Octal(char* field, size_t width, int64_t value) {
  std::snprintf(field, width, "%0*llo", static_cast<int>(width - 1),
                static_cast<unsigned long long>(value));
}

// One 512-byte ustar header; name and link are cut to what fits.
std::string UstarHeader(absl::string_view name, char type, mode_t mode,
                        int64_t size, int64_t mtime, absl::string_view link,
                        int64_t uid = 0, int64_t gid = 0) {
  std::string block(kBlock, '\0');
  char* p = block.data();
  std::memcpy(p, name.data(), std::min<size_t>(name.size(), 100));
  Octal(p + 100, 8, mode & 07777);
  Octal(p + 108, 8, std::min(uid, kMaxUstarId));
  Octal(p + 116, 8, std::min(gid, kMaxUstarId));
  Octal(p + 124, 12, std::min(size, kMaxUstarSize));
  Octal(p + 136, 12, std::clamp<int64_t>(mtime, 0, kMaxUstarSize));
  std::memset(p + 148, ' ', 8);
  p[156] = type;
  std::memcpy(p + 157, link.data(), std::min<size_t>(link.size(), 100));
  std::memcpy(p + 257, "ustar\00000", 8);
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  std::snprintf(p + 148, 8, "%06o", sum);
  return block;
}

// "LENGTH KEY=VALUE\n", where LENGTH counts itself.
std::string PaxRecord(absl::string_view key, absl::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (absl::StrCat(length).size() + rest != length) {
    length = absl::StrCat(length).size() + rest;
  }
  return absl::StrCat(length, " ", key, "=", value, "\n");
}

std::string Padded(std::string data) {
  data.resize((data.size() + kBlock - 1) / kBlock * kBlock);
  return data;
}

// The header, after an extended one if it needs that.
std::string Headers(absl::string_view name, char type, mode_t mode,
                    int64_t size, int64_t mtime, absl::string_view link,
                    int64_t uid, int64_t gid) {
  std::string records;
  if (uid > kMaxUstarId) records += PaxRecord("uid", absl::StrCat(uid));
  if (gid > kMaxUstarId) records += PaxRecord("gid", absl::StrCat(gid));
  if (name.size() > 100) records += PaxRecord("path", name);
  if (link.size() > 100) records += PaxRecord("linkpath", link);
  if (size > kMaxUstarSize) records += PaxRecord("size", absl::StrCat(size));
  std::string out;
  if (!records.empty()) {
    out = UstarHeader("././@PaxHeader", 'x', 0644,
                      static_cast<int64_t>(records.size()), 0, "");
    out += Padded(std::move(records));
  }
  return out + UstarHeader(name, type, mode, size, mtime, link, uid, gid);
}

absl::StatusOr<std::string> ReadLink(const std::string& path) {
  std::string target(4096, '\0');
  const ssize_t n = readlink(path.c_str(), target.data(), target.size());
  if (n < 0) return ErrnoStatus("read link", path);
  target.resize(static_cast<size_t>(n));
  return target;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TarFolder>> TarFolder::Open(std::string folder) {
  auto tar = std::unique_ptr<TarFolder>(new TarFolder(folder));
  RETURN_IF_ERROR(List(folder, "", tar->stack_));
  return tar;
}

std::unique_ptr<TarFolder> TarFolder::Of(std::string path, std::string name) {
  auto tar = std::unique_ptr<TarFolder>(new TarFolder(path));
  tar->stack_.push_back({std::move(path), std::move(name)});
  return tar;
}

void TarFolder::AddFile(std::string path, std::string name) {
  stack_.insert(stack_.begin(), {std::move(path), std::move(name)});
}

void TarFolder::LeaveOut(IgnoreList ignored, std::vector<std::string> always) {
  ignored_ = std::move(ignored);
  always_.insert(always.begin(), always.end());
}

bool TarFolder::IsLeftOut(const std::string& name) const {
  return !ignored_.empty() && always_.count(name) == 0 &&
         ignored_.Ignores(name);
}

// Pushes the folder's entries so that they come in the order of their names.
absl::Status TarFolder::List(const std::string& path, const std::string& name,
                             std::vector<Entry>& stack) {
  DIR* dir = opendir(path.c_str());
  if (dir == nullptr) return ErrnoStatus("open folder", path);
  absl::Cleanup close_dir = [dir] { closedir(dir); };
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir)) {
    const absl::string_view child = entry->d_name;
    if (child != "." && child != "..") names.emplace_back(child);
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus("read folder", path);
  std::sort(names.rbegin(), names.rend());
  for (const std::string& child : names) {
    stack.push_back({absl::StrCat(path, "/", child),
                     absl::StrCat(name, name.empty() ? "" : "/", child)});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<struct stat>> TarFolder::Visit(
    const Entry& entry, std::vector<Entry>& stack) const {
  struct stat info {};
  if (lstat(entry.path.c_str(), &info) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return ErrnoStatus("stat", entry.path);
  }
  const bool left_out = IsLeftOut(entry.name);
  if (!S_ISDIR(info.st_mode)) {
    const bool known = S_ISREG(info.st_mode) || S_ISLNK(info.st_mode);
    if (left_out || !known) return std::nullopt;
    return info;
  }
  if (left_out) {
    // A file that is sent always may lie in it, too.
    const std::string prefix = entry.name + "/";
    const auto below = always_.lower_bound(prefix);
    const bool needed =
        ignored_.HasExceptions() ||
        (below != always_.end() && absl::StartsWith(*below, prefix));
    if (!needed) return std::nullopt;
  }
  RETURN_IF_ERROR(List(entry.path, entry.name, stack));
  if (left_out) return std::nullopt;
  return info;
}

absl::StatusOr<std::vector<TarFolder::Listed>> TarFolder::ListAll() const {
  std::vector<Listed> all;
  std::vector<Entry> stack = stack_;
  while (!stack.empty()) {
    Entry entry = std::move(stack.back());
    stack.pop_back();
    ASSIGN_OR_RETURN(const std::optional<struct stat> info,
                     Visit(entry, stack));
    if (!info.has_value()) continue;
    std::string target;
    if (S_ISLNK(info->st_mode)) {
      ASSIGN_OR_RETURN(target, ReadLink(entry.path));
    }
    all.push_back({std::move(entry.path), std::move(entry.name), *info,
                   std::move(target)});
  }
  return all;
}

absl::StatusOr<std::string> TarFolder::Header(const Entry& entry) {
  ASSIGN_OR_RETURN(const std::optional<struct stat> found,
                   Visit(entry, stack_));
  if (!found.has_value() || skipped_.count(entry.name) > 0) return "";
  struct stat info = *found;
  const int64_t mtime = info.st_mtim.tv_sec;
  const int64_t uid = keep_owners_ ? info.st_uid : 0;
  const int64_t gid = keep_owners_ ? info.st_gid : 0;
  if (S_ISDIR(info.st_mode)) {
    return Headers(entry.name + "/", '5', info.st_mode, 0, mtime, "", uid, gid);
  }
  if (S_ISLNK(info.st_mode)) {
    ASSIGN_OR_RETURN(std::string target, ReadLink(entry.path));
    return Headers(entry.name, '2', 0777, 0, mtime, target, uid, gid);
  }
  UniqueFd file(
      open(entry.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.ok()) {
    if (errno == ENOENT) return "";
    return ErrnoStatus("open", entry.path);
  }
  // Of the file that is open now, not of the name.
  if (fstat(file.get(), &info) != 0) return ErrnoStatus("stat", entry.path);
  if (!S_ISREG(info.st_mode)) return "";
  left_ = info.st_size;
  padding_ = (kBlock - left_ % kBlock) % kBlock;
  file_name_ = entry.path;
  if (left_ > 0) file_ = std::move(file);
  return Headers(entry.name, '0', info.st_mode, left_, mtime, "", uid, gid);
}

absl::StatusOr<std::string> TarFolder::FilePiece() {
  std::string piece(std::min<int64_t>(left_, kPiece), '\0');
  ssize_t n;
  do {
    n = read(file_.get(), piece.data(), piece.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return ErrnoStatus("read", file_name_);
  if (n == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("read ", file_name_, ": it shrank while it was read"));
  }
  piece.resize(static_cast<size_t>(n));
  left_ -= n;
  if (left_ == 0) {
    piece.append(static_cast<size_t>(padding_), '\0');
    file_.Reset();
  }
  return piece;
}

absl::StatusOr<std::string> TarFolder::Next() {
  if (file_.ok()) return FilePiece();
  // Many small entries make one piece.
  std::string piece;
  while (!stack_.empty() && piece.size() < kPiece / 2) {
    const Entry entry = std::move(stack_.back());
    stack_.pop_back();
    ASSIGN_OR_RETURN(std::string header, Header(entry));
    piece += header;
    if (!file_.ok()) continue;
    if (left_ > static_cast<int64_t>(kPiece / 2)) break;
    while (file_.ok()) {
      ASSIGN_OR_RETURN(std::string data, FilePiece());
      piece += data;
    }
  }
  if (piece.empty() && !ended_) {
    ended_ = true;
    return std::string(2 * kBlock, '\0');
  }
  return piece;
}

}  // namespace bulwark::ctl
