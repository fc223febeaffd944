#include "engine/child/superblock.h"

#include <linux/errno.h>

#include "engine/child/sys.h"

namespace bulwark::child {

int Fsconfig(int fs, unsigned command, const char* key, const char* value,
             int aux) {
  return Sys(__NR_fsconfig, fs, command, Arg(key), Arg(value), aux);
}

// Creates the superblock and returns a detached mount; closes `fs`.
int FinishFs(int fs, uint64_t attributes) {
  int result = Fsconfig(fs, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0);
  if (result >= 0) {
    result = Sys(__NR_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
  }
  Close(fs);
  return result;
}

namespace {

// Applies 'a=b,flag,c="d,e"'. An option is shorter than the kernel's own limit
// of 256; what is in quotes has no end but the next quote, and comes without
// them.
int ApplyOptions(int fs, const char* options) {
  char option[256];
  while (*options != 0) {
    size_t n = 0;
    char* value = nullptr;
    bool quoted = false;
    for (; *options != 0 && (quoted || *options != ','); ++options) {
      if (*options == '"') {
        quoted = !quoted;
        continue;
      }
      if (n + 1 >= sizeof(option)) return -E2BIG;
      option[n++] = *options;
      if (*options == '=' && value == nullptr) {
        option[n - 1] = 0;
        value = option + n;
      }
    }
    option[n] = 0;
    if (*options == ',') ++options;
    const int result =
        value == nullptr ? Fsconfig(fs, FSCONFIG_SET_FLAG, option, nullptr, 0)
                         : Fsconfig(fs, FSCONFIG_SET_STRING, option, value, 0);
    if (result < 0) return result;
  }
  return 0;
}

}  // namespace

int NewFs(const char* type, const char* options, uint64_t attributes) {
  const int fs = Sys(__NR_fsopen, Arg(type), FSOPEN_CLOEXEC);
  if (fs < 0) return fs;
  const int result = ApplyOptions(fs, options);
  if (result < 0) {
    Close(fs);
    return result;
  }
  return FinishFs(fs, attributes);
}

}  // namespace bulwark::child
