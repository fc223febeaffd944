// Steps that make and move mounts. Paths of the container are resolved inside
// its root by openat2 and mounts are attached onto descriptors, so that a
// hostile image or a race cannot lead one elsewhere.
#include <asm/stat.h>
#include <linux/errno.h>

#include "engine/child/copy_up.h"
#include "engine/child/overlay.h"
#include "engine/child/paths.h"
#include "engine/child/steps.h"
#include "engine/child/superblock.h"
#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

constexpr int kUmountDetach = 2;

int SetAttributes(int tree, uint64_t set, bool recursive) {
  mount_attr attr = {};
  attr.attr_set = set;
  attr.propagation = MS_PRIVATE;
  return MountSetattr(tree, recursive ? AT_RECURSIVE : 0, &attr);
}

int Propagation(int tree, uint64_t type, bool recursive) {
  mount_attr attr = {};
  attr.propagation = type;
  return MountSetattr(tree, recursive ? AT_RECURSIVE : 0, &attr);
}

int ChangeAttributes(int tree, const Step& s) {
  mount_attr attr = {};
  attr.attr_set = s.value;
  attr.attr_clr = s.value2;
  // The kernel wants the field cleared whole where one of it is set.
  if ((s.value & MOUNT_ATTR__ATIME) != 0 ||
      (s.value2 & MOUNT_ATTR__ATIME) != 0) {
    attr.attr_clr |= MOUNT_ATTR__ATIME;
  }
  return MountSetattr(tree, (s.flags & kRecursive) != 0 ? AT_RECURSIVE : 0,
                      &attr);
}

int IdMap(int tree, int user_namespace, bool recursive) {
  mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(user_namespace);
  return MountSetattr(tree, recursive ? AT_RECURSIVE : 0, &attr);
}

int CloneTree(int dir, const char* path, uint32_t flags, uint64_t attributes) {
  const bool recursive = (flags & kRecursive) != 0;
  const int tree = OpenTree(dir, path,
                            OPEN_TREE_CLONE | (recursive ? AT_RECURSIVE : 0) |
                                (*path == 0 ? AT_EMPTY_PATH : 0));
  if (tree < 0 || (flags & kKeepPropagation) != 0) return tree;
  const int result = SetAttributes(tree, attributes, recursive);
  if (result < 0) {
    Close(tree);
    return result;
  }
  return tree;
}

int AttachOnto(int tree, int target) {
  return MoveMount(tree, target, "", MOVE_MOUNT_T_EMPTY_PATH);
}

int Attach(Context* c, int tree, const char* path, uint32_t flags) {
  const int directory = IsDirectory(tree);
  if (directory < 0) return directory;
  const int target =
      Mountpoint(c->slots[kSlotRoot], path, directory == 1, flags);
  if (target < 0) return target;
  const int result = AttachOnto(tree, target);
  Close(target);
  return result;
}

int BindHost(Context* c, const Step& s) {
  const int tree = CloneTree(AT_FDCWD, c->String(s.str), 0, s.value);
  if (tree < 0) return tree;
  const int result = Attach(c, tree, c->String(s.str2), s.flags);
  Close(tree);
  return result;
}

// Puts /dev/null over a file and an empty directory over a directory.
int Mask(Context* c, const Step& s) {
  const int target =
      OpenToCover(c->slots[kSlotRoot], c->String(s.str), s.flags);
  if (target < 0) return target;
  const int directory = IsDirectory(target);
  int tree = directory;
  if (directory == 0) {
    tree = CloneTree(AT_FDCWD, "/dev/null", 0, MOUNT_ATTR_RDONLY);
    struct stat st;
    if (tree >= 0 && (Sys(__NR_fstat, tree, Arg(&st)) < 0 ||
                      (st.st_mode & kTypeMask) != kTypeCharacter ||
                      st.st_rdev != ((1 << 8) | 3))) {
      Close(tree);
      tree = -ENXIO;
    }
  } else if (directory == 1 && c->mask_directory < 0) {
    tree = NewFs("tmpfs", "size=0,mode=555",
                 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
                     MOUNT_ATTR_NOEXEC);
  } else if (directory == 1) {
    tree = CloneTree(c->mask_directory, "", 0, MOUNT_ATTR_RDONLY);
  }
  int result = tree < 0 ? tree : AttachOnto(tree, target);
  if (result >= 0 && directory == 1 && c->mask_directory < 0) {
    c->mask_directory = tree;  // attached now: it can be cloned
  } else if (tree >= 0) {
    Close(tree);
  }
  Close(target);
  return result;
}

int ReadOnly(Context* c, const Step& s) {
  const int target =
      OpenToCover(c->slots[kSlotRoot], c->String(s.str), s.flags);
  if (target < 0) return target;
  int tree = CloneTree(target, "", kRecursive, s.value);
  int result = tree;
  if (tree >= 0) {
    result = AttachOnto(tree, target);
    Close(tree);
  }
  Close(target);
  return result;
}

int AttachRoot(Context* c, const Step& s) {
  const char* stage = c->String(s.str);
  if (s.slot >= 0) {
    const int result = MoveMount(c->slots[s.slot], AT_FDCWD, stage, 0);
    if (result < 0) return result;
  }
  const int root = OpenAt(AT_FDCWD, stage, O_PATH | O_DIRECTORY);
  if (root < 0) return root;
  c->slots[kSlotRoot] = root;
  return 0;
}

// "12:34", as the plan's own text has it.
bool ReadIds(const char* text, uint64_t ids[2]) {
  for (int i = 0; i < 2; ++i) {
    if (*text < '0' || *text > '9') return false;
    for (ids[i] = 0; *text >= '0' && *text <= '9'; ++text) {
      ids[i] = ids[i] * 10 + (*text - '0');
    }
    if (i == 0 && *text++ != ':') return false;
  }
  return true;
}

int Mknod(Context* c, const Step& s) {
  const char* name;
  const int base = s.slot >= 0 ? int{s.slot} : int{kSlotRoot};
  const int parent =
      OpenParent(c->slots[base], c->String(s.str), kNoSymlinks, &name);
  if (parent < 0) return parent;
  int result = Sys(__NR_mknodat, parent, Arg(name), s.value, s.value2);
  uint64_t ids[2];
  if (result >= 0 && ReadIds(c->String(s.str2), ids)) {
    result = Sys(__NR_fchownat, parent, Arg(name), ids[0], ids[1],
                 AT_SYMLINK_NOFOLLOW);
    // Whatever the umask took, and what the change of owner did.
    if (result >= 0) {
      result = Sys(__NR_fchmodat, parent, Arg(name), s.value & 07777);
    }
  }
  Close(parent);
  return result;
}

// The root is bound onto itself so that it is a mount of this namespace, which
// pivot_root wants, without a path being resolved.
int BindRoot(Context* c) {
  const int tree = OpenTree(AT_FDCWD, ".", OPEN_TREE_CLONE | AT_RECURSIVE);
  if (tree < 0) return tree;
  const int result = MoveMount(tree, AT_FDCWD, ".", 0);
  if (result < 0) {
    Close(tree);
    return result;
  }
  c->slots[kSlotRoot] = tree;
  return 0;
}

int BindSlot(Context* c, const Step& s) {
  const int tree = CloneTree(c->slots[s.slot], "", s.flags, s.value);
  if (tree < 0) return tree;
  const int result = Attach(c, tree, c->String(s.str), s.flags);
  Close(tree);
  return result;
}

int Symlink(Context* c, const Step& s) {
  const char* name;
  const int parent =
      OpenParent(c->slots[kSlotRoot], c->String(s.str2), kNoSymlinks, &name);
  if (parent < 0) return parent;
  int result = Sys(__NR_symlinkat, Arg(c->String(s.str)), parent, Arg(name));
  if (result == -EEXIST && (s.flags & kOptional) != 0) result = 0;
  Close(parent);
  return result;
}

int Pivot(Context* c) {
  int result = Sys(__NR_fchdir, c->slots[kSlotRoot]);
  // The old root ends up on top of the new one, where "." then reaches it
  // (pivot_root(2), "pivot_root(".", ".")").
  if (result >= 0) result = Sys(__NR_pivot_root, Arg("."), Arg("."));
  if (result >= 0) result = Sys(__NR_umount2, Arg("."), kUmountDetach);
  if (result >= 0) result = Sys(__NR_chdir, Arg("/"));
  return result;
}

int Open(Context* c, const Step& s) {
  const int flags = s.flags & 0x7ffffff;
  const int directory = s.slot2 >= 0 ? c->slots[s.slot2] : AT_FDCWD;
  return (s.flags & kNoSymlinks) != 0
             ? OpenInRoot(directory, c->String(s.str), flags, kNoSymlinks)
             : OpenAt(directory, c->String(s.str), flags);
}

// Stores a descriptor in the step's slot; passes an error on.
int Keep(Context* c, const Step& s, int fd) {
  if (fd < 0) return fd;
  if (s.slot < 0) return -EINVAL;
  if (c->slots[s.slot] >= 0) Close(c->slots[s.slot]);  // of an earlier mount
  c->slots[s.slot] = fd;
  return 0;
}

int MakeDirectory(Context* c, const Step& s) {
  const int fd = MakeDirectories(c->slots[kSlotRoot], c->String(s.str),
                                 static_cast<int>(s.value), s.flags);
  if (fd < 0) return fd;
  Close(fd);
  return 0;
}

}  // namespace

int RunMountStep(Context* c, const Step& s) {
  const char* str = c->String(s.str);
  switch (s.kind) {
    case StepKind::kOpen:
      return Keep(c, s, Open(c, s));
    case StepKind::kNewFs:
      return Keep(c, s, NewFs(str, c->String(s.str2), s.value));
    case StepKind::kOverlay:
      return Keep(c, s, Overlay(c, s));
    case StepKind::kLegacyOverlay:
      return LegacyOverlay(c, s);
    case StepKind::kMappedOverlay:
      return Keep(c, s, MappedOverlay(c, s));
    case StepKind::kCloneTree:
      return Keep(c, s, CloneTree(AT_FDCWD, str, s.flags, s.value));
    case StepKind::kOpenRoot:
      return Keep(c, s, OpenAt(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    case StepKind::kPrivateMounts:
      return Sys(__NR_mount, 0, Arg("/"), 0,
                 MS_REC | (s.value != 0 ? s.value : MS_PRIVATE), 0);
    case StepKind::kAttachRoot:
      return AttachRoot(c, s);
    case StepKind::kAttach:
      return s.slot < 0 ? -EINVAL : Attach(c, c->slots[s.slot], str, s.flags);
    case StepKind::kMkdir:
      return MakeDirectory(c, s);
    case StepKind::kMknod:
      return Mknod(c, s);
    case StepKind::kSymlink:
      return Symlink(c, s);
    case StepKind::kBindHost:
      return BindHost(c, s);
    case StepKind::kMask:
      return Mask(c, s);
    case StepKind::kReadOnly:
      return ReadOnly(c, s);
    case StepKind::kRootReadOnly:
      return SetAttributes(c->slots[kSlotRoot], MOUNT_ATTR_RDONLY, false);
    case StepKind::kPivot:
      return Pivot(c);
    case StepKind::kChdir:
      return Sys(__NR_chdir, Arg(str));
    case StepKind::kBindRoot:
      return BindRoot(c);
    case StepKind::kCopyUp:
      return s.slot < 0 ? -EINVAL
                        : CopyUp(c->slots[kSlotRoot], str, c->slots[s.slot]);
    case StepKind::kBindSlot:
      return s.slot < 0 ? -EINVAL : BindSlot(c, s);
    case StepKind::kMountAttributes:
      return s.slot < 0 ? -EINVAL : ChangeAttributes(c->slots[s.slot], s);
    case StepKind::kPropagation:
      return s.slot < 0 ? -EINVAL
                        : Propagation(c->slots[s.slot], s.value,
                                      (s.flags & kRecursive) != 0);
    case StepKind::kIdMap:
      return s.slot < 0 || s.slot2 < 0
                 ? -EINVAL
                 : IdMap(c->slots[s.slot], c->slots[s.slot2],
                         (s.flags & kRecursive) != 0);
    default:
      return -ENOSYS;
  }
}

}  // namespace bulwark::child
