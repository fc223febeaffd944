#include "scheduler/rollout/status.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "scheduler/conditions.h"
#include "scheduler/rollout/inputs.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/rolling.h"
#include "scheduler/rollout/template.h"
#include "scheduler/rollout/verdict.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr v1::Condition::Status kTrue = v1::Condition::TRUE;
constexpr v1::Condition::Status kFalse = v1::Condition::FALSE;
constexpr v1::Condition::Status kUnknown = v1::Condition::UNKNOWN;

// Failures in a row in one slot from which we speak of a crash loop.
constexpr int kLoopAttempts = 2;

class StatusWriter {
 public:
  StatusWriter(const ServiceView& view, const Census& census)
      : view_(view), c_(census), status_(view.service.status()) {}

  v1::ServiceStatus Write() {
    Counts();
    Published();
    Available();
    Progressing();
    CrashLoop();
    RolledBack();
    Dependencies();
    Limits();
    Inputs();
    if (c_.desired != nullptr) {
      Set("ImageResolved", kTrue, "Resolved", "every image is present");
    }
    return std::move(status_);
  }

 private:
  void Set(const char* type, v1::Condition::Status status, const char* reason,
           std::string message) {
    v1::Condition condition;
    condition.set_type(type);
    condition.set_status(status);
    condition.set_reason(reason);
    condition.set_message(std::move(message));
    SetCondition(*status_.mutable_conditions(), std::move(condition), c_.now);
  }
  void Remove(const char* type) {
    Conditions& all = *status_.mutable_conditions();
    for (int i = 0; i < all.size(); ++i) {
      if (all[i].type() == type) return all.DeleteSubrange(i, 1);
    }
  }

  void Counts() {
    int ready = 0;
    for (const auto* group : {&c_.fresh, &c_.old}) {
      ready += static_cast<int>(
          std::count_if(group->begin(), group->end(), [](const v1::Replica* r) {
            return r->status().state() == v1::ReplicaStatus::RUNNING &&
                   r->status().ready();
          }));
    }
    available_ = CountAvailable(c_.fresh, c_) + CountAvailable(c_.old, c_);
    // What was found of the images of an older declaration is no news of this.
    if (c_.desired == nullptr &&
        status_.observed_generation() < view_.service.metadata().generation()) {
      Remove("ImageResolved");
    }
    status_.set_observed_generation(view_.service.metadata().generation());
    status_.set_replicas(
        static_cast<int>(c_.fresh.size() + c_.old.size() + c_.leaving.size()));
    status_.set_ready_replicas(ready);
    status_.set_updated_replicas(static_cast<int>(c_.fresh.size()));
    status_.set_available_replicas(available_);
    status_.set_desired_replicas(c_.settings.replicas);
    status_.set_revision(c_.target == nullptr ? 0 : c_.target->number());
    const v1::Revision* good = c_.fallback;
    if (c_.target != nullptr && c_.target->good() &&
        c_.target->failure().empty()) {
      good = c_.target;
    }
    status_.set_last_good_revision(good == nullptr ? 0 : good->number());
  }

  void Published() {
    status_.clear_published();
    for (const v1::Port& port : view_.service.spec().ports()) {
      if (port.host_port() == 0 || port.listen() == v1::Port::INTERNAL) {
        continue;
      }
      status_.add_published(absl::StrCat(
          port.listen() == v1::Port::ALL ? "0.0.0.0" : "127.0.0.1", ":",
          port.host_port(), port.protocol() == v1::Port::UDP ? "/udp" : ""));
    }
  }

  std::string Ratio() const {
    return absl::StrCat(available_, " of ", c_.settings.replicas,
                        " replicas are available");
  }

  void Available() {
    const int n = c_.settings.replicas;
    if (view_.shutting_down && !view_.service.spec().stopped()) {
      Set("Available", kFalse, "HostShutdown",
          "stopped for the host's shutdown; bulwarkd starts it again when it "
          "starts itself");
      return;
    }
    if (!view_.held.empty() && !view_.service.spec().stopped()) {
      Set("Available", kFalse, "Held", view_.held);
      return;
    }
    if (n == 0) {
      Set("Available", kFalse,
          view_.service.spec().stopped() ? "Stopped" : "NoReplicas",
          view_.service.spec().stopped()
              ? "the service is declared as stopped"
              : "the service is declared with no replicas");
      return;
    }
    const int done = static_cast<int>(c_.done.size());
    const int needed = std::max(1, n - c_.settings.max_unavailable);
    if (available_ >= needed) {
      Set("Available", kTrue, "MinimumAvailable", Ratio());
    } else if (done > 0 && available_ + done >= needed) {
      Set("Available", kFalse, "Ended",
          "its replicas have ended, and its restart policy leaves it at that");
    } else {
      const std::string culprit = Culprit(c_);
      Set("Available", kFalse, "ReplicasUnavailable",
          culprit.empty() ? Ratio() : absl::StrCat(Ratio(), "; ", culprit));
    }
  }

  void Progressing() {
    if (!c_.missing.empty()) {
      Set("Progressing", kTrue, "WaitingForInputs",
          absl::StrJoin(c_.missing, "; "));
    } else if (c_.desired == nullptr) {
      Set("Progressing", kTrue, "ResolvingImages",
          "the images of the declared revision are not resolved yet");
    } else if (c_.settings.replicas == 0) {
      Set("Progressing", kFalse, "NoReplicas", "no replica is wanted");
    } else if (IsBlocked(view_, c_)) {
      if (view_.unmet.empty()) {
        Set("Progressing", kTrue, "WaitingForInputs", view_.sealed);
      } else {
        Set("Progressing", kTrue, "WaitingForDependencies",
            absl::StrJoin(view_.unmet, "; "));
      }
    } else if (c_.complete) {
      Set("Progressing", kFalse, "Complete",
          absl::StrCat("revision ", c_.target->number(), " is rolled out"));
    } else if (c_.now >= ProgressDeadline(c_)) {
      const std::string culprit = Culprit(c_);
      Set("Progressing", kFalse, "ProgressDeadlineExceeded",
          absl::StrCat("revision ", c_.target->number(),
                       " makes no progress, and there is no good revision to "
                       "go back to, or autoRollback is off; ",
                       Ratio(), culprit.empty() ? "" : "; ", culprit));
    } else {
      Set("Progressing", kTrue, "RollingOut",
          absl::StrCat(CountAvailable(c_.fresh, c_), " of ",
                       c_.settings.replicas, " replicas are of revision ",
                       c_.target->number(), " and available"));
    }
  }

  // The replica that ended last in the slot that fails most.
  const v1::Replica* Looping() const {
    const v1::Replica* worst = nullptr;
    for (const auto& [key, ended] : c_.last_ended) {
      if (c_.target == nullptr || key.second != c_.target->number() ||
          !IsOwnFailure(*ended) || c_.settings.replicas == 0 ||
          ReplacementOf(ended, c_.now).attempt < kLoopAttempts) {
        continue;
      }
      const bool recovered = std::any_of(
          c_.fresh.begin(), c_.fresh.end(), [&](const v1::Replica* r) {
            return r->spec().slot() == key.first && IsAvailable(*r, c_);
          });
      if (recovered || c_.done.contains(key.first)) continue;
      if (worst == nullptr ||
          worst->spec().attempt() < ended->spec().attempt()) {
        worst = ended;
      }
    }
    return worst;
  }

  void CrashLoop() {
    const v1::Replica* r = Looping();
    if (r != nullptr) {
      Set("CrashLoop", kTrue, "CrashLoop",
          absl::StrCat(r->metadata().name(), " failed, as did ",
                       r->spec().attempt(),
                       " before it in its slot: ", r->status().message()));
    } else if (FindCondition(status_.conditions(), "CrashLoop") != nullptr) {
      Set("CrashLoop", kFalse, "Recovered", "no replica fails repeatedly");
    }
  }

  // ctl why shows it apart from the rest.
  static std::string WayOn(const std::vector<OtherVersion>& others) {
    if (others.empty()) return "Apply a changed template to go on";
    const OtherVersion& first = others[0];
    return absl::StrCat(
        "To go on, set another value (ctl ", first.kind, " set ", first.name,
        "), or stay with the old one (ctl ", first.kind, " rollback ",
        first.name, " --to ", first.to, "), or apply a changed template");
  }

  void RolledBack() {
    if (c_.desired == nullptr || c_.desired == c_.target ||
        c_.desired->failure().empty()) {
      return Remove("RolledBack");
    }
    const std::vector<OtherVersion> others =
        OtherVersions(c_.desired->template_(), c_.target->template_());
    Set("RolledBack", kTrue, "RolloutFailed",
        absl::StrCat("revision ", c_.desired->number(),
                     " failed and is not tried again (", c_.desired->failure(),
                     "); revision ", c_.target->number(), " runs instead",
                     others.empty() ? "" : ", with ", InWords(others), ". ",
                     WayOn(others)));
  }

  void Dependencies() {
    if (view_.service.spec().depends_on().empty()) {
      return Remove("DependenciesReady");
    }
    if (view_.unmet.empty()) {
      Set("DependenciesReady", kTrue, "Ready", "every dependency is there");
    } else {
      Set("DependenciesReady", kFalse, "Waiting",
          absl::StrJoin(view_.unmet, "; "));
    }
  }

  // Its containers run, and were not yet given the limits that its revision now
  // has.
  bool AwaitsLimits(const v1::Replica& r) const {
    if (r.status().state() != v1::ReplicaStatus::RUNNING) return false;
    for (const v1::Revision& revision : view_.revisions) {
      if (revision.number() != r.spec().revision()) continue;
      return revision.limits_generation() != r.status().limits_generation();
    }
    return false;
  }

  // What the engine refused, as the replica controller tells of it in the
  // containers' statuses.
  void Limits() {
    std::string refused;
    for (const auto* group : {&c_.fresh, &c_.old}) {
      for (const v1::Replica* r : *group) {
        if (AwaitsLimits(*r)) {
          return Set("LimitsApplied", kUnknown, "Applying",
                     absl::StrCat(r->metadata().name(),
                                  " is being given its new limits"));
        }
        for (const v1::ContainerStatus& c : r->status().containers()) {
          if (!c.running() || c.message().empty() || !refused.empty()) continue;
          refused = absl::StrCat(r->metadata().name(), ", ", c.name(), ": ",
                                 c.message());
        }
      }
    }
    if (!refused.empty()) {
      Set("LimitsApplied", kFalse, "LimitsRefused", std::move(refused));
    } else if (FindCondition(status_.conditions(), "LimitsApplied") !=
               nullptr) {
      Set("LimitsApplied", kTrue, "Applied",
          "every container runs with its declared limits");
    }
  }

  void Inputs() {
    const v1::Template declared = TemplateOf(view_.service.spec());
    if (InputsOf(declared).empty()) return Remove("InputsReady");
    if (!c_.missing.empty()) {
      Set("InputsReady", kFalse, "Missing", absl::StrJoin(c_.missing, "; "));
    } else if (!view_.sealed.empty() && ReadsSecrets(declared)) {
      Set("InputsReady", kFalse, "Sealed", view_.sealed);
    } else {
      Set("InputsReady", kTrue, "Ready", "every secret and config is there");
    }
  }

  const ServiceView& view_;
  const Census& c_;
  v1::ServiceStatus status_;
  int available_ = 0;
};

}  // namespace

v1::ServiceStatus StatusOf(const ServiceView& view, const Census& census) {
  return StatusWriter(view, census).Write();
}

}  // namespace bulwark::scheduler
