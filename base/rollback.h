// Undo for operations of several steps.
#ifndef BASE_ROLLBACK_H_
#define BASE_ROLLBACK_H_

#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace bulwark {

// Runs the registered undo steps in reverse order on destruction, unless
// Commit() was called: that is the last line of a successful operation.
// Thread-compatible.
class Rollback {
 public:
  Rollback() = default;
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    for (auto it = steps_.rbegin(); it != steps_.rend(); ++it) (*it)();
  }

  void Add(absl::AnyInvocable<void()> undo) {
    steps_.push_back(std::move(undo));
  }
  void Commit() { steps_.clear(); }

 private:
  std::vector<absl::AnyInvocable<void()>> steps_;
};

}  // namespace bulwark

#endif  // BASE_ROLLBACK_H_
