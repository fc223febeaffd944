#include <algorithm>

#include "engine/oci/config/names.h"
#include "engine/oci/config/parse_parts.h"

namespace bulwark::engine::oci {
namespace {

uint64_t ReadCapabilitySet(const JsonReader& in) {
  uint64_t mask = 0;
  in.ForEach([&](const JsonReader& element) {
    std::string name;
    element.Get(name);
    // One that the kernel or we do not know cannot be granted; the
    // specification wants no error.
    const std::optional<int> number = CapabilityNumber(name);
    if (number.has_value()) mask |= uint64_t{1} << *number;
  });
  return mask;
}

void ReadRlimits(const JsonReader& in, std::vector<Rlimit>& out) {
  in.ForEach([&](const JsonReader& element) {
    std::string name;
    element["type"].Get(name);
    const std::optional<int> number = RlimitNumber(name);
    if (!number.has_value()) {
      return element["type"].Fail(
          absl::StrCat("\"", name, "\" is no limit of this kernel"));
    }
    Rlimit limit;
    limit.resource = *number;
    element["soft"].Get(limit.soft);
    element["hard"].Get(limit.hard);
    if (limit.soft > limit.hard) {
      element["soft"].Fail(
          absl::StrCat(limit.soft, " is more than hard, ", limit.hard));
    }
    for (const Rlimit& other : out) {
      if (other.resource == limit.resource) {
        element["type"].Fail(absl::StrCat(name, " is there twice"));
      }
    }
    out.push_back(limit);
  });
}

void ReadScheduler(const JsonReader& in, std::optional<Scheduler>& out) {
  if (!in.present()) return;
  Scheduler scheduler;
  std::string policy;
  in["policy"].Get(policy);
  const std::optional<uint32_t> number = SchedulerPolicy(policy);
  if (!number.has_value()) {
    in["policy"].Fail(absl::StrCat("\"", policy, "\" is no policy"));
  } else {
    scheduler.policy = *number;
  }
  in["nice"].Get(scheduler.nice);
  in["priority"].Get(scheduler.priority);
  in["flags"].ForEach([&](const JsonReader& element) {
    std::string name;
    element.Get(name);
    const std::optional<uint64_t> flag = SchedulerFlag(name);
    if (!flag.has_value()) {
      return element.Fail(absl::StrCat("\"", name, "\" is no flag"));
    }
    scheduler.flags |= *flag;
  });
  in["runtime"].Get(scheduler.runtime);
  in["deadline"].Get(scheduler.deadline);
  in["period"].Get(scheduler.period);
  out = scheduler;
}

void ReadIoPriority(const JsonReader& in, std::optional<int>& out) {
  if (!in.present()) return;
  std::string io_class;
  int priority = 0;
  in["class"].Get(io_class);
  in["priority"].Get(priority);
  out = IoPriority(io_class, priority);
  if (!out.has_value()) {
    in.Fail(absl::StrCat("class \"", io_class, "\" with priority ", priority,
                         " is none of the kernel's"));
  }
}

void CheckProcess(const JsonReader& in, const Process& process) {
  if (process.cwd.empty()) {
    in["cwd"].Fail("is required");
  } else if (process.cwd[0] != '/') {
    in["cwd"].Fail(
        absl::StrCat("\"", process.cwd, "\" is not an absolute path"));
  }
  for (size_t i = 0; i < process.env.size(); ++i) {
    if (process.env[i].find('=') == std::string::npos) {
      in["env"].Fail(absl::StrCat("\"", process.env[i], "\" has no '='"));
    }
  }
}

}  // namespace

void ReadProcess(const JsonReader& in, Process& out) {
  in["terminal"].Get(out.terminal);
  in["consoleSize"]["height"].Get(out.console_rows);
  in["consoleSize"]["width"].Get(out.console_columns);
  in["cwd"].Get(out.cwd);
  in["env"].Get(out.env);
  in["args"].Get(out.args);
  const JsonReader user = in["user"];
  user["uid"].Get(out.uid);
  user["gid"].Get(out.gid);
  user["umask"].Get(out.umask);
  user["additionalGids"].Get(out.additional_gids);
  if (out.umask.value_or(0) > 0777) user["umask"].Fail("is more than 0777");
  const JsonReader capabilities = in["capabilities"];
  if (capabilities.present()) {
    Capabilities sets;
    sets.bounding = ReadCapabilitySet(capabilities["bounding"]);
    sets.effective = ReadCapabilitySet(capabilities["effective"]);
    sets.inheritable = ReadCapabilitySet(capabilities["inheritable"]);
    sets.permitted = ReadCapabilitySet(capabilities["permitted"]);
    sets.ambient = ReadCapabilitySet(capabilities["ambient"]);
    out.capabilities = sets;
  }
  ReadRlimits(in["rlimits"], out.rlimits);
  in["noNewPrivileges"].Get(out.no_new_privileges);
  in["apparmorProfile"].Get(out.apparmor_profile);
  in["selinuxLabel"].Get(out.selinux_label);
  in["oomScoreAdj"].Get(out.oom_score_adj);
  if (out.oom_score_adj.has_value() &&
      (*out.oom_score_adj < -1000 || *out.oom_score_adj > 1000)) {
    in["oomScoreAdj"].Fail("must lie between -1000 and 1000");
  }
  ReadScheduler(in["scheduler"], out.scheduler);
  ReadIoPriority(in["ioPriority"], out.io_priority);
  CheckProcess(in, out);
}

}  // namespace bulwark::engine::oci
