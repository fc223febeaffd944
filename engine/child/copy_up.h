// Copies what an image has at a place into the file system that is mounted
// there (the mount option "tmpcopyup").
#ifndef ENGINE_CHILD_COPY_UP_H_
#define ENGINE_CHILD_COPY_UP_H_

namespace bulwark::child {

// From directory `path` inside `root` into the directory `target`: files,
// directories, symbolic links, with their owners, modes and times; nodes and
// sockets are left out. 0, also if there is no such directory, or a negative
// errno: ELOOP if it is deeper than 32.
int CopyUp(int root, const char* path, int target);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_COPY_UP_H_
