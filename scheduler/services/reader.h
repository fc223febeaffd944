// Typed reads of what belongs to one service or job.
#ifndef SCHEDULER_SERVICES_READER_H_
#define SCHEDULER_SERVICES_READER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/key.h"
#include "store/store.h"

namespace bulwark::scheduler {

// The service or job (of a revision: "job.NAME") in the name of a replica or
// revision, for records that cannot be read; empty if it has not that form.
// Pure.
std::string OwnerInName(const store::Key& key);

// Objects of `kind` whose names begin with "SERVICE-"; the caller drops those
// of "SERVICE-something". DATA_LOSS if one that is the service's own by its
// name cannot be read: whoever counts them must not take it for absent.
absl::StatusOr<std::vector<v1::Object>> ListOwned(store::MetadataStore& store,
                                                  const std::string& kind,
                                                  const std::string& project,
                                                  const std::string& service);

// The replicas and revisions of the service with that name.
absl::StatusOr<std::vector<v1::Replica>> ListReplicas(
    store::MetadataStore& store, const std::string& project,
    const std::string& service);
absl::StatusOr<std::vector<v1::Revision>> ListRevisions(
    store::MetadataStore& store, const std::string& project,
    const std::string& service);

// The same of a job, and of an owner of either kind, "service" or "job".
absl::StatusOr<std::vector<v1::Replica>> ListReplicasOfJob(
    store::MetadataStore& store, const std::string& project,
    const std::string& job);
absl::StatusOr<std::vector<v1::Revision>> ListRevisionsOf(
    store::MetadataStore& store, const std::string& kind,
    const std::string& project, const std::string& name);

// Nothing if there is no such object.
absl::StatusOr<std::optional<v1::Object>> FindObject(
    store::MetadataStore& store, const std::string& kind,
    const std::string& project, const std::string& name);
absl::StatusOr<std::optional<v1::Object>> FindService(
    store::MetadataStore& store, const std::string& project,
    const std::string& service);

// The key of the service or job that the replica belongs to.
store::Key OwnerKeyOf(const v1::Replica& replica);

// Where the revision that the replica executes is kept.
store::Key RevisionKeyOf(const v1::Replica& replica);
// What the autoscaler has recorded of the service. Nothing if it does not
// autoscale, or has no record yet, or only one of an earlier service of its
// name.
absl::StatusOr<std::optional<v1::Scale>> FindScale(store::MetadataStore& store,
                                                   const v1::Service& service);
// The count in it, as SettingsOf() takes it.
std::optional<int> CountOf(const std::optional<v1::Scale>& scale);
// Makes the commit depend on the record being as it was read, if there is one.
void RequireScale(const std::optional<v1::Scale>& scale, store::Batch& batch);

// "PROJECT/NAME", the form of keys in the queues.
std::string QueueKey(const store::Key& key);
std::string QueueKey(const v1::Metadata& metadata);
absl::StatusOr<store::Key> ParseQueueKey(const std::string& kind,
                                         const std::string& key);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_READER_H_
