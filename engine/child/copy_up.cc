#include "engine/child/copy_up.h"

#include <asm/stat.h>
#include <linux/errno.h>

#include "engine/child/paths.h"
#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

constexpr int kMaxDepth = 32;
constexpr unsigned kTypeLink = 0120000;
constexpr size_t kChunk = size_t{1} << 30;

// The head of struct linux_dirent64.
struct DirectoryEntry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[1];
};

bool IsDots(const char* name) {
  return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

// Owner, mode and times of `name` in `dir`, as they are in `st`.
int CopyAttributes(int dir, const char* name, const struct stat& st) {
  int result = Sys(__NR_fchownat, dir, Arg(name), st.st_uid, st.st_gid,
                   AT_SYMLINK_NOFOLLOW);
  if (result >= 0 && (st.st_mode & kTypeMask) != kTypeLink) {
    result = Sys(__NR_fchmodat, dir, Arg(name), st.st_mode & 07777);
  }
  const int64_t times[4] = {static_cast<int64_t>(st.st_atime),
                            static_cast<int64_t>(st.st_atime_nsec),
                            static_cast<int64_t>(st.st_mtime),
                            static_cast<int64_t>(st.st_mtime_nsec)};
  if (result >= 0) {
    result =
        Sys(__NR_utimensat, dir, Arg(name), Arg(times), AT_SYMLINK_NOFOLLOW);
  }
  return result;
}

int CopyFile(int from_dir, int to_dir, const char* name) {
  const int from = OpenAt(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (from < 0) return from;
  const int to =
      OpenAt(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  long n = to;
  if (to >= 0) {
    while ((n = Sys(__NR_sendfile, to, from, 0, kChunk)) > 0) {
    }
    Close(to);
  }
  Close(from);
  return n < 0 ? static_cast<int>(n) : 0;
}

int CopyLink(int from_dir, int to_dir, const char* name) {
  char target[4096];
  const long n = Sys(__NR_readlinkat, from_dir, Arg(name), Arg(target),
                     sizeof(target) - 1);
  if (n < 0) return static_cast<int>(n);
  target[n] = 0;
  return Sys(__NR_symlinkat, Arg(target), to_dir, Arg(name));
}

int CopyTree(int from, int to, int depth);

int CopyDirectory(int from_dir, int to_dir, const char* name, int depth) {
  int result = Mkdirat(to_dir, name, 0700);
  if (result < 0) return result;
  const int from = OpenAt(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (from < 0) return from;
  const int to = OpenAt(to_dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  result = to < 0 ? to : CopyTree(from, to, depth);
  if (to >= 0) Close(to);
  Close(from);
  return result;
}

int CopyEntry(int from, int to, const char* name, int depth) {
  struct stat st;
  int result =
      Sys(__NR_newfstatat, from, Arg(name), Arg(&st), AT_SYMLINK_NOFOLLOW);
  if (result < 0) return result;
  switch (st.st_mode & kTypeMask) {
    case kTypeDirectory:
      result = CopyDirectory(from, to, name, depth);
      break;
    case kTypeRegular:
      result = CopyFile(from, to, name);
      break;
    case kTypeLink:
      result = CopyLink(from, to, name);
      break;
    default:
      return 0;
  }
  return result < 0 ? result : CopyAttributes(to, name, st);
}

int CopyTree(int from, int to, int depth) {
  if (depth == 0) return -ELOOP;
  alignas(8) char buffer[1024];
  int n;
  while ((n = Sys(__NR_getdents64, from, Arg(buffer), sizeof(buffer))) > 0) {
    for (int at = 0; at < n;) {
      const auto* entry = reinterpret_cast<DirectoryEntry*>(buffer + at);
      at += entry->length;
      if (IsDots(entry->name)) continue;
      const int result = CopyEntry(from, to, entry->name, depth - 1);
      if (result < 0) return result;
    }
  }
  return n;
}

}  // namespace

int CopyUp(int root, const char* path, int target) {
  const int from = OpenInRoot(root, path, O_RDONLY | O_DIRECTORY, 0);
  if (from == -ENOENT || from == -ENOTDIR) return 0;
  if (from < 0) return from;
  const int result = CopyTree(from, target, kMaxDepth);
  Close(from);
  return result;
}

}  // namespace bulwark::child
