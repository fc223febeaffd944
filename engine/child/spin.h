// Waiting without sleeping. A processor that sleeps takes 30 to 100 us to wake
// in a virtual machine, which is as long as many of the waits of a launch; and
// the kernel prefers to place what wakes up on one that is awake.
#ifndef ENGINE_CHILD_SPIN_H_
#define ENGINE_CHILD_SPIN_H_

#include <stdint.h>

namespace bulwark::child {

// Asks whether `fd` can be read until it can, or has come to its end or an
// error, for at most `limit` nanoseconds; lets whatever else can run go first
// each time. Who calls still has to wait for it.
void SpinForInput(int fd, uint64_t limit);

}  // namespace bulwark::child

#endif  // ENGINE_CHILD_SPIN_H_
