#include "secrets/keyring/key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"
#include "secrets/envelope.h"

namespace bulwark::secrets {
namespace {

constexpr size_t kMaxFile = 16 << 10;
constexpr size_t kHexSize = 2 * kKeySize;

// Into locked memory, not through a string.
absl::StatusOr<SecretBytes> ReadAll(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.ok()) return ErrnoStatus("open key file", path);
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus("look at", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("read key file ", path, ": it is not a regular file"));
  }
  if ((info.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "read key file ", path, ": others than its owner may use it"));
  }
  if (info.st_size > static_cast<off_t>(kMaxFile)) {
    return absl::InvalidArgumentError(
        absl::StrCat("read key file ", path, ": it is too large"));
  }
  SecretBytes text(static_cast<size_t>(info.st_size));
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = read(fd.get(), text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read key file", path);
    if (n == 0) break;
    have += static_cast<size_t>(n);
  }
  return text;
}

bool IsSpace(uint8_t c) { return c == ' ' || c == '\t' || c == '\r'; }

// The line from `begin` to `end` without its comment and outer spaces.
void Trim(const uint8_t*& begin, const uint8_t*& end) {
  for (const uint8_t* p = begin; p < end; ++p) {
    if (*p == '#') end = p;
  }
  while (begin < end && IsSpace(*begin)) ++begin;
  while (begin < end && IsSpace(end[-1])) --end;
}

absl::Status WriteNewKey(int fd, const std::string& path) {
  const SecretBytes key = SecretBytes::Random(kKeySize);
  SecretBytes line(kHexSize + 1);  // sodium_bin2hex ends it with NUL
  sodium_bin2hex(reinterpret_cast<char*>(line.data()), line.size(), key.data(),
                 key.size());
  line.data()[kHexSize] = '\n';
  RETURN_IF_ERROR(os::WriteAll(fd, line.Reveal(), path));
  if (fsync(fd) != 0) return ErrnoStatus("flush", path);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<SecretBytes>> ReadKeyFile(const std::string& path) {
  ASSIGN_OR_RETURN(const SecretBytes text, ReadAll(path));
  std::vector<SecretBytes> keys;
  const uint8_t* const stop = text.data() + text.size();
  int number = 0;
  for (const uint8_t* next = text.data(); next < stop;) {
    const uint8_t* begin = next;
    const uint8_t* end = begin;
    while (end < stop && *end != '\n') ++end;
    next = end + 1;
    ++number;
    Trim(begin, end);
    if (begin == end) continue;
    SecretBytes key(kKeySize);
    size_t size = 0;
    if (static_cast<size_t>(end - begin) != kHexSize ||
        sodium_hex2bin(key.data(), key.size(),
                       reinterpret_cast<const char*>(begin), kHexSize, nullptr,
                       &size, nullptr) != 0 ||
        size != kKeySize) {
      return absl::InvalidArgumentError(
          absl::StrCat("read key file ", path, ": line ", number,
                       " is not a key of 64 hex digits"));
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("read key file ", path, ": it holds no key"));
  }
  return keys;
}

absl::Status CreateKeyFile(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  RETURN_IF_ERROR(os::MakeDirs(folder, 0755));
  const std::string draft = absl::StrCat(path, ".new");
  unlink(draft.c_str());  // a crash may have left it
  const UniqueFd fd(
      open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
  if (!fd.ok()) return ErrnoStatus("create", draft);
  const absl::Cleanup remove = [&draft] { unlink(draft.c_str()); };
  if (fchmod(fd.get(), 0400) != 0) return ErrnoStatus("set mode of", draft);
  RETURN_IF_ERROR(WriteNewKey(fd.get(), draft));
  // Unlike a rename, this replaces nothing.
  if (link(draft.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("create key file", path);
  }
  return os::SyncDir(folder);
}

}  // namespace bulwark::secrets
