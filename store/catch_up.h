// Keeps somebody's own picture of some kinds of records up to date.
#ifndef STORE_CATCH_UP_H_
#define STORE_CATCH_UP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "store/store.h"

namespace bulwark::store {

// Tells what has changed since the last call, so that who needs all records of
// a kind with each decision need not list and decode them each time. Costs
// nothing in between. Must not outlive the store. Thread-compatible.
class CatchUp {
 public:
  CatchUp(MetadataStore& store, std::vector<std::string> kinds)
      : store_(store), kinds_(std::move(kinds)) {}

  // After it the picture holds at least all whose Commit() had returned before
  // the call, and whatever made a commit fail with ABORTED before it. Returns
  // the revision that it is as of.
  //
  // `reset`: forget everything; every record follows. `put` and `gone`: one
  // record, in the order of commits. After an error everything follows next
  // time. Errors: those of List() and Watch().
  absl::StatusOr<uint64_t> Run(
      absl::FunctionRef<void()> reset,
      absl::FunctionRef<void(const Key&, absl::string_view value,
                             uint64_t revision)>
          put,
      absl::FunctionRef<void(const Key&)> gone);

 private:
  MetadataStore& store_;
  const std::vector<std::string> kinds_;
  std::unique_ptr<Watcher> watcher_;  // null: everything has to be read
};

}  // namespace bulwark::store

#endif  // STORE_CATCH_UP_H_
