#include "store/catch_up.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/status.h"

namespace bulwark::store {
namespace {

// With more commits than that behind, listing is cheaper than reading them.
constexpr uint64_t kFarBehind = 2000;

}  // namespace

absl::StatusOr<uint64_t> CatchUp::Run(
    absl::FunctionRef<void()> reset,
    absl::FunctionRef<void(const Key&, absl::string_view, uint64_t)> put,
    absl::FunctionRef<void(const Key&)> gone) {
  // Ours only once all has gone well.
  std::unique_ptr<Watcher> watcher = std::move(watcher_);
  const uint64_t now = store_.CurrentRevision();
  if (watcher != nullptr && now < watcher->Revision() + kFarBehind) {
    while (watcher->Revision() < now) {
      absl::StatusOr<std::vector<Change>> changes =
          watcher->Next(absl::ZeroDuration());
      if (!changes.ok()) {
        watcher = nullptr;  // it fell behind, or the store was opened anew
        break;
      }
      for (const Change& change : *changes) {
        if (std::find(kinds_.begin(), kinds_.end(), change.key.kind) ==
            kinds_.end()) {
          continue;
        }
        if (change.op == Change::Op::kPut) {
          put(change.key, change.value, change.revision);
        } else {
          gone(change.key);
        }
      }
      if (changes->empty()) break;
    }
    if (watcher != nullptr) {
      watcher_ = std::move(watcher);
      return watcher_->Revision();
    }
  }
  // The watch begins first: what comes between is told once more, later.
  ASSIGN_OR_RETURN(watcher, store_.Watch(now, Filter{}));
  reset();
  uint64_t revision = now;
  for (const std::string& kind : kinds_) {
    Filter filter;
    filter.kind = kind;
    ASSIGN_OR_RETURN(const Listing listing, store_.List(filter));
    revision = listing.revision;
    for (const Record& record : listing.records) {
      put(record.key, record.value, record.revision);
    }
  }
  watcher_ = std::move(watcher);
  return revision;
}

}  // namespace bulwark::store
