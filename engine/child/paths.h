// Paths of a container, as seen by a process whose root is `root`. Symbolic
// links are followed inside it (unless kNoSymlinks is in `flags`), never out of
// it. Each function returns a descriptor (O_PATH unless said otherwise), which
// becomes the caller's, or a negative errno.
#ifndef ENGINE_CHILD_PATHS_H_
#define ENGINE_CHILD_PATHS_H_

#include <stdint.h>

namespace bulwark::child {

int OpenInRoot(int root, const char* path, int open_flags, uint32_t flags);

// Opens what is to be hidden or protected. ENOENT also if a link leads to
// nothing; EXDEV if there is nothing because a link climbs out of the root.
int OpenToCover(int root, const char* path, uint32_t flags);

// 1: a directory, 0: something else; no descriptor.
int IsDirectory(int fd);

// Opens directory `path`, making what is missing with `mode`, also where a
// symbolic link leads nowhere.
int MakeDirectories(int root, const char* path, int mode, uint32_t flags);

// Opens the parent directory of `path`, making it if needed; `*name` becomes
// the last component.
int OpenParent(int root, const char* path, uint32_t flags, const char** name);

// Opens `path` to mount on, creating a directory or an empty file. ENOTDIR or
// EISDIR if the other kind is there.
int Mountpoint(int root, const char* path, bool directory, uint32_t flags);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_PATHS_H_
