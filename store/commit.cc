#include "store/commit.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::store {
namespace {

absl::Status CheckExpected(const Key& key, Expected expected,
                           const std::optional<Stored>& found) {
  const uint64_t actual = found.has_value() ? found->revision : 0;
  if (!expected.has_value() || *expected == actual) return absl::OkStatus();
  const std::string prefix = absl::StrCat("commit ", key.ToString(), ": ");
  if (*expected == 0) {
    return absl::AbortedError(
        absl::StrCat(prefix, "it exists already, with revision ", actual));
  }
  if (actual == 0) {
    return absl::AbortedError(absl::StrCat(
        prefix, "it does not exist any more, expected revision ", *expected));
  }
  return absl::AbortedError(absl::StrCat(prefix, "its revision is ", actual,
                                         ", expected ", *expected));
}

}  // namespace

absl::Status ValidateBatch(const Batch& batch) {
  std::vector<const Key*> keys;
  keys.reserve(batch.items().size());
  for (const Batch::Item& item : batch.items()) {
    RETURN_IF_ERROR(item.key.Validate());
    if (item.value.size() > kMaxValue) {
      return absl::InvalidArgumentError(absl::StrCat(
          "commit ", item.key.ToString(), ": the value has ", item.value.size(),
          " bytes, at most ", kMaxValue, " are allowed"));
    }
    keys.push_back(&item.key);
  }
  std::sort(keys.begin(), keys.end(),
            [](const Key* a, const Key* b) { return *a < *b; });
  for (size_t i = 1; i < keys.size(); ++i) {
    if (*keys[i - 1] == *keys[i]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "commit ", keys[i]->ToString(), ": the key is twice in one batch"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Change>> PlanCommit(const Batch& batch,
                                               uint64_t revision,
                                               Lookup lookup) {
  std::vector<Change> changes;
  for (const Batch::Item& item : batch.items()) {
    ASSIGN_OR_RETURN(std::optional<Stored> found, lookup(item.key));
    RETURN_IF_ERROR(CheckExpected(item.key, item.expected, found));
    switch (item.op) {
      case Batch::Item::Op::kPut:
        changes.push_back({.revision = revision,
                           .op = Change::Op::kPut,
                           .key = item.key,
                           .value = item.value,
                           .previous = {},
                           .created = !found.has_value()});
        break;
      case Batch::Item::Op::kDelete:
        if (!found.has_value()) break;
        changes.push_back({.revision = revision,
                           .op = Change::Op::kDelete,
                           .key = item.key,
                           .value = {},
                           .previous = std::move(found->value)});
        break;
      case Batch::Item::Op::kRequire:
        break;
    }
  }
  return changes;
}

absl::Status NoSuchRecord(const Key& key) {
  return absl::NotFoundError(
      absl::StrCat("get ", key.ToString(), ": no such record"));
}

}  // namespace bulwark::store
