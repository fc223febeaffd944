#include "scheduler/control/informer.h"

#include <utility>

#include "base/backoff.h"
#include "base/log.h"
#include "base/status.h"
#include "base/thread_name.h"

namespace bulwark::scheduler {

using ::bulwark::store::Change;
using ::bulwark::store::Key;
using ::bulwark::store::Record;

Informer::Informer(std::string name, store::MetadataStore& store, Clock& clock,
                   Entropy& entropy, store::Filter filter, Handler handler)
    : name_(std::move(name)),
      store_(store),
      clock_(clock),
      entropy_(entropy),
      filter_(std::move(filter)),
      handler_(std::move(handler)) {}

Informer::~Informer() { Stop(); }

absl::Status Informer::Start() {
  RETURN_IF_ERROR_CTX(Relist(), name_);
  thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

void Informer::Stop() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    if (watcher_ != nullptr) watcher_->Cancel();
  }
  if (thread_.joinable()) thread_.join();
}

void Informer::Loop() {
  NameThread(name_);
  const Backoff backoff{.maximum = absl::Seconds(10)};
  int failures = 0;
  while (!stopped()) {
    const uint64_t before = Revision();
    absl::Status error = Follow();
    if (stopped()) return;
    if (Revision() > before) failures = 0;
    if (absl::IsOutOfRange(error)) {
      LOG_INFO("fell behind the change log, listing again",
               {{"informer", name_}});
      error = Relist();
      if (error.ok()) continue;
    }
    if (failures == 0) {
      LOG_WARN("cannot follow the store",
               {{"informer", name_}, {"error", error}});
    }
    absl::MutexLock lock(&mu_);
    clock_.AwaitUntil(
        mu_, absl::Condition(&stop_),
        clock_.Steady() + backoff.Delay(failures++, entropy_.Fraction()));
  }
}

absl::Status Informer::Follow() {
  ASSIGN_OR_RETURN(const std::unique_ptr<store::Watcher> watcher,
                   store_.Watch(Revision(), filter_));
  {
    absl::MutexLock lock(&mu_);
    if (stop_) return absl::OkStatus();
    watcher_ = watcher.get();
  }
  absl::Status error;
  while (true) {
    absl::StatusOr<std::vector<Change>> changes =
        watcher->Next(absl::InfiniteDuration());
    if (!changes.ok()) {
      error = changes.status();
      break;
    }
    Apply(*changes, watcher->Revision());
  }
  absl::MutexLock lock(&mu_);
  watcher_ = nullptr;
  return error;
}

absl::Status Informer::Relist() {
  ASSIGN_OR_RETURN(store::Listing listing, store_.List(filter_));
  View gone;
  {
    absl::MutexLock lock(&mu_);
    gone = view_;
  }
  std::vector<Change> changes;
  for (Record& record : listing.records) {
    auto it = gone.find(record.key);
    const bool known = it != gone.end();
    const bool same = known && it->second->revision == record.revision;
    if (known) gone.erase(it);
    if (same) continue;
    changes.push_back({.revision = record.revision,
                       .op = Change::Op::kPut,
                       .key = std::move(record.key),
                       .value = std::move(record.value),
                       .previous = {},
                       .created = !known});
  }
  for (const auto& [key, record] : gone) {
    changes.push_back({.revision = listing.revision,
                       .op = Change::Op::kDelete,
                       .key = key,
                       .value = {},
                       .previous = record->value});
  }
  Apply(changes, listing.revision);
  return absl::OkStatus();
}

void Informer::Apply(const std::vector<Change>& changes, uint64_t revision) {
  {
    absl::MutexLock lock(&mu_);
    for (const Change& change : changes) {
      if (change.op == Change::Op::kPut) {
        view_[change.key] = std::make_shared<const Record>(
            Record{change.key, change.value, change.revision});
      } else {
        view_.erase(change.key);
      }
    }
    revision_ = revision;
  }
  for (const Change& change : changes) handler_(change);
}

Informer::RecordPtr Informer::Get(const Key& key) const {
  absl::ReaderMutexLock lock(&mu_);
  auto it = view_.find(key);
  return it == view_.end() ? nullptr : it->second;
}

std::vector<Informer::RecordPtr> Informer::List(
    std::optional<absl::string_view> project) const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<RecordPtr> records;
  if (!project.has_value()) records.reserve(view_.size());
  for (const auto& [key, record] : view_) {
    if (!project.has_value() || key.project == *project) {
      records.push_back(record);
    }
  }
  return records;
}

uint64_t Informer::Revision() const {
  absl::ReaderMutexLock lock(&mu_);
  return revision_;
}

bool Informer::AwaitRevision(uint64_t revision, absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  auto there = [this, revision] {
    mu_.AssertReaderHeld();
    return revision_ >= revision;
  };
  return clock_.AwaitUntil(mu_, absl::Condition(&there),
                           clock_.Steady() + timeout);
}

bool Informer::stopped() const {
  absl::ReaderMutexLock lock(&mu_);
  return stop_;
}

}  // namespace bulwark::scheduler
