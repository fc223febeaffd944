#include "engine/child/overlay.h"

#include <linux/capability.h>
#include <linux/errno.h>

#include "engine/child/superblock.h"
#include "engine/child/sys.h"

namespace bulwark::child {
namespace {

constexpr size_t kMaxPath = 4096;
constexpr size_t kHelperStack = 32 << 10;

// The id that the files of the overlay's own are made with, 0 for ours: that of
// root in an id-mapped layer, where ours has no number.
uint32_t FileOwner(const Step& s) {
  return static_cast<uint32_t>(s.value2 >> 32);
}

// The overlay works with the rights of who mounts it. A change of the file
// system's ids takes some away, which come back from those that are permitted.
int TakeFileIds(uint32_t id) {
  Sys(__NR_setfsgid, id);
  Sys(__NR_setfsuid, id);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  const int result = Sys(__NR_capget, Arg(&header), Arg(data));
  if (result < 0) return result;
  for (auto& part : data) part.effective = part.permitted;
  return Sys(__NR_capset, Arg(&header), Arg(data));
}

int NewOverlay(Context* c, const Step& s) {
  const int fs = Sys(__NR_fsopen, Arg("overlay"), FSOPEN_CLOEXEC);
  if (fs < 0) return fs;
  int result = Fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0);
  for (uint64_t i = 0; i < s.value && result >= 0; ++i) {
    result = Fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", nullptr,
                      c->slots[s.slot2 + i]);
  }
  if (result >= 0) {
    result = Fsconfig(fs, FSCONFIG_SET_FD, "upperdir", nullptr,
                      c->slots[s.value2 & 0xffff]);
  }
  if (result >= 0) {
    result = Fsconfig(fs, FSCONFIG_SET_FD, "workdir", nullptr,
                      c->slots[(s.value2 >> 16) & 0xffff]);
  }
  if (result >= 0 && (s.flags & kVolatile) != 0) {
    result = Fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", nullptr, 0);
  }
  if (result < 0) {
    Close(fs);
    return result;
  }
  return FinishFs(fs, MOUNT_ATTR_NODEV);
}

char* AppendFd(char* out, const char* limit, const char* before, int fd) {
  char number[24];
  Decimal(number, fd);
  if ((out = Append(out, limit, before)) == nullptr) return nullptr;
  if ((out = Append(out, limit, "/proc/self/fd/")) == nullptr) return nullptr;
  return Append(out, limit, number);
}

// mount(2) takes one page of options: room for about 200 layers.
int LayerOptions(Context* c, const Step& s, char* options) {
  const char* limit = options + kMaxPath;
  char* out = options;
  for (uint64_t i = 0; i < s.value && out != nullptr; ++i) {
    out =
        AppendFd(out, limit, i == 0 ? "lowerdir=" : ":", c->slots[s.slot2 + i]);
  }
  if (out != nullptr) {
    out = AppendFd(out, limit, ",upperdir=", c->slots[s.value2 & 0xffff]);
  }
  if (out != nullptr) {
    out =
        AppendFd(out, limit, ",workdir=", c->slots[(s.value2 >> 16) & 0xffff]);
  }
  if (out != nullptr && (s.flags & kVolatile) != 0) {
    out = Append(out, limit, ",volatile");
  }
  return out == nullptr ? -E2BIG : 0;
}

// For the helper, which shares our memory and descriptors.
struct MapStart {
  Context* c;
  const Step* s;
  int result;
};

int MountMapped(Context* c, const Step& s) {
  const char* stage = c->String(s.str);
  int result = Sys(__NR_unshare, CLONE_NEWNS);
  if (result < 0) return result;
  result = Sys(__NR_mount, 0, Arg("/"), 0, MS_REC | MS_PRIVATE, 0);
  if (result < 0) return result;
  // Layers were opened below these, so from here on they are in this mount
  // namespace, as mount(2) wants.
  const int trees = static_cast<int>(s.flags & 0xffff);
  for (int i = s.slot2 - trees; i < s.slot2; ++i) {
    result = MoveMount(c->slots[i], AT_FDCWD, stage, 0);
    if (result < 0) return result;
  }
  char options[kMaxPath];
  result = LayerOptions(c, s, options);
  if (result >= 0) result = TakeFileIds(FileOwner(s));
  if (result < 0) return result;
  result = Sys(__NR_mount, Arg("overlay"), Arg(stage), Arg("overlay"), MS_NODEV,
               Arg(options));
  if (result < 0) return result;
  return OpenTree(AT_FDCWD, stage, OPEN_TREE_CLONE);
}

int MapMain(void* argument) {
  MapStart* start = static_cast<MapStart*>(argument);
  start->result = MountMapped(start->c, *start->s);
  return 0;
}

}  // namespace

int Overlay(Context* c, const Step& s) {
  const uint32_t owner = FileOwner(s);
  if (owner == 0) return NewOverlay(c, s);
  int result = TakeFileIds(owner);
  if (result >= 0) result = NewOverlay(c, s);
  const int back = TakeFileIds(0);
  return back < 0 ? back : result;
}

int LegacyOverlay(Context* c, const Step& s) {
  char options[kMaxPath];
  const int result = LayerOptions(c, s, options);
  if (result < 0) return result;
  return Sys(__NR_mount, Arg("overlay"), Arg(c->String(s.str)), Arg("overlay"),
             MS_NODEV, Arg(options));
}

int MappedOverlay(Context* c, const Step& s) {
  alignas(16) char stack[kHelperStack];
  MapStart start = {c, &s, -EIO};
  return RunHelper(&MapMain, &start, stack, sizeof(stack)) < 0 ? -EAGAIN
                                                               : start.result;
}

}  // namespace bulwark::child
