#include "ctl/volume_users.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace bulwark::ctl {
namespace {

// A slot's volume is called OWNER-VOLUME-SLOT.
bool Means(const std::string& owner, const v1::VolumeMount& mount,
           absl::string_view volume) {
  if (mount.volume().empty()) return false;
  if (!mount.per_replica()) return mount.volume() == volume;
  return absl::ConsumePrefix(&volume,
                             absl::StrCat(owner, "-", mount.volume(), "-")) &&
         !volume.empty() &&
         volume.find_first_not_of("0123456789") == absl::string_view::npos;
}

bool Mounts(const v1::Job& job, absl::string_view volume) {
  const v1::JobSpec& spec = job.spec();
  for (const auto* group : {&spec.containers(), &spec.init_containers()}) {
    for (const v1::Container& c : *group) {
      if (std::any_of(c.volumes().begin(), c.volumes().end(),
                      [&](const v1::VolumeMount& mount) {
                        return Means(job.metadata().name(), mount, volume);
                      })) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> JobsThatMount(const std::vector<v1::Object>& jobs,
                                       absl::string_view volume) {
  std::vector<std::string> names;
  for (const v1::Object& object : jobs) {
    const v1::Job& job = object.job();
    if (job.status().active() > 0 && Mounts(job, volume)) {
      names.push_back(job.metadata().name());
    }
  }
  return names;
}

}  // namespace bulwark::ctl
