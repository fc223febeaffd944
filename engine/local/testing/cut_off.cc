#include "engine/local/testing/cut_off.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <utility>

namespace bulwark::engine::testing {
namespace {

// What no other message of the daemon brings: plan, lock and gate.
constexpr size_t kOrderControl = CMSG_SPACE(3 * sizeof(int));

CutOff death = CutOff::kNever;
CutOffHooks hooks;
std::atomic<int> bytes = 0;  // that were to be sent to a gate

void Reach(CutOff moment) {
  if (moment != death) return;
  if (hooks.before_death) hooks.before_death();
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

bool IsOrder(const msghdr& message) {
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  return message.msg_controllen == kOrderControl && header != nullptr &&
         header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
}

}  // namespace

void DieAt(CutOff moment, CutOffHooks with) {
  hooks = std::move(with);
  death = moment;
}

ssize_t SendMessage(int fd, const msghdr* message, int flags) {
  const bool order = death != CutOff::kNever && IsOrder(*message);
  if (order && hooks.before_order) hooks.before_order();
  const ssize_t n = syscall(SYS_sendmsg, fd, message, flags);
  if (order) Reach(CutOff::kOrdered);
  return n;
}

ssize_t Send(int fd, const void* data, size_t size, int flags) {
  if (death != CutOff::kNever && size == 1) {
    Reach(++bytes == 1 ? CutOff::kGrouped : CutOff::kRecorded);
  }
  return syscall(SYS_sendto, fd, data, size, flags, nullptr, 0);
}

}  // namespace bulwark::engine::testing

extern "C" {

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return bulwark::engine::testing::SendMessage(fd, message, flags);
}

ssize_t send(int fd, const void* data, size_t size, int flags) {
  return bulwark::engine::testing::Send(fd, data, size, flags);
}

}  // extern "C"
