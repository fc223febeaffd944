#include "engine/child/paths.h"

#include <asm/stat.h>
#include <linux/errno.h>

#include "engine/child/launch_plan.h"
#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

constexpr size_t kMaxPath = 4096;
constexpr int kMaxLinks = 8;  // in a row, that lead nowhere

// Where the symbolic link `name` in the directory that is the first
// `parent_size` bytes of `path` leads, as a path in the root. 0 or an error.
int LinkTarget(int parent, const char* name, const char* path,
               size_t parent_size, char* out, size_t size) {
  char target[kMaxPath];
  const long n =
      Sys(__NR_readlinkat, parent, Arg(name), Arg(target), sizeof(target) - 1);
  if (n < 0) return static_cast<int>(n);
  target[n] = 0;
  char* end = out;
  if (target[0] != '/') {
    if (parent_size + 2 > size) return -ENAMETOOLONG;
    for (size_t i = 0; i < parent_size; ++i) *end++ = path[i];
    *end++ = '/';
  }
  return Append(end, out + size, target) == nullptr ? -ENAMETOOLONG : 0;
}

// As MakeDirectories; at most `links` links to nowhere are followed.
int MakeDirectoriesOver(int root, const char* path, int mode, uint32_t flags,
                        int links) {
  char prefix[kMaxPath];
  if (Length(path) >= sizeof(prefix)) return -ENAMETOOLONG;
  int fd = OpenInRoot(root, path, O_PATH | O_DIRECTORY, flags);
  if (fd != -ENOENT) return fd;
  fd = OpenInRoot(root, "/", O_PATH | O_DIRECTORY, flags);
  for (const char* p = path; fd >= 0 && *p != 0;) {
    while (*p == '/') ++p;
    const char* name = p;
    while (*p != 0 && *p != '/') ++p;
    if (p == name) break;
    const size_t n = p - path;
    for (size_t i = 0; i < n; ++i) prefix[i] = path[i];
    prefix[n] = 0;
    const char* last = prefix + (name - path);
    int next = OpenInRoot(root, prefix, O_PATH | O_DIRECTORY, flags);
    if (next == -ENOENT) {
      const int made = Mkdirat(fd, last, mode);
      next = made < 0 && made != -EEXIST
                 ? made
                 : OpenInRoot(root, prefix, O_PATH | O_DIRECTORY, flags);
    }
    if (next == -ENOENT && links > 0 && (flags & kNoSymlinks) == 0) {
      char target[kMaxPath];
      next = LinkTarget(fd, last, path, name - path, target, sizeof(target));
      if (next == 0) {
        next = MakeDirectoriesOver(root, target, mode, flags, links - 1);
      }
    }
    Close(fd);
    fd = next;
  }
  return fd;
}

// Makes an empty file at `path`, or where the symbolic link there leads.
int MakeFile(int root, const char* path, uint32_t flags, int links) {
  const char* name;
  const int parent = OpenParent(root, path, flags, &name);
  if (parent < 0) return parent;
  int file = OpenAt(parent, name, O_CREAT | O_EXCL | O_WRONLY, 0644);
  if (file == -EEXIST && links > 0 && (flags & kNoSymlinks) == 0) {
    char target[kMaxPath];
    file = LinkTarget(parent, name, path, name - path, target, sizeof(target));
    Close(parent);
    return file < 0 ? file : MakeFile(root, target, flags, links - 1);
  }
  Close(parent);
  if (file >= 0) Close(file);
  return file < 0 ? file : 0;
}

// Whether a link on `path` climbs above the root, where openat2 holds it: 1 or
// 0. Only what is there is walked.
int ClimbsOut(int root, const char* path) {
  char rest[kMaxPath];
  char done[kMaxPath];  // no link in it
  size_t size = 0;      // of `done`
  int links = kMaxLinks;
  if (Append(rest, rest + sizeof(rest), path) == nullptr) return -ENAMETOOLONG;
  for (const char* p = rest;;) {
    while (*p == '/') ++p;
    if (*p == 0) return 0;
    const char* name = p;
    while (*p != 0 && *p != '/') ++p;
    const size_t length = p - name;
    if (length == 1 && name[0] == '.') continue;
    if (length == 2 && name[0] == '.' && name[1] == '.') {
      if (size == 0 && links < kMaxLinks) return 1;
      while (size > 0 && done[--size] != '/') continue;
      continue;
    }
    if (size + length + 2 > sizeof(done)) return -ENAMETOOLONG;
    const size_t parent = size;
    done[size++] = '/';
    for (size_t i = 0; i < length; ++i) done[size++] = name[i];
    done[size] = 0;
    const int fd = OpenInRoot(root, done, O_PATH | O_NOFOLLOW, kNoSymlinks);
    if (fd < 0) return fd == -ENOENT ? 0 : fd;
    char target[kMaxPath];
    const long n =
        Sys(__NR_readlinkat, fd, Arg(""), Arg(target), sizeof(target) - 1);
    Close(fd);
    if (n < 0) continue;  // no link
    if (links-- == 0) return -ELOOP;
    target[n] = 0;
    size = target[0] == '/' ? 0 : parent;
    if (Append(target + n, target + sizeof(target), p) == nullptr) {
      return -ENAMETOOLONG;
    }
    Append(rest, rest + sizeof(rest), target);
    p = rest;
  }
}

}  // namespace

int OpenInRoot(int root, const char* path, int open_flags, uint32_t flags) {
  open_how how = {};
  how.flags = static_cast<uint32_t>(open_flags) | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  if ((flags & kNoSymlinks) != 0) how.resolve |= RESOLVE_NO_SYMLINKS;
  int fd;
  // EAGAIN: something was renamed while ".." was resolved.
  for (int tries = 0; tries < 128; ++tries) {
    fd = Sys(__NR_openat2, root, Arg(path), Arg(&how), sizeof(how));
    if (fd != -EAGAIN) break;
  }
  return fd;
}

int OpenToCover(int root, const char* path, uint32_t flags) {
  const int fd = OpenInRoot(root, path, O_PATH, flags);
  if (fd != -ENOENT || (flags & kNoSymlinks) != 0) return fd;
  const int plain = OpenInRoot(root, path, O_PATH, kNoSymlinks);
  if (plain != -ELOOP) {  // most paths: no link on the way
    if (plain >= 0) Close(plain);
    return fd;
  }
  const int out = ClimbsOut(root, path);
  return out < 0 ? out : out == 1 ? -EXDEV : fd;
}

int IsDirectory(int fd) {
  struct stat st;
  const int result = Sys(__NR_newfstatat, fd, Arg(""), Arg(&st), AT_EMPTY_PATH);
  return result < 0 ? result : (st.st_mode & kTypeMask) == kTypeDirectory;
}

int MakeDirectories(int root, const char* path, int mode, uint32_t flags) {
  return MakeDirectoriesOver(root, path, mode, flags, kMaxLinks);
}

int OpenParent(int root, const char* path, uint32_t flags, const char** name) {
  char parent[kMaxPath];
  const size_t n = Length(path);
  if (n >= sizeof(parent)) return -ENAMETOOLONG;
  size_t slash = n;
  while (slash > 0 && path[slash - 1] != '/') --slash;
  *name = path + slash;
  if (**name == 0) return -EISDIR;
  for (size_t i = 0; i < slash; ++i) parent[i] = path[i];
  parent[slash] = 0;
  return MakeDirectories(root, slash == 0 ? "/" : parent, 0755, flags);
}

int Mountpoint(int root, const char* path, bool directory, uint32_t flags) {
  int fd = OpenInRoot(root, path, O_PATH, flags);
  if (fd == -ENOENT && directory) {
    fd = MakeDirectories(root, path, 0755, flags);
  } else if (fd == -ENOENT) {
    fd = MakeFile(root, path, flags, kMaxLinks);
    if (fd >= 0) fd = OpenInRoot(root, path, O_PATH, flags);
  }
  if (fd < 0) return fd;
  const int is_directory = IsDirectory(fd);
  if (is_directory < 0 || (is_directory == 1) != directory) {
    Close(fd);
    return is_directory < 0 ? is_directory : (directory ? -ENOTDIR : -EISDIR);
  }
  return fd;
}

}  // namespace bulwark::child
