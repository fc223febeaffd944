// Steps about users: accounts, owners and user namespaces.
#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/nsfs.h>

#include "engine/child/paths.h"
#include "engine/child/steps.h"
#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

// Opens an account file if it is a regular one, else -1.
int OpenAccountFile(int root, const char* path) {
  const int fd = OpenInRoot(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
  if (fd < 0) return -1;
  struct stat st;
  if (Sys(__NR_fstat, fd, Arg(&st)) < 0 ||
      (st.st_mode & kTypeMask) != kTypeRegular) {
    Close(fd);
    return -1;
  }
  return fd;
}

int ResolveUser(Context* c, const Step& s) {
  const int root = c->slots[kSlotRoot];
  const int passwd = OpenAccountFile(root, "/etc/passwd");
  const int group = OpenAccountFile(root, "/etc/group");
  int result = ResolveAccount(c->String(s.str), passwd, group, &c->account);
  if (result >= 0 && s.value != 0 &&
      (c->account.uid >= s.value || c->account.gid >= s.value)) {
    result = -ERANGE;
  }
  if (passwd >= 0) Close(passwd);
  if (group >= 0) Close(group);
  return result;
}

// Deep enough for a directory of files that are swapped as one.
constexpr int kMaxOwnDepth = 3;

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

// `fd`, a file or a directory, and everything in it. Links are not followed.
int Own(int fd, uint32_t uid, uint32_t gid, int depth) {
  int result = Sys(__NR_fchown, fd, uid, gid);
  if (result >= 0) result = IsDirectory(fd);
  if (result != 1) return result;
  if (depth == 0) return -ELOOP;
  Sys(__NR_lseek, fd, 0, 0);  // somebody may have read it before
  alignas(8) char buffer[1024];
  while ((result = Sys(__NR_getdents64, fd, Arg(buffer), sizeof(buffer))) > 0) {
    for (int at = 0; at < result;) {
      const auto* entry = reinterpret_cast<DirectoryEntry*>(buffer + at);
      at += entry->length;
      if (IsDots(entry->name)) continue;
      const int inner = OpenAt(fd, entry->name,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
      if (inner == -ELOOP) continue;  // a symbolic link
      if (inner < 0) return inner;
      const int owned = Own(inner, uid, gid, depth - 1);
      Close(inner);
      if (owned < 0) return owned;
    }
  }
  return result;
}

int BecomeRoot() {
  int result = Sys(__NR_setresgid, 0, 0, 0);
  if (result >= 0) result = Sys(__NR_setresuid, 0, 0, 0);
  return result;
}

// What is no pipe and no terminal of the container, such as /dev/null, is the
// host's.
int GiveStreams(Context* c, const Step& s) {
  for (int slot = kSlotStdin; slot <= kSlotStderr; ++slot) {
    const int fd = c->slots[slot];
    struct stat st;
    if (fd < 0 || Sys(__NR_fstat, fd, Arg(&st)) < 0) continue;
    const bool pipe = (st.st_mode & kTypeMask) == kTypePipe;
    if (!pipe && (s.flags & kTerminal) == 0) continue;
    const int result = Sys(__NR_fchown, fd, s.value,
                           pipe ? static_cast<uint32_t>(s.value) : ~0u);
    if (result < 0) return result;
  }
  return 0;
}

}  // namespace

int RunUserStep(Context* c, const Step& s) {
  const int fd = s.slot >= 0 ? c->slots[s.slot] : -1;
  switch (s.kind) {
    case StepKind::kAccount:
      return ResolveUser(c, s);
    case StepKind::kNotRoot:
      return c->account.uid == 0 ? -EPERM : 0;
    case StepKind::kOwn:
      return fd < 0 ? -EINVAL
                    : Own(fd, c->account.uid, c->account.gid, kMaxOwnDepth);
    case StepKind::kGive:
      return fd < 0 ? -EINVAL
                    : Own(fd, static_cast<uint32_t>(s.value),
                          static_cast<uint32_t>(s.value2), kMaxOwnDepth);
    case StepKind::kGiveStreams:
      return GiveStreams(c, s);
    case StepKind::kRootIds:
      return BecomeRoot();
    case StepKind::kOwnerOf: {
      if (s.slot < 0 || s.slot2 < 0) return -EINVAL;
      const int owner = Sys(__NR_ioctl, c->slots[s.slot2], NS_GET_USERNS);
      if (owner >= 0) c->slots[s.slot] = owner;
      return owner < 0 ? owner : 0;
    }
    default:
      return -ENOSYS;
  }
}

}  // namespace bulwark::child
