// A controller's view of one kind of record, in memory.
#ifndef SCHEDULER_CONTROL_INFORMER_H_
#define SCHEDULER_CONTROL_INFORMER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Lists once, then follows the change log; lists again when it fell behind. The
// view is a little behind the store: decisions that must not be repeated are
// committed with expected revisions. Thread-safe; Start() and Stop() once each.
class Informer {
 public:
  using RecordPtr = std::shared_ptr<const store::Record>;

  // Called for every change, in order, from one thread, after the view has it
  // and all else of its commit. What a listing finds comes as changes too
  // (new, different and vanished records), so nothing is missed. Typically
  // adds a key to a queue. May read the view. Must not block.
  using Handler = std::function<void(const store::Change& change)>;

  // `name` is for the log. The references must outlive this object.
  Informer(std::string name, store::MetadataStore& store, Clock& clock,
           Entropy& entropy, store::Filter filter, Handler handler);
  ~Informer();  // stops

  // Fills the view (handing all records to the handler on this thread) and
  // begins to follow. Errors are the store's.
  absl::Status Start();
  void Stop();

  // Null if there is no such record.
  RecordPtr Get(const store::Key& key) const;
  // In the order of the keys. Shares the records, copies no value.
  std::vector<RecordPtr> List(
      std::optional<absl::string_view> project = std::nullopt) const;

  // The view holds everything up to this revision.
  uint64_t Revision() const;
  // Blocks until the view has `revision`, which is that of a commit that the
  // filter matches: to read what was just committed. Returns whether it came
  // within `timeout`.
  bool AwaitRevision(uint64_t revision, absl::Duration timeout);

 private:
  using View = std::map<store::Key, RecordPtr>;

  void Loop();
  // Follows until something is wrong.
  absl::Status Follow();
  absl::Status Relist();
  void Apply(const std::vector<store::Change>& changes, uint64_t revision);
  bool stopped() const;

  const std::string name_;
  store::MetadataStore& store_;
  Clock& clock_;
  Entropy& entropy_;
  const store::Filter filter_;
  const Handler handler_;

  mutable absl::Mutex mu_;
  View view_ ABSL_GUARDED_BY(mu_);
  uint64_t revision_ ABSL_GUARDED_BY(mu_) = 0;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  store::Watcher* watcher_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::thread thread_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_CONTROL_INFORMER_H_
