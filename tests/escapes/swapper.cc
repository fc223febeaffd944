#include "tests/escapes/swapper.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/check.h"

namespace bulwark::escapes {
namespace {

constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE

}  // namespace

Swapper::Swapper(std::string a, std::string b)
    : a_(std::move(a)), b_(std::move(b)), thread_([this] { Loop(); }) {}

Swapper::~Swapper() {
  stop_ = true;
  thread_.join();
}

void Swapper::Loop() {
  while (!stop_) {
    const long result = syscall(SYS_renameat2, AT_FDCWD, a_.c_str(), AT_FDCWD,
                                b_.c_str(), kExchange);
    // Where it is mounted on in our own namespace, too, it stays for a while.
    CHECK(result == 0 || errno == EBUSY);
    if (result == 0) ++swaps_;
    // Long enough for the other side to see either.
    if (swaps_ % 4 == 0) sched_yield();
  }
}

}  // namespace bulwark::escapes
