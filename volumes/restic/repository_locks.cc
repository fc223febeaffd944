#include "volumes/restic/repository_locks.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace bulwark::volumes {
namespace {

// Whether a wait is still wanted.
constexpr absl::Duration kAskEvery = absl::Milliseconds(250);

}  // namespace

absl::StatusOr<RepositoryLocks::Hold> RepositoryLocks::Enter(
    const std::string& path, bool alone, const Wanted& wanted) {
  absl::MutexLock lock(&mu_);
  State& state = states_[path];
  const auto free = [&state, alone] {
    if (state.alone) return false;
    return alone ? state.sharing == 0 : state.waiting == 0;
  };
  if (alone) ++state.waiting;
  bool entered = false;
  bool go_on = true;
  while (go_on && !entered) {
    entered = mu_.AwaitWithTimeout(absl::Condition(&free), kAskEvery);
    if (entered || !wanted) continue;
    mu_.Unlock();
    go_on = wanted();
    mu_.Lock();
  }
  if (alone) --state.waiting;
  if (!entered) {
    return absl::CancelledError(absl::StrCat("wait for repository ", path,
                                             ": nobody waits for it any more"));
  }
  if (alone) {
    state.alone = true;
  } else {
    ++state.sharing;
  }
  return Hold(*this, path, alone);
}

void RepositoryLocks::Leave(const std::string& path, bool alone) {
  absl::MutexLock lock(&mu_);
  State& state = states_[path];
  if (alone) {
    state.alone = false;
  } else {
    --state.sharing;
  }
}

}  // namespace bulwark::volumes
