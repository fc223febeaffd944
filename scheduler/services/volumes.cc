#include "scheduler/services/volumes.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/volumes/mounted.h"
#include "scheduler/volumes/records.h"

namespace bulwark::scheduler {

absl::Status ReadVolumes(store::MetadataStore& store, const store::Key& key,
                         ServiceView& view) {
  // What it declares, and what its replicas have.
  std::vector<v1::Template> templates = {TemplateOf(view.service.spec())};
  std::set<int64_t> live;
  for (const v1::Replica& r : view.replicas) {
    if (!HasEnded(r)) live.insert(r.spec().revision());
  }
  std::set<std::string> named;
  for (const v1::Revision& r : view.revisions) {
    named.merge(NamedVolumes(r.template_()));
    if (live.contains(r.number())) templates.push_back(r.template_());
  }
  named.merge(NamedVolumes(templates.front()));
  ASSIGN_OR_RETURN(view.single_writer,
                   SingleWriterAmong(store, key.project, named));
  ASSIGN_OR_RETURN(const std::set<std::string> held,
                   HeldVolumes(store, key.project));
  for (const v1::Template& t : templates) {
    const std::string volume = FirstMounted(t, key.name, held);
    if (volume.empty()) continue;
    view.held = absl::StrCat("volume ", volume,
                             " is being restored; the service starts again "
                             "when that is done");
  }
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
