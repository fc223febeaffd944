// Names that the scheduler gives to things outside the store. Each derives
// from a uid, so that every effect can be found and repeated. Pure.
#ifndef SCHEDULER_NAMES_H_
#define SCHEDULER_NAMES_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::scheduler {

// Labels of every container, kept by the engine in its own record.
inline constexpr char kReplicaLabel[] = "bulwark.replica";  // uid
inline constexpr char kReplicaNameLabel[] = "bulwark.replica-name";
inline constexpr char kProjectLabel[] = "bulwark.project";
inline constexpr char kServiceLabel[] = "bulwark.service";
inline constexpr char kJobLabel[] = "bulwark.job";
inline constexpr char kContainerLabel[] = "bulwark.container";

// Label of a job, whose replicas have it as well: the size of the terminal that
// its container begins with, ROWSxCOLUMNS. ctl/run.h has it, too.
inline constexpr char kTerminalLabel[] = "bulwark.terminal";

// "UID-NAME", and "UID-NAME.ATTEMPT" from the second start in a replica on; at
// most 64 characters (a long name is cut and ends in a hash).
std::string ContainerId(absl::string_view replica_uid, absl::string_view name,
                        int attempt);
// The uid in a container's id.
std::string ReplicaUidOf(absl::string_view container_id);

// The sandbox belongs to the slot, not to the replica: the next replica in the
// slot finds namespace and address ready. [a-z0-9], at most 20 characters.
std::string SandboxId(absl::string_view service_uid, int slot);

// "web-0-x2x4z", "web-3".
std::string ReplicaName(absl::string_view service, int slot,
                        absl::string_view uid);
std::string RevisionName(absl::string_view service, int64_t number);
// "job.import-1": no service's, whose names hold no dot.
std::string JobRevisionName(absl::string_view job, int64_t number);

// The image as written, pinned: "host/app:1.4" -> "host/app@sha256:…". An
// image that names a digest already stays as it is.
std::string PinnedReference(absl::string_view image, absl::string_view digest);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_NAMES_H_
