// The files of secrets and configs that a container reads.
#ifndef SCHEDULER_REPLICA_INPUTS_H_
#define SCHEDULER_REPLICA_INPUTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/container_spec.h"
#include "proto/bulwark/v1/service.pb.h"
#include "scheduler/rollout/inputs.h"
#include "secrets/delivery.h"
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
  // The references must outlive this object.
  InputFiles(store::MetadataStore& store, secrets::Delivery& delivery)
      : store_(store), delivery_(delivery) {}

  // Makes the files of a container that is about to start. UNAVAILABLE, which
  // may pass, while a version is missing or the secrets are sealed.
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

  store::MetadataStore& store_;
  secrets::Delivery& delivery_;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_INPUTS_H_
