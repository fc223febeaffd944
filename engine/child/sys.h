// System calls without a libc: each returns the kernel's result, a negative
// errno on failure. The container's init shares its memory with the shim until
// it executes, so nothing here has state (no errno, no locks, no allocation).
#ifndef ENGINE_CHILD_SYS_H_
#define ENGINE_CHILD_SYS_H_

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <stddef.h>
#include <stdint.h>

namespace bulwark::child {

#if !defined(__x86_64__)
#error "engine/child/sys.h: add the system call sequence of this processor"
#endif

inline long Sys(long number, long a = 0, long b = 0, long c = 0, long d = 0,
                long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename T>
long Arg(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

// clone3(2) for a child with its own stack (args->stack must be set): the
// child calls `function(argument)` and exits with what that returns.
inline long CloneOnStack(clone_args* args, int (*function)(void*),
                         void* argument) {
  long result;
  register int (*f)(void*) asm("r12") = function;
  register void* a asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %[arg], %%rdi\n\t"
      "call *%[fn]\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n\t"
      "1:"
      : "=a"(result)
      : "a"((long)__NR_clone3), "D"(args),
        "S"(sizeof(*args)), [fn] "r"(f), [arg] "r"(a), [exit] "i"(__NR_exit)
      : "rcx", "r11", "memory", "cc");
  return result;
}

// Runs `function` in a process that shares our memory and descriptors, and
// nothing else; returns once it has ended. `stack` is the helper's. 0 or a
// negative errno if it could not be made.
inline int RunHelper(int (*function)(void*), void* argument, void* stack,
                     size_t stack_size) {
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES;
  args.exit_signal = 17;  // SIGCHLD
  args.stack = reinterpret_cast<uintptr_t>(stack);
  args.stack_size = stack_size;
  const long pid = CloneOnStack(&args, function, argument);
  if (pid < 0) return static_cast<int>(pid);
  long reaped = -4;  // EINTR
  while (reaped == -4) reaped = Sys(__NR_wait4, pid);
  return reaped < 0 ? static_cast<int>(reaped) : 0;
}

inline int Close(int fd) { return Sys(__NR_close, fd); }
inline int OpenAt(int dir, const char* path, int flags, int mode = 0) {
  return Sys(__NR_openat, dir, Arg(path), flags | O_CLOEXEC, mode);
}
inline long Read(int fd, void* buffer, size_t size) {
  long n = -4;  // EINTR
  while (n == -4) n = Sys(__NR_read, fd, Arg(buffer), size);
  return n;
}
inline long Write(int fd, const void* buffer, size_t size) {
  long n = -4;
  while (n == -4) n = Sys(__NR_write, fd, Arg(buffer), size);
  return n;
}
inline int Mkdirat(int dir, const char* path, int mode) {
  return Sys(__NR_mkdirat, dir, Arg(path), mode);
}
inline int MoveMount(int from, int to_dir, const char* to, unsigned flags) {
  return Sys(__NR_move_mount, from, Arg(""), to_dir, Arg(to),
             MOVE_MOUNT_F_EMPTY_PATH | flags);
}
inline int OpenTree(int dir, const char* path, unsigned flags) {
  return Sys(__NR_open_tree, dir, Arg(path), flags | OPEN_TREE_CLOEXEC);
}
inline int MountSetattr(int fd, unsigned flags, mount_attr* attr) {
  return Sys(__NR_mount_setattr, fd, Arg(""), flags | AT_EMPTY_PATH, Arg(attr),
             sizeof(*attr));
}
inline int Prctl(int option, long a = 0, long b = 0, long c = 0, long d = 0) {
  return Sys(__NR_prctl, option, a, b, c, d);
}
[[noreturn]] inline void Exit(int code) {
  for (;;) Sys(__NR_exit_group, code);
}

// Of CLOCK_MONOTONIC.
inline uint64_t MonotonicNanoseconds() {
  struct {
    int64_t seconds, nanoseconds;
  } now = {};
  Sys(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, Arg(&now));
  return static_cast<uint64_t>(now.seconds) * 1000000000u +
         static_cast<uint64_t>(now.nanoseconds);
}

// Nanoseconds since the Unix epoch.
inline uint64_t WallNanoseconds() {
  struct {
    int64_t seconds, nanoseconds;
  } now = {};
  Sys(__NR_clock_gettime, 0 /* CLOCK_REALTIME */, Arg(&now));
  return static_cast<uint64_t>(now.seconds) * 1000000000u +
         static_cast<uint64_t>(now.nanoseconds);
}

// st_mode's file type; <linux/stat.h> hides these names beside a libc.
inline constexpr unsigned kTypeMask = 0170000;
inline constexpr unsigned kTypeDirectory = 0040000;
inline constexpr unsigned kTypeRegular = 0100000;
inline constexpr unsigned kTypeCharacter = 0020000;
inline constexpr unsigned kTypePipe = 0010000;

inline size_t Length(const char* s) {
  size_t n = 0;
  while (s[n] != 0) ++n;
  return n;
}
inline bool Equal(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}
inline bool StartsWith(const char* s, const char* prefix) {
  while (*prefix != 0 && *s == *prefix) ++s, ++prefix;
  return *prefix == 0;
}
// Writes `value` in decimal with a final NUL and returns the end.
inline char* Decimal(char* out, uint64_t value) {
  char digits[20];
  int n = 0;
  do digits[n++] = static_cast<char>('0' + value % 10);
  while ((value /= 10) != 0);
  while (n > 0) *out++ = digits[--n];
  *out = 0;
  return out;
}
// Copies with its NUL if it fits before `limit`; nullptr if it does not.
inline char* Append(char* out, const char* limit, const char* s) {
  while (out < limit && *s != 0) *out++ = *s++;
  if (out >= limit) return nullptr;
  *out = 0;
  return out;
}

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_SYS_H_
