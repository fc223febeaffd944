// The files of secrets and configs that a container reads.
#ifndef SCHEDULER_REPLICA_INPUTS_H_
#define SCHEDULER_REPLICA_INPUTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/container_spec.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/rollout/inputs.h"
#include "secrets/delivery.h"
#include "secrets/reads.h"
#include "store/store.h"

namespace bulwark::scheduler {

// One container and what it is made of.
struct InputReader {
  const v1::Replica& replica;
  const v1::Revision& revision;
  const v1::Container& container;
  std::string id;  // of the engine
};

// Thread-safe for different containers.
class InputFiles {
 public:
  // The references must outlive this object. `record` is told of each version
  // of a secret before a container has it.
  InputFiles(store::MetadataStore& store, secrets::Delivery& delivery,
             secrets::RecordReads record)
      : store_(store), delivery_(delivery), record_(std::move(record)) {}

  // Makes the files of a container that is about to start. UNAVAILABLE, which
  // may pass, while a version is missing, the secrets are sealed, or what the
  // container reads cannot be recorded.
  absl::StatusOr<std::vector<engine::Mount>> Deliver(const InputReader& reader);

  // Swaps the files of a container that runs, if it reads the newest version of
  // something that has a newer one than it knows. Whether it did: then the
  // container is to be told, and Acknowledge() called. After a crash in between
  // it says so again.
  absl::StatusOr<bool> Swap(const InputReader& reader);
  absl::Status Acknowledge(const InputReader& reader);

  // Removes the files of a container that has ended.
  absl::Status Withdraw(absl::string_view container_id);

 private:
  absl::StatusOr<InputVersions> VersionsOf(const InputReader& reader);
  absl::StatusOr<std::vector<secrets::DeliveredMount>> Write(
      const InputReader& reader, const InputVersions& versions);
  absl::StatusOr<secrets::DeliveredFile> FileOf(const InputReader& reader,
                                                const std::string& kind,
                                                const std::string& name,
                                                int64_t version);
  absl::Status Record(const InputReader& reader, const InputVersions& versions);

  store::MetadataStore& store_;
  secrets::Delivery& delivery_;
  const secrets::RecordReads record_;

  absl::Mutex mu_;
  // By container, the note of what is on record: what is tried again is not
  // recorded again.
  std::map<std::string, std::string, std::less<>> recorded_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_INPUTS_H_
