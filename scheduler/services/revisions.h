// Recording what a service or job is made of from now on.
#ifndef SCHEDULER_SERVICES_REVISIONS_H_
#define SCHEDULER_SERVICES_REVISIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/store.h"

namespace bulwark::scheduler {

struct NewRevision {
  store::Key owner;  // the service or job
  v1::Template declared;
  std::map<std::string, std::string> digests;  // by image as written
  // Who wanted it. Unset name: who last changed the owner.
  v1::Identity actor;
  // Whether it is still wanted, given all revisions of the owner.
  std::function<bool(const std::vector<v1::Revision>&)> wanted;
};

// Durably records it under the next number, which is returned; 0 if the owner
// does not declare that any more, or it is not wanted. ABORTED if the owner
// changed too often meanwhile.
absl::StatusOr<int64_t> RecordRevision(store::MetadataStore& store,
                                       Clock& clock, Entropy& entropy,
                                       const NewRevision& request);

// The revision after `known` ones, made of `declared` with these digests, by
// who last changed the owner; without uid and time. Pure.
v1::Revision NextRevision(const v1::Object& owner,
                          const std::vector<v1::Revision>& known,
                          const v1::Template& declared,
                          const std::map<std::string, std::string>& digests);
// Gives it a uid, and the time.
void Complete(v1::Revision& revision, Clock& clock, Entropy& entropy);

// What is told of a new revision.
std::string RevisionSentence(int64_t number);

// The revision with the highest number that is made of `declared`; null: none.
const v1::Revision* NewestOf(const std::vector<v1::Revision>& revisions,
                             const v1::Template& declared);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_SERVICES_REVISIONS_H_
