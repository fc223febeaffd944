// What every implementation of the store shares: the rules of a commit.
#ifndef STORE_COMMIT_H_
#define STORE_COMMIT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "store/store.h"

namespace bulwark::store {

// One entry of the change log. Never empty.
struct CommitEntry {
  uint64_t revision = 0;
  absl::Time time;  // wall time of the commit, for the log's retention
  std::vector<Change> changes;
};
using CommitPtr = std::shared_ptr<const CommitEntry>;

// What a store holds under one key.
struct Stored {
  uint64_t revision = 0;
  std::string value;
};

// Nothing if the key does not exist.
using Lookup =
    absl::FunctionRef<absl::StatusOr<std::optional<Stored>>(const Key&)>;

// INVALID_ARGUMENT for a malformed or repeated key, or too large a value.
absl::Status ValidateBatch(const Batch& batch);

// The changes that `batch` makes to the state that `lookup` shows, with
// `revision` in each. Pure. ABORTED if an expected revision does not hold;
// errors of `lookup` pass through.
absl::StatusOr<std::vector<Change>> PlanCommit(const Batch& batch,
                                               uint64_t revision,
                                               Lookup lookup);

// The error of Get() for a missing key.
absl::Status NoSuchRecord(const Key& key);

}  // namespace bulwark::store

#endif  // STORE_COMMIT_H_
