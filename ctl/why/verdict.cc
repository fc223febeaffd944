// The present state of a service, its cause and its remedy.
#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ctl/print/columns.h"
#include "ctl/print/text.h"
#include "ctl/why/why.h"

namespace bulwark::ctl {
namespace {

using State = v1::ReplicaStatus;

std::string NameOf(const WhyFacts& facts) {
  return facts.service.metadata().name();
}

const v1::Condition* Find(const WhyFacts& facts, absl::string_view type) {
  return FindCondition(facts.service.status().conditions(), type);
}

// " ctl rollout undo web goes back to revision 2", if there is one.
std::string WayBack(const WhyFacts& facts) {
  const v1::ServiceStatus& status = facts.service.status();
  if (status.last_good_revision() == 0 ||
      status.last_good_revision() >= status.revision()) {
    return "";
  }
  return absl::StrCat("; ctl rollout undo ", NameOf(facts),
                      " goes back to revision ", status.last_good_revision());
}

std::string MemoryLimit(const WhyFacts& facts) {
  for (const v1::Container& c : facts.service.spec().containers()) {
    if (c.resources().memory().limit() > 0) {
      return absl::StrCat(" (now ", c.resources().memory().limit() >> 20,
                          "Mi)");
    }
  }
  return "";
}

// Before what the condition RolledBack says is to be done about a value.
constexpr char kWayOn[] = ". To go on, ";

// What mends a replica that ended so.
std::string ExitRemedy(const WhyFacts& facts, const v1::Replica& replica) {
  const std::string& reason = replica.status().reason();
  if (reason == "OOMKilled") {
    return absl::StrCat("raise resources.memory.limit", MemoryLimit(facts),
                        ", or find what uses so much", WayBack(facts));
  }
  if (reason == "LaunchFailed") {
    return absl::StrCat("correct the command, user or mounts, and apply again",
                        WayBack(facts));
  }
  if (reason == "LivenessFailed") {
    return absl::StrCat(
        "the application hangs, or its liveness probe asks for "
        "too much: see its log below",
        WayBack(facts));
  }
  if (reason == "HostReboot" || reason == "ShimLost") {
    return "nothing: it is started again by itself";
  }
  return absl::StrCat(
      "see its last log lines below; mend the image or its "
      "configuration, and apply again",
      WayBack(facts));
}

std::string ImageRemedy(const WhyFacts& facts, const std::string& reason) {
  const std::string image = facts.service.spec().containers_size() > 0
                                ? facts.service.spec().containers(0).image()
                                : "IMAGE";
  if (absl::StrContains(reason, "Unauth") ||
      absl::StrContains(reason, "Deni")) {
    return "give bulwarkd credentials for the registry: ctl login REGISTRY";
  }
  return absl::StrCat("ctl pull ", image,
                      " shows what the registry says; it is tried again by "
                      "itself");
}

// Why it does not go on although nothing has failed.
std::string WaitingRemedy(const WhyFacts& facts) {
  const v1::Replica* culprit = Culprit(facts);
  if (culprit == nullptr) return "wait: it is on its way";
  if (culprit->status().state() == State::FAILED) {
    return ExitRemedy(facts, *culprit);
  }
  if (!culprit->status().probe_message().empty()) {
    return absl::StrCat(
        "its probe must succeed: look at the log below, and at "
        "the probe's port and path (ctl explain "
        "service.spec.containers.readiness)",
        WayBack(facts));
  }
  return "wait: it is on its way";
}

std::string Waiting(const WhyFacts& facts) {
  for (const v1::Dependency& d : facts.service.spec().depends_on()) {
    return absl::StrCat("ctl why ", d.service(),
                        " says why what it depends on is not there");
  }
  return "";
}

// The condition's message names what it waits for and the command for it.
std::string InputsRemedy(const v1::Condition& inputs) {
  return inputs.reason() == "Sealed"
             ? "put the key file right, then ctl secret unseal; what runs goes "
               "on"
             : "make what is missing, or correct its name and apply again; "
               "nothing is started before";
}

// A sentence about replicas that are not there, from the replicas themselves.
std::string ReplicaCause(const WhyFacts& facts) {
  const v1::ServiceStatus& status = facts.service.status();
  std::string text =
      absl::StrCat(status.ready_replicas(), " of ", status.desired_replicas(),
                   " replicas are ready");
  const v1::Replica* culprit = Culprit(facts);
  if (culprit == nullptr) return text;
  const State& s = culprit->status();
  const std::string why = s.message().empty() ? s.probe_message() : s.message();
  const size_t cut = why.find("; last log lines:");
  absl::StrAppend(&text, "; ", culprit->metadata().name(),
                  s.state() == State::FAILED
                      ? absl::StrCat(" failed (", s.reason(), ")")
                      : " is not ready",
                  why.empty() ? "" : absl::StrCat(": ", why.substr(0, cut)));
  return text;
}

}  // namespace

const v1::Replica* Culprit(const WhyFacts& facts) {
  const v1::Replica* failed = nullptr;
  const v1::Replica* unready = nullptr;
  for (const v1::Replica& r : facts.replicas) {
    const State& s = r.status();
    const bool ended = s.state() == State::FAILED || IsRolledBack(s);
    if (ended && s.reason() != "Completed" &&
        (failed == nullptr ||
         ToTime(s.finish_time()) > ToTime(failed->status().finish_time()))) {
      failed = &r;
    }
    const bool running =
        s.state() == State::RUNNING || s.state() == State::STARTING;
    if (running && !s.ready() &&
        (unready == nullptr || unready->status().probe_message().empty())) {
      unready = &r;
    }
  }
  // One that failed long before the others came up is history.
  if (unready != nullptr && !unready->status().probe_message().empty() &&
      failed != nullptr &&
      failed->spec().revision() < unready->spec().revision()) {
    return unready;
  }
  return failed != nullptr ? failed : unready;
}

Verdict Judge(const WhyFacts& facts) {
  Verdict verdict;
  verdict.state = ServiceState(facts.service);
  verdict.cause = ServiceMessage(facts.service);
  const std::string& state = verdict.state;
  const std::string name = NameOf(facts);
  const v1::Replica* culprit = Culprit(facts);
  const v1::Condition* image = Find(facts, "ImageResolved");
  const v1::Condition* dependencies = Find(facts, "DependenciesReady");
  const v1::Condition* inputs = Find(facts, "InputsReady");
  if (state == "Available") {
    verdict.well = true;
    verdict.cause = absl::StrCat(
        facts.service.status().ready_replicas(), " of ",
        facts.service.status().desired_replicas(), " replicas are ready");
  } else if (state == "Idle" || state == "Stopped" || state == "Stopping") {
    verdict.well = true;
    verdict.cause =
        state == "Idle" ? "no replica is wanted" : "it is declared as stopped";
    verdict.remedy = state == "Idle"
                         ? absl::StrCat("ctl scale ", name, " 1 starts one")
                         : absl::StrCat("ctl start ", name, " starts it");
  } else if (state == "Ended") {
    verdict.well = true;
    verdict.remedy = "set restart.policy to always if it shall run on";
  } else if (state == "Deleting") {
    verdict.cause = "it is being deleted; its replicas end first";
  } else if (state == "HostShutdown") {
    verdict.remedy = "systemctl restart bulwarkd, if the host stays up";
  } else if (image != nullptr && image->status() == v1::Condition::FALSE) {
    verdict.remedy = ImageRemedy(facts, image->reason());
  } else if (dependencies != nullptr &&
             dependencies->status() == v1::Condition::FALSE) {
    verdict.remedy = Waiting(facts);
  } else if (inputs != nullptr && inputs->status() == v1::Condition::FALSE) {
    verdict.remedy = InputsRemedy(*inputs);
  } else if (state == "CrashLoop" && culprit != nullptr) {
    verdict.cause =
        verdict.cause.substr(0, verdict.cause.find("; last log lines:"));
    verdict.remedy = ExitRemedy(facts, *culprit);
  } else if (state == "RolledBack") {
    const size_t lines = verdict.cause.find("; last log lines:");
    const size_t end = verdict.cause.rfind("); revision ");
    if (lines != std::string::npos && end != std::string::npos && lines < end) {
      verdict.cause.erase(lines, end - lines);
    }
    absl::string_view text = verdict.cause;
    absl::ConsumeSuffix(&text, ". Apply a changed template to go on");
    verdict.cause = std::string(text);
    verdict.remedy = absl::StrCat(
        "the last good revision serves; mend the "
        "failed one and apply it again (ctl rollout "
        "history ",
        name, ")");
    // It went back to an older value as well.
    const size_t way = verdict.cause.rfind(kWayOn);
    if (way != std::string::npos) {
      verdict.remedy =
          absl::StrCat("the last good revision serves, with the older value: ",
                       verdict.cause.substr(way + sizeof(kWayOn) - 1));
      verdict.cause.erase(way);
    }
  } else if (state == "PortInUse" || state == "ListenFailed") {
    verdict.remedy = "ctl doctor says what holds the port";
  } else {
    verdict.cause = ReplicaCause(facts);
    verdict.remedy = WaitingRemedy(facts);
  }
  return verdict;
}

}  // namespace bulwark::ctl
