// Names and numbers of Linux's system calls up to 6.18, on the architectures
// that an x86_64 kernel runs. Pure; any thread.
#ifndef ENGINE_SECCOMP_SYSCALLS_H_
#define ENGINE_SECCOMP_SYSCALLS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace bulwark::engine::seccomp {

// What a system call is entered as.
enum class Arch { kX86_64, kI386, kX32 };
inline constexpr int kArchs = 3;

struct Syscall {
  const char* name;
  // By Arch; -1: it has none. Those of x32 are without the bit that tells them
  // from x86_64's.
  int16_t numbers[kArchs];
  // On i386 the call is also, or only, this request (the first argument) of
  // socketcall(2) or ipc(2); 0: it is not.
  uint8_t socketcall;
  uint8_t ipc;

  int Number(Arch arch) const { return numbers[static_cast<int>(arch)]; }
};

// On i386.
inline constexpr int kSocketcall = 102;
inline constexpr int kIpc = 117;

// nullptr if no supported architecture has a call of that name. Lives forever.
const Syscall* FindSyscall(absl::string_view name);

}  // namespace bulwark::engine::seccomp

#endif  // ENGINE_SECCOMP_SYSCALLS_H_
