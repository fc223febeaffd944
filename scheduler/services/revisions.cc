#include "scheduler/services/revisions.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/names.h"
#include "scheduler/rollout/template.h"
#include "scheduler/services/inputs.h"
#include "scheduler/services/reader.h"
#include "scheduler/times.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

constexpr int kCommitTries = 20;

}  // namespace

v1::Revision NextRevision(const v1::Object& owner,
                          const std::vector<v1::Revision>& known,
                          const v1::Template& declared,
                          const std::map<std::string, std::string>& digests) {
  const v1::Metadata& of = store::MetadataOf(owner);
  int64_t number = owner.service().status().revision() + 1;
  for (const v1::Revision& r : known) number = std::max(number, r.number() + 1);
  v1::Revision revision;
  v1::Metadata& metadata = *revision.mutable_metadata();
  metadata.set_name(owner.has_job() ? JobRevisionName(of.name(), number)
                                    : RevisionName(of.name(), number));
  metadata.set_project(store::KeyOf(owner).project);
  metadata.set_generation(1);
  if (owner.has_job()) {
    revision.set_job(of.name());
  } else {
    revision.set_service(of.name());
  }
  revision.set_number(number);
  *revision.mutable_template_() = declared;
  revision.mutable_image_digests()->insert(digests.begin(), digests.end());
  revision.set_hash(TemplateHash(declared, digests));
  *revision.mutable_actor() = of.actor();
  return revision;
}

void Complete(v1::Revision& revision, Clock& clock, Entropy& entropy) {
  revision.mutable_metadata()->set_uid(NewUid(entropy));
  SetTime(revision.mutable_metadata()->mutable_create_time(), clock.Now());
}

std::string RevisionSentence(int64_t number) {
  return absl::StrCat("revision ", number,
                      " is recorded with its images' digests");
}

absl::StatusOr<int64_t> RecordRevision(store::MetadataStore& store,
                                       Clock& clock, Entropy& entropy,
                                       const NewRevision& request) {
  const store::Key& key = request.owner;
  for (int i = 0; i < kCommitTries; ++i) {
    ASSIGN_OR_RETURN(std::optional<v1::Object> owner,
                     FindObject(store, key.kind, key.project, key.name));
    ASSIGN_OR_RETURN(const std::vector<v1::Revision> revisions,
                     ListRevisionsOf(store, key.kind, key.project, key.name));
    ASSIGN_OR_RETURN(const std::optional<v1::Template> now,
                     ReadDeclared(store, owner));
    if (!now.has_value() || !SameTemplate(*now, request.declared) ||
        !request.wanted(revisions)) {
      return 0;
    }
    v1::Object object;
    v1::Revision& revision = *object.mutable_revision();
    revision =
        NextRevision(*owner, revisions, request.declared, request.digests);
    if (!request.actor.name().empty()) {
      *revision.mutable_actor() = request.actor;
    }
    Complete(revision, clock, entropy);
    const absl::Status status =
        store
            .Commit(store::Batch()
                        .Put(store::KeyOf(object), store::Encode(object), 0)
                        .Require(key, store::RevisionOf(*owner)))
            .status();
    if (absl::IsAborted(status)) continue;  // status writers are frequent
    RETURN_IF_ERROR(status);
    return revision.number();
  }
  return absl::AbortedError(absl::StrCat("record a revision of ",
                                         key.ToString(),
                                         ": it changed too often meanwhile"));
}

const v1::Revision* NewestOf(const std::vector<v1::Revision>& revisions,
                             const v1::Template& declared) {
  const v1::Revision* found = nullptr;
  for (const v1::Revision& r : revisions) {
    if (found != nullptr && found->number() > r.number()) continue;
    if (SameTemplate(r.template_(), declared)) found = &r;
  }
  return found;
}

}  // namespace bulwark::scheduler
