// Starts a program beside the caller, who goes on while it is executed: that
// takes as long as much of a launch's own preparations. Without a libc, since
// the new process has the caller's memory until it executes, errno included.
#ifndef ENGINE_LAUNCH_SPAWN_H_
#define ENGINE_LAUNCH_SPAWN_H_

#include <stddef.h>
#include <stdint.h>

namespace bulwark::engine {

struct PassedFd {
  int from;
  int to;  // below 200
};

// One start. Stays where it is, with all that it points to, until AwaitSpawn()
// has returned.
struct BackgroundSpawn {
  // Set by who starts. `fds` is overwritten.
  int program = -1;  // descriptor
  char** args = nullptr;
  char** env = nullptr;
  PassedFd* fds = nullptr;
  size_t fd_count = 0;
  // Set by BeginSpawn().
  int pid = -1;
  int pidfd = -1;
  // Set by the new process, and by the kernel once it executes or is gone.
  volatile int error = 0;
  volatile uint32_t running = 0;
  alignas(16) char stack[8 << 10];
};

// Makes the process, with every signal blocked; the descriptors may be closed
// as soon as this returns. 0 or a negative errno.
int BeginSpawn(BackgroundSpawn* spawn);

// Blocks until the program is executed, or cannot be: 0 or a negative errno.
// Has to be called once BeginSpawn() has succeeded; may be called again.
int AwaitSpawn(BackgroundSpawn* spawn);

}  // namespace bulwark::engine

#endif  // ENGINE_LAUNCH_SPAWN_H_
