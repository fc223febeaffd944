#include "daemon/node/node_record.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "daemon/node/boot_report.h"
#include "os/cgroup.h"
#include "os/files.h"
#include "os/process.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::daemon {
namespace {

// Of the boot that the last report, finished or not, is about.
constexpr char kBootLabel[] = "bulwark/boot-id";
constexpr int kTries = 5;
constexpr int64_t kMaxMountInfo = int64_t{64} << 20;
// Checks that concern everything that runs.
constexpr const char* kHostChecks[] = {"kernel",  "overlay",     "namespaces",
                                       "cgroups", "nftables",    "egress",
                                       "oom",     "capabilities"};

std::string CamelCase(absl::string_view name) {
  std::string out(name);
  out[0] = absl::ascii_toupper(out[0]);
  return out;
}

void RemoveCondition(const std::string& type, v1::Node& node) {
  auto& all = *node.mutable_status()->mutable_conditions();
  for (int i = 0; i < all.size(); ++i) {
    if (all[i].type() == type) return all.DeleteSubrange(i, 1);
  }
}

}  // namespace

v1::ObjectReference NodeReference() {
  v1::ObjectReference reference;
  reference.set_kind("node");
  reference.set_project("default");
  reference.set_name(kNodeName);
  return reference;
}

HostIdentity IdentifyHost(Clock& clock) {
  HostIdentity host;
  host.boot_id = os::BootId().value_or("");
  struct sysinfo info;
  if (sysinfo(&info) == 0) {
    host.boot_time = clock.Now() - absl::Seconds(info.uptime);
    host.memory_bytes = static_cast<int64_t>(info.totalram) * info.mem_unit;
  }
  utsname name;
  if (uname(&name) == 0) host.kernel = name.release;
  host.millicores = sysconf(_SC_NPROCESSORS_ONLN) * int64_t{1000};
  const auto layout = os::ParseCgroupLayout(
      os::ReadFile("/proc/self/mountinfo", kMaxMountInfo).value_or(""));
  if (layout.ok()) host.cgroups = layout->v1.empty() ? "v2" : "hybrid";
  return host;
}

void SetHostConditions(const v1::DoctorResponse& doctor, absl::Time now,
                       v1::Node& node) {
  for (const v1::DoctorCheck& check : doctor.checks()) {
    if (std::find(std::begin(kHostChecks), std::end(kHostChecks),
                  check.name()) == std::end(kHostChecks)) {
      continue;
    }
    const std::string type = CamelCase(check.name());
    if (check.result() == v1::DoctorCheck::GOOD) {
      RemoveCondition(type, node);
      continue;
    }
    v1::Condition condition;
    condition.set_type(type);
    condition.set_status(v1::Condition::FALSE);
    condition.set_reason(check.result() == v1::DoctorCheck::BAD ? "Bad"
                                                                : "Limited");
    condition.set_message(absl::StrCat(check.message(), "; ", check.remedy()));
    scheduler::SetCondition(*node.mutable_status()->mutable_conditions(),
                            std::move(condition), now);
  }
}

NodeRecord::NodeRecord(store::MetadataStore& store, Clock& clock,
                       scheduler::EventRecorder& events, HostIdentity host,
                       std::string version, absl::Time start_time,
                       Doctor doctor, PublicKey public_key)
    : store_(store),
      clock_(clock),
      events_(events),
      host_(std::move(host)),
      version_(std::move(version)),
      start_time_(start_time),
      doctor_(std::move(doctor)),
      public_key_(std::move(public_key)) {}

absl::Status NodeRecord::Write(const std::function<void(v1::Node&)>& change) {
  absl::Status status;
  for (int i = 0; i < kTries; ++i) {
    const store::Key key = store::ObjectKey("node", "default", kNodeName);
    absl::StatusOr<v1::Object> object = store::GetObject(store_, key);
    if (absl::IsNotFound(object.status())) {
      object = v1::Object();
      v1::Metadata& metadata = *object->mutable_node()->mutable_metadata();
      metadata.set_name(kNodeName);
      metadata.set_project("default");
      scheduler::SetTime(metadata.mutable_create_time(), clock_.Now());
    }
    RETURN_IF_ERROR(object.status());
    const std::string before = store::Encode(*object);
    change(*object->mutable_node());
    const std::string after = store::Encode(*object);
    if (after == before) return absl::OkStatus();
    status =
        store_
            .Commit(store::Batch().Put(key, after, store::RevisionOf(*object)))
            .status();
    if (!absl::IsAborted(status)) return status;
  }
  return status;
}

void NodeRecord::SetBooted(v1::Node& node, v1::Condition::Status status,
                           absl::string_view reason, const std::string& text) {
  v1::Condition condition;
  condition.set_type(kBooted);
  condition.set_status(status);
  condition.set_reason(std::string(reason));
  condition.set_message(text);
  scheduler::SetCondition(*node.mutable_status()->mutable_conditions(),
                          std::move(condition), clock_.Now());
}

absl::Status NodeRecord::Open() {
  const v1::DoctorResponse doctor = doctor_();
  bool rebooted = false;
  RETURN_IF_ERROR(Write([&](v1::Node& node) {
    auto& labels = *node.mutable_metadata()->mutable_labels();
    const auto known = labels.find(kBootLabel);
    const bool first = known == labels.end();
    rebooted = !first && known->second != host_.boot_id;
    v1::NodeStatus& status = *node.mutable_status();
    const v1::Condition* booted =
        scheduler::FindCondition(status.conditions(), kBooted);
    // Also one that an earlier process has begun and could not end.
    reporting_ = rebooted || (!first && booted != nullptr &&
                              booted->status() == v1::Condition::UNKNOWN);
    report_from_ = rebooted || !reporting_
                       ? start_time_
                       : scheduler::ToTime(booted->last_transition_time());
    labels[kBootLabel] = host_.boot_id;
    status.set_version(version_);
    status.set_kernel(host_.kernel);
    status.set_cgroups(host_.cgroups);
    status.set_cpu(host_.millicores);
    status.set_memory(host_.memory_bytes);
    scheduler::SetTime(status.mutable_start_time(), start_time_);
    // It drifts by the clock's adjustments.
    if (first || rebooted) {
      scheduler::SetTime(status.mutable_boot_time(), host_.boot_time);
    }
    SetHostConditions(doctor, clock_.Now(), node);
    if (rebooted) {
      RemoveCondition(kBooted, node);
      SetBooted(node, v1::Condition::UNKNOWN, "Recovering",
                "services are being started again");
    }
  }));
  RETURN_IF_ERROR(UpdateKey());
  if (!rebooted) return absl::OkStatus();
  LOG_INFO("the host has been rebooted; services are started again",
           {{"booted", absl::FormatTime(host_.boot_time)}});
  events_.Record(
      NodeReference(), "HostRebooted",
      absl::StrCat("the host booted at ", absl::FormatTime(host_.boot_time),
                   "; its services are started again"));
  return absl::OkStatus();
}

absl::Status NodeRecord::UpdateKey() {
  const std::string key = public_key_();
  // A vault that cannot read its keyring has had one all the same.
  if (key.empty() || key == written_key_) return absl::OkStatus();
  RETURN_IF_ERROR(Write(
      [&](v1::Node& node) { node.mutable_status()->set_public_key(key); }));
  written_key_ = key;
  return absl::OkStatus();
}

absl::Status NodeRecord::Update() {
  RETURN_IF_ERROR(UpdateKey());
  if (!reporting_) return absl::OkStatus();
  BootFacts facts;
  facts.boot_time = host_.boot_time;
  facts.start_time = report_from_;
  facts.now = clock_.Now();
  ASSIGN_OR_RETURN(const store::ReadableListing services,
                   store::ListReadable(store_, "service"));
  for (const v1::Object& object : services.objects) {
    facts.services.push_back(object.service());
  }
  const BootReport report = ReportBoot(facts);
  if (!report.done && facts.now < report_from_ + kBootDeadline) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(Write([&](v1::Node& node) {
    SetBooted(node, report.done ? v1::Condition::TRUE : v1::Condition::FALSE,
              report.done ? "Recovered" : "Incomplete", report.text);
  }));
  reporting_ = false;
  events_.Record(
      NodeReference(), "BootReport",
      report.done
          ? "every service is back after the reboot; ctl system boot-report "
            "has the times"
          : absl::StrCat(report.waiting,
                         " services are not back after the reboot; ctl system "
                         "boot-report says which and why"),
      report.done ? v1::Event::NORMAL : v1::Event::WARNING);
  return absl::OkStatus();
}

}  // namespace bulwark::daemon
