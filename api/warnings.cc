#include "api/warnings.h"

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "api/validate_image_update.h"
#include "base/units.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using Warnings = std::vector<std::string>;

// "nginx", "nginx:latest", "host:5000/nginx".
bool IsFloating(absl::string_view image) {
  if (absl::StrContains(image, "@")) return false;
  const size_t slash = image.rfind('/');
  const absl::string_view last =
      slash == absl::string_view::npos ? image : image.substr(slash + 1);
  const size_t colon = last.find(':');
  return colon == absl::string_view::npos || last.substr(colon) == ":latest";
}

// `what` takes up to `size` of memory. Nothing is told where either is 0.
void WarnOfMemory(absl::string_view what, int64_t size, int64_t host_memory,
                  Warnings& warnings) {
  if (host_memory == 0 || size <= host_memory) return;
  warnings.push_back(absl::StrCat(
      what, " holds up to ", FormatBytes(size),
      ", more than the host's memory, which is ", host_memory >> 20,
      "Mi; give a size that leaves room for others"));
}

void WarnOfContainer(const v1::Container& container, int64_t host_memory,
                     Warnings& warnings) {
  if (IsFloating(container.image())) {
    warnings.push_back(absl::StrCat(
        "image ", container.image(),
        " has no fixed tag, so that a later apply may run another one; name a "
        "tag, such as :1.4"));
  }
  if (container.resources().memory().limit() == 0) {
    warnings.push_back(absl::StrCat(
        "container ", container.name(),
        " has no memory limit and may use up the host's; add `resources: "
        "{memory: 256Mi}`"));
  }
  for (const v1::TmpfsMount& tmpfs : container.tmpfs()) {
    WarnOfMemory(absl::StrCat("tmpfs ", tmpfs.path(), " of container ",
                              container.name()),
                 tmpfs.size(), host_memory, warnings);
  }
  WarnOfMemory(absl::StrCat("/dev/shm of container ", container.name()),
               container.shm_size(), host_memory, warnings);
  if (container.profile() == v1::Container::PRIVILEGED) {
    warnings.push_back(
        absl::StrCat("container ", container.name(),
                     " is privileged: whoever controls it controls the host"));
  } else if (container.host_users()) {
    warnings.push_back(absl::StrCat(
        "container ", container.name(),
        " has the host's users: what it breaks out of, it leaves as root"));
  }
}

void WarnOfContainers(
    const google::protobuf::RepeatedPtrField<v1::Container>& containers,
    int64_t host_memory, Warnings& warnings) {
  for (const v1::Container& container : containers) {
    WarnOfContainer(container, host_memory, warnings);
  }
}

void WarnOfPorts(const v1::ServiceSpec& written,
                 const v1::ServiceSpec& defaulted, Warnings& warnings) {
  for (int i = 0; i < defaulted.ports_size(); ++i) {
    const v1::Port& port = defaulted.ports(i);
    if (port.listen() == v1::Port::LOCALHOST && port.host_port() != 0 &&
        i < written.ports_size() &&
        written.ports(i).listen() == v1::Port::LISTEN_UNSPECIFIED) {
      warnings.push_back(absl::StrCat(
          "port ", port.host_port(),
          " listens on localhost only; add `listen: all` to reach it from "
          "other hosts"));
    }
  }
}

}  // namespace

Warnings WarningsOf(const v1::Object& written, const v1::Object& defaulted,
                    int64_t host_memory) {
  Warnings warnings;
  if (defaulted.has_service()) {
    const v1::ServiceSpec& spec = defaulted.service().spec();
    WarnOfPorts(written.service().spec(), spec, warnings);
    WarnOfContainers(spec.init_containers(), host_memory, warnings);
    WarnOfContainers(spec.sidecars(), host_memory, warnings);
    WarnOfContainers(spec.containers(), host_memory, warnings);
    std::string update = WarningOfImageUpdate(spec);
    if (!update.empty()) warnings.push_back(std::move(update));
  } else if (defaulted.has_job() || defaulted.has_cron_job()) {
    const v1::JobSpec& spec = defaulted.has_job()
                                  ? defaulted.job().spec()
                                  : defaulted.cron_job().spec().job();
    WarnOfContainers(spec.init_containers(), host_memory, warnings);
    WarnOfContainers(spec.containers(), host_memory, warnings);
  } else if (defaulted.has_volume() &&
             defaulted.volume().spec().driver() == v1::VolumeSpec::TMPFS) {
    WarnOfMemory("it", defaulted.volume().spec().size(), host_memory, warnings);
  }
  return warnings;
}

std::vector<std::string> WarningsOfMissing(
    const v1::Object& object,
    absl::FunctionRef<bool(const store::Key& key)> exists) {
  std::set<std::string> warnings;
  const auto look = [&](const char* kind, const auto& mounts) {
    for (const auto& mount : mounts) {
      if (mount.name().empty() ||
          exists(store::ObjectKey(kind, store::MetadataOf(object).project(),
                                  mount.name()))) {
        continue;
      }
      warnings.insert(absl::StrCat(
          kind, " ", mount.name(), " does not exist; what reads it waits for `",
          "ctl ", kind, " create ", mount.name(), "`"));
    }
  };
  const auto look_at_all = [&](const auto& containers) {
    for (const v1::Container& container : containers) {
      look("secret", container.secrets());
      look("config", container.configs());
    }
  };
  const auto look_at_spec = [&](const auto& spec) {
    look_at_all(spec.containers());
    look_at_all(spec.init_containers());
  };
  if (object.has_service()) {
    look_at_spec(object.service().spec());
    look_at_all(object.service().spec().sidecars());
  } else if (object.has_job()) {
    look_at_spec(object.job().spec());
  } else if (object.has_cron_job()) {
    look_at_spec(object.cron_job().spec().job());
  }
  return std::vector<std::string>(warnings.begin(), warnings.end());
}

}  // namespace bulwark::api
