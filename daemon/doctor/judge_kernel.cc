// The kernel, its control groups and namespaces.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "daemon/doctor/judge.h"
#include "os/kernel.h"

namespace bulwark::daemon {
namespace {

// cgroup.kill.
constexpr os::KernelVersion kOldest = {5, 14};
// The oldest that is tested.
constexpr os::KernelVersion kTested = {6, 1};

void Kernel(const HostFacts& facts, v1::DoctorResponse& response) {
  const auto version = os::ParseKernelVersion(facts.kernel);
  const std::string name = absl::StrCat("Linux ", facts.kernel);
  if (!version.ok()) {
    AddLimited(response, "kernel",
               absl::StrCat(name,
                            ": a version that is not understood; newer "
                            "features may stay unused"),
               "report it");
  } else if (!version->AtLeast(kOldest.major, kOldest.minor)) {
    AddBad(response, "kernel",
           absl::StrCat(name,
                        " cannot kill a control group at once: a "
                        "container that forks fast may outlive its stop"),
           "boot Linux 6.1 or newer");
  } else if (!version->AtLeast(kTested.major, kTested.minor)) {
    AddLimited(response, "kernel",
               absl::StrCat(name, " is older than what is tested"),
               "boot Linux 6.1 or newer");
  } else if (!facts.max_kernel.empty()) {
    AddLimited(response, "kernel",
               absl::StrCat(name, "; nothing newer than ", facts.max_kernel,
                            " is used (--max-kernel)"),
               "leave --max-kernel out, which is for tests");
  } else {
    AddGood(response, "kernel", name);
  }
}

void Overlay(const HostFacts& facts, v1::DoctorResponse& response) {
  if (!facts.overlay) {
    AddBad(response, "overlay",
           "the kernel has no overlay file system: no container starts",
           "modprobe overlay, or boot a kernel with CONFIG_OVERLAY_FS");
    return;
  }
  AddGood(response, "overlay",
          facts.overlay_layer_fds
              ? "root file systems are mounted without a trace on the host"
              : "root file systems are mounted by path (layer descriptors need "
                "Linux 6.13)");
}

void Namespaces(const HostFacts& facts, v1::DoctorResponse& response) {
  if (!facts.missing_namespaces.empty()) {
    AddBad(response, "namespaces",
           absl::StrCat("the kernel lacks namespaces, and no container starts "
                        "without them: ",
                        absl::StrJoin(facts.missing_namespaces, ", ")),
           "boot a kernel that has them, such as Debian's own");
  } else if (facts.max_user_namespaces == 0) {
    AddLimited(response, "namespaces",
               "user namespaces are switched off: containers' root stays the "
               "host's, with fewer rights",
               "sysctl user.max_user_namespaces=15000");
  } else if (!facts.host_users.empty()) {
    AddLimited(response, "namespaces",
               absl::StrCat("containers' root stays the host's, with fewer "
                            "rights: ",
                            facts.host_users),
               "set --id-base, and keep the state directory on ext4, xfs or "
               "btrfs; then restart bulwarkd");
  } else if (!facts.shared_ids.empty()) {
    AddLimited(response, "namespaces",
               absl::StrCat("containers may have the users of others: from "
                            "--id-base on the ids are ours, but ",
                            absl::StrJoin(facts.shared_ids, ", ")),
               "set --id-base beyond them, or change those lines; a replica "
               "keeps its ids until it is replaced");
  } else {
    AddGood(response, "namespaces",
            "net, pid, mnt, ipc, uts, cgroup and user are there");
  }
}

void Cgroups(const HostFacts& facts, v1::DoctorResponse& response) {
  if (!facts.cgroup_error.empty()) {
    AddBad(response, "cgroups",
           absl::StrCat(facts.cgroup_error, ": no container starts"),
           "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 "
           "cgroup2 /sys/fs/cgroup/unified");
    return;
  }
  const std::string layout =
      facts.v1_controllers.empty()
          ? "version 2"
          : absl::StrCat("hybrid: version 1 limits by ",
                         absl::StrJoin(facts.v1_controllers, ", "),
                         "; version 2 kills and freezes");
  std::vector<std::string> missing;
  for (const char* controller : {"cpu", "memory", "pids"}) {
    if (facts.v1_controllers.count(controller) == 0 &&
        facts.v2_controllers.count(controller) == 0) {
      missing.push_back(controller);
    }
  }
  if (missing.empty()) {
    AddGood(response, "cgroups", layout);
    return;
  }
  AddLimited(
      response, "cgroups",
      absl::StrCat(layout, "; no controller for ", absl::StrJoin(missing, ", "),
                   ": containers with such a limit do not start"),
      "give bulwarkd the controllers: Delegate=yes in its unit, and no "
      "cgroup_disable= on the kernel's command line");
}

void Pressure(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.pressure) {
    AddGood(response, "pressure", "stalls are measured");
  } else {
    AddLimited(response, "pressure",
               "the kernel measures no stalls (PSI): their metrics are absent",
               "boot with psi=1");
  }
}

}  // namespace

void JudgeKernel(const HostFacts& facts, v1::DoctorResponse& response) {
  Kernel(facts, response);
  Overlay(facts, response);
  Namespaces(facts, response);
  Cgroups(facts, response);
  Pressure(facts, response);
}

}  // namespace bulwark::daemon
