#include "engine/child/spin.h"

#include "engine/child/sys.h"

namespace bulwark::child {

void SpinForInput(int fd, uint64_t limit) {
  struct {
    int fd;
    short events, revents;
  } poll = {fd, 1 /* POLLIN */, 0};
  const int64_t none[2] = {};  // struct timespec
  const uint64_t end = MonotonicNanoseconds() + limit;
  while (Sys(__NR_ppoll, Arg(&poll), 1, Arg(none), 0, 0) == 0 &&
         MonotonicNanoseconds() < end) {
    Sys(__NR_sched_yield);
  }
}

}  // namespace bulwark::child
