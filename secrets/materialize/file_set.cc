#include "secrets/materialize/file_set.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/rollback.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::secrets {
namespace {

constexpr char kData[] = "..data";
constexpr char kNextData[] = "..data_next";
// The container's user enters and lists; nobody writes.
constexpr mode_t kDirectoryMode = 0555;

struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

absl::Status WriteFile(const std::string& path, const PlainFile& file,
                       const Owner& owner) {
  const UniqueFd fd(open(
      path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0));
  if (!fd.ok()) return ErrnoStatus("create", path);
  RETURN_IF_ERROR(os::WriteAll(fd.get(), file.content.Reveal(), path));
  if (fchown(fd.get(), owner.uid, owner.gid) != 0) {
    return ErrnoStatus("set owner of", path);
  }
  // Last: fchown clears bits.
  if (fchmod(fd.get(), file.mode & 0777) != 0) {
    return ErrnoStatus("set mode of", path);
  }
  return absl::OkStatus();
}

// Whether `path` holds this content. Read piecewise into locked memory.
bool Holds(const std::string& path, const PlainFile& file) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info;
  if (!fd.ok() || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) ||
      (info.st_mode & 0777) != (file.mode & 0777) ||
      static_cast<size_t>(info.st_size) != file.content.size()) {
    return false;
  }
  SecretBytes found(file.content.size());
  size_t have = 0;
  while (have < found.size()) {
    const ssize_t n = pread(fd.get(), found.data() + have, found.size() - have,
                            static_cast<off_t>(have));
    if (n <= 0) return false;
    have += static_cast<size_t>(n);
  }
  return sodium_memcmp(found.data(), file.content.data(), found.size()) == 0;
}

absl::Status MakeDirectory(const std::string& path, const Owner& owner) {
  if (mkdir(path.c_str(), 0700) != 0) return ErrnoStatus("make", path);
  if (chown(path.c_str(), owner.uid, owner.gid) != 0) {
    return ErrnoStatus("set owner of", path);
  }
  if (chmod(path.c_str(), kDirectoryMode) != 0) {
    return ErrnoStatus("set mode of", path);
  }
  return absl::OkStatus();
}

// A symbolic link in place of whatever has that name.
absl::Status Link(const std::string& target, const std::string& path,
                  const std::string& draft) {
  if (unlink(draft.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove", draft);
  }
  if (symlink(target.c_str(), draft.c_str()) != 0) {
    return ErrnoStatus("link", draft);
  }
  if (rename(draft.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("replace", path);
  }
  return absl::OkStatus();
}

std::string ReadLink(const std::string& path) {
  char target[256];
  const ssize_t n = readlink(path.c_str(), target, sizeof(target));
  return n > 0 ? std::string(target, static_cast<size_t>(n)) : "";
}

absl::StatusOr<bool> IsCurrent(const std::string& directory,
                               const std::vector<PlainFile>& files) {
  const std::string current = ReadLink(absl::StrCat(directory, "/", kData));
  if (current.empty()) return false;
  const std::string data = absl::StrCat(directory, "/", current);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, os::ListDir(data));
  if (names.size() != files.size()) return false;
  for (const PlainFile& file : files) {
    if (!Holds(absl::StrCat(data, "/", file.name), file)) return false;
    if (ReadLink(absl::StrCat(directory, "/", file.name)) !=
        absl::StrCat(kData, "/", file.name)) {
      return false;
    }
  }
  return true;
}

// Takes away what is neither a wanted name nor the current data.
absl::Status Sweep(const std::string& directory,
                   const std::vector<PlainFile>& files) {
  std::set<std::string> wanted = {
      kData, ReadLink(absl::StrCat(directory, "/", kData))};
  for (const PlainFile& file : files) wanted.insert(file.name);
  ASSIGN_OR_RETURN(const std::vector<std::string> names,
                   os::ListDir(directory));
  for (const std::string& name : names) {
    if (wanted.contains(name)) continue;
    RETURN_IF_ERROR(os::RemoveTree(absl::StrCat(directory, "/", name)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileSet(const std::string& directory,
                          const std::vector<PlainFile>& files) {
  struct stat info;
  if (lstat(directory.c_str(), &info) != 0) {
    if (errno != ENOENT) return ErrnoStatus("look at", directory);
    RETURN_IF_ERROR(MakeDirectory(directory, Owner()));
    if (lstat(directory.c_str(), &info) != 0) {
      return ErrnoStatus("look at", directory);
    }
  }
  const Owner owner = {info.st_uid, info.st_gid};
  ASSIGN_OR_RETURN(const bool current, IsCurrent(directory, files));
  if (current) return Sweep(directory, files);
  uint8_t random[8];
  randombytes_buf(random, sizeof(random));
  const std::string data =
      absl::StrCat("..", absl::BytesToHexString(absl::string_view(
                             reinterpret_cast<char*>(random), sizeof(random))));
  const std::string data_path = absl::StrCat(directory, "/", data);
  Rollback rollback;
  rollback.Add([&data_path] { os::RemoveTree(data_path).IgnoreError(); });
  RETURN_IF_ERROR(MakeDirectory(data_path, owner));
  for (const PlainFile& file : files) {
    RETURN_IF_ERROR(
        WriteFile(absl::StrCat(data_path, "/", file.name), file, owner));
  }
  const std::string draft = absl::StrCat(directory, "/", kNextData);
  RETURN_IF_ERROR(Link(data, absl::StrCat(directory, "/", kData), draft));
  rollback.Commit();
  for (const PlainFile& file : files) {
    RETURN_IF_ERROR(Link(absl::StrCat(kData, "/", file.name),
                         absl::StrCat(directory, "/", file.name), draft));
  }
  return Sweep(directory, files);
}

absl::Status WriteSingleFile(const std::string& path, const PlainFile& file) {
  if (Holds(path, file)) return absl::OkStatus();
  Owner owner;
  struct stat info;
  if (lstat(path.c_str(), &info) == 0) owner = {info.st_uid, info.st_gid};
  const std::string draft = path + ".next";
  if (unlink(draft.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus("remove", draft);
  }
  RETURN_IF_ERROR(WriteFile(draft, file, owner));
  if (rename(draft.c_str(), path.c_str()) != 0) {
    return ErrnoStatus("replace", path);
  }
  return absl::OkStatus();
}

}  // namespace bulwark::secrets
