// The store in memory, for tests and the simulator. Nothing outlives it.
#ifndef STORE_MEM_MEM_STORE_H_
#define STORE_MEM_MEM_STORE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "store/feed.h"
#include "store/store.h"

namespace bulwark::store {

// See MetadataStore. Everything is "durable" as long as the object lives.
class MemStore final : public MetadataStore {
 public:
  // Called with each valid batch before it is applied; an error is returned
  // from Commit and nothing is written. For tests of what a full or failing
  // disk does.
  using Fault = std::function<absl::Status(const Batch&)>;

  explicit MemStore(Clock& clock, LogRetention retention = {});
  ~MemStore() override;

  absl::StatusOr<uint64_t> Commit(const Batch& batch) override;
  absl::Status AwaitDurable(uint64_t revision) override;
  absl::StatusOr<Record> Get(const Key& key) override;
  absl::StatusOr<Listing> List(const Filter& filter) override;
  absl::StatusOr<std::unique_ptr<Watcher>> Watch(uint64_t after,
                                                 const Filter& filter) override;
  uint64_t CurrentRevision() override;
  std::string InstanceId() override { return "in-memory"; }

  // Null turns faults off.
  void SetFault(Fault fault);
  // What AwaitDurable() answers from now on: as if a disk did not keep what is
  // seen early.
  void SetDurable(absl::Status status);

 private:
  Clock& clock_;
  const LogRetention retention_;
  Feed feed_;

  absl::Mutex mu_;
  uint64_t revision_ ABSL_GUARDED_BY(mu_) = 0;
  Fault fault_ ABSL_GUARDED_BY(mu_);
  absl::Status durable_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Record> records_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::store

#endif  // STORE_MEM_MEM_STORE_H_
