// What the conversions of both versions share.
#ifndef ENGINE_OCI_CGROUP_CGROUP_SETTINGS_LIST_H_
#define ENGINE_OCI_CGROUP_CGROUP_SETTINGS_LIST_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/oci/cgroup/cgroup_settings.h"
#include "engine/oci/config/spec.h"

namespace bulwark::engine::oci {

// INVALID_ARGUMENT for what neither version's files can say.
absl::Status CheckResources(const Resources& resources);

// "linux.resources." in front of a field's name.
inline std::string ResourceField(absl::string_view name) {
  return absl::StrCat("linux.resources.", name);
}

// What version 2 has no file for.
inline absl::Status NotInVersion2(absl::string_view field,
                                  absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("set ", ResourceField(field), ": ", why,
                   ": leave it out on this host, whose control groups are of "
                   "version 2"));
}

// "8:16", as both versions write a block device.
inline std::string DeviceNumber(int64_t major, int64_t minor) {
  return absl::StrCat(major, ":", minor);
}

// A list under construction, of one controller at a time.
class CgroupSettingsList {
 public:
  void Controller(absl::string_view name) { controller_ = std::string(name); }

  // Returns it, for what else is to be said of it.
  CgroupSetting& Add(absl::string_view file, std::string value,
                     absl::string_view field) {
    CgroupSetting setting;
    setting.controller = controller_;
    setting.file = std::string(file);
    setting.value = std::move(value);
    setting.field = ResourceField(field);
    settings_.push_back(std::move(setting));
    return settings_.back();
  }

  std::vector<CgroupSetting> Take() { return std::move(settings_); }

 private:
  std::string controller_;
  std::vector<CgroupSetting> settings_;
};

// The four lists of throttled devices, with the words of each version.
struct Throttle {
  const char* field;
  const char* v1_file;
  const char* v2_key;
  const std::vector<ThrottleDevice>* devices;
};
std::vector<Throttle> Throttles(const Resources& resources);

// The one controller that is the same in both versions.
void AddRdma(const Resources& resources, CgroupSettingsList& list);

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_CGROUP_CGROUP_SETTINGS_LIST_H_
