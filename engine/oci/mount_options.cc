#include "engine/oci/mount_options.h"

#include <linux/mount.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::oci {
namespace {

struct Attribute {
  const char* name;
  uint64_t set;
  uint64_t clear;
};
// Each has a form with "r" before it that holds for what lies below too.
// atime is the kernel's default way of relatime: nothing else is set.
constexpr Attribute kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", 0, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", 0, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", 0, MOUNT_ATTR__ATIME}};

struct Propagation {
  const char* name;
  uint64_t flag;
};
constexpr Propagation kPropagations[] = {{"private", MS_PRIVATE},
                                         {"shared", MS_SHARED},
                                         {"slave", MS_SLAVE},
                                         {"unbindable", MS_UNBINDABLE}};

// What the kernel does anyway, or what is mount(8)'s own.
constexpr const char* kIgnored[] = {
    "defaults", "async",      "loud",     "silent",  "nolazytime",   "nomand",
    "mand",     "noiversion", "iversion", "remount", "copy-symlink", "nofail"};

bool IsIgnored(const std::string& option) {
  for (const char* ignored : kIgnored) {
    if (option == ignored) return true;
  }
  return false;
}

// The later option wins, as with mount(8).
void Apply(const Attribute& attribute, uint64_t& set, uint64_t& clear) {
  set = (set & ~attribute.clear) | attribute.set;
  clear = (clear & ~attribute.set) | attribute.clear;
}

bool TakeAttribute(const std::string& option, MountOptions& out) {
  for (const Attribute& attribute : kAttributes) {
    if (option == attribute.name) {
      Apply(attribute, out.set, out.clear);
      return true;
    }
    // "relatime" and "rw" themselves begin with an r.
    if (option.size() > 1 && option[0] == 'r' &&
        option.compare(1, std::string::npos, attribute.name) == 0) {
      Apply(attribute, out.recursive_set, out.recursive_clear);
      return true;
    }
  }
  return false;
}

}  // namespace

uint64_t PropagationFlag(const std::string& name, bool* recursive) {
  for (const Propagation& propagation : kPropagations) {
    *recursive = false;
    if (name == propagation.name) return propagation.flag;
    *recursive = true;
    if (name == absl::StrCat("r", propagation.name)) return propagation.flag;
  }
  return 0;
}

absl::StatusOr<MountOptions> ParseMountOptions(
    const std::vector<std::string>& options) {
  MountOptions out;
  for (const std::string& option : options) {
    bool recursive = false;
    if (const uint64_t flag = PropagationFlag(option, &recursive); flag != 0) {
      if (out.propagation != 0 && out.propagation != flag) {
        return absl::InvalidArgumentError(
            absl::StrCat("option ", option, " contradicts an earlier one"));
      }
      out.propagation = flag;
      out.recursive_propagation = recursive;
    } else if (option == "bind" || option == "rbind") {
      out.bind = true;
      out.recursive = option == "rbind";
    } else if (option == "idmap" || option == "ridmap") {
      out.id_map = true;
      out.recursive_id_map = option == "ridmap";
    } else if (option == "tmpcopyup") {
      out.copy_up = true;
    } else if (!option.empty() && !IsIgnored(option) &&
               !TakeAttribute(option, out)) {
      out.data.push_back(option);
    }
  }
  return out;
}

std::vector<std::string> MountOptionNames() {
  std::vector<std::string> names = {"bind", "rbind", "idmap", "ridmap",
                                    "tmpcopyup"};
  for (const Attribute& attribute : kAttributes) {
    names.push_back(attribute.name);
    names.push_back(absl::StrCat("r", attribute.name));
  }
  for (const Propagation& propagation : kPropagations) {
    names.push_back(propagation.name);
    names.push_back(absl::StrCat("r", propagation.name));
  }
  for (const char* name : kIgnored) names.push_back(name);
  return names;
}

}  // namespace bulwark::engine::oci
