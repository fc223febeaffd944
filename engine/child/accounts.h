// Users and groups as the container's own files name them. Usable without a
// libc. The files are hostile input: sizes are bounded, ids range-checked, and
// what does not parse is skipped.
#ifndef ENGINE_CHILD_ACCOUNTS_H_
#define ENGINE_CHILD_ACCOUNTS_H_

#include <stddef.h>
#include <stdint.h>

namespace bulwark::child {

inline constexpr int kMaxGroups = 64;  // more supplementary groups are dropped
inline constexpr uint32_t kMaxId = 0x7fffffff;

struct Account {
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t groups[kMaxGroups];
  int group_count = 0;
  char home[256] = "/";
};

// A text file given as memory (tests) or as a descriptor, read line by line.
class Lines {
 public:
  // Reads from `fd`, which stays the caller's; -1 is an empty file.
  explicit Lines(int fd) : fd_(fd) {}
  // The next line without its newline, NUL-terminated, valid until the next
  // call; nullptr at the end. Lines longer than the buffer are skipped.
  char* Next();

 private:
  bool Fill();

  int fd_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool eof_ = false;
  char buffer_[8192];
};

// Resolves "", "name" or "uid", each with an optional ":group" or ":gid",
// against /etc/passwd (`passwd_fd`) and /etc/group (`group_fd`), either of
// which may be -1. Returns 0, or a negative errno: ESRCH for a name that is
// not there, ERANGE for an id above kMaxId, EINVAL for a malformed `user`.
int ResolveAccount(const char* user, int passwd_fd, int group_fd,
                   Account* account);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_ACCOUNTS_H_
