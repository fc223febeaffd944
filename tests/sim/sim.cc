#include "tests/sim/sim.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "scheduler/names.h"
#include "scheduler/rollout/defaults.h"
#include "scheduler/rollout/restart.h"
#include "scheduler/rollout/template.h"
#include "scheduler/times.h"
#include "tests/sim/invariants.h"
#include "tests/sim/world.h"

namespace bulwark::sim {
namespace {

using scheduler::HasEnded;
using scheduler::RolloutSettings;
using scheduler::ToTime;

constexpr int kActions = 40;
constexpr absl::Duration kMinHealthy = absl::Seconds(2);
constexpr absl::Duration kDeadline = absl::Seconds(30);
const std::vector<std::string> kGood = {"good:1", "good:2", "good:3"};
const std::vector<std::string> kBad = {"crash:1", "mute:1", "late-crash:1"};

class History {
 public:
  History(uint64_t seed, Coverage& coverage, scheduler::PlannerBug bug)
      : world_(seed, bug), random_(seed * 7919 + 1), coverage_(coverage) {
    for (const std::string& image : kGood) {
      world_.Publish(image, {absl::Milliseconds(50 + Pick(1500))});
    }
    world_.Publish("crash:1", {absl::InfiniteDuration(),
                               absl::Milliseconds(Pick(1000)), 1});
    world_.Publish("mute:1", {absl::InfiniteDuration()});
    world_.Publish("late-crash:1",
                   {absl::Milliseconds(100), absl::Milliseconds(1500), 1});
    world_.after_step = [this] {
      if (violation_.empty()) invariants_.Check();
    };
  }

  std::string Run() {
    for (int i = 0; i < kActions && violation_.empty(); ++i) {
      Act();
      world_.Advance(absl::Milliseconds(Pick(4) == 0 ? 0 : Pick(6000)));
    }
    if (violation_.empty()) Converge();
    if (violation_.empty()) return "";
    return absl::StrCat(violation_, "\n  last actions:\n    ",
                        absl::StrJoin(trace_, "\n    "));
  }

 private:
  uint64_t Pick(uint64_t n) { return n == 0 ? 0 : random_.Next() % n; }
  const std::string& PickOf(const std::vector<std::string>& all) {
    return all[Pick(all.size())];
  }

  void Did(const std::string& what, const std::string& detail = "") {
    ++coverage_[what];
    trace_.push_back(absl::StrCat(
        absl::FormatTime("%M:%E3S", world_.clock.Now(), absl::UTCTimeZone()),
        " ", what, " ", detail));
    if (trace_.size() > 25) trace_.pop_front();
  }

  void Violate(const std::string& what) {
    if (!violation_.empty()) return;
    violation_ = absl::StrCat(
        what, " at ",
        absl::FormatTime("%M:%E3S", world_.clock.Now(), absl::UTCTimeZone()),
        ", step ", world_.steps);
  }

  // ---- what happens -------------------------------------------------------

  void Act() {
    const std::string service = Pick(3) == 0 ? "b" : "a";
    switch (Pick(17)) {
      case 0:
      case 1:
        return Apply(service, PickOf(kGood));
      case 2:
        return Apply(service, PickOf(kBad));
      case 3:
        return Scale(service);
      case 4:
        return Toggle(service);
      case 5:
        if (Pick(3) != 0) return Scale(service);
        Did("delete", service);
        return world_.Delete(service);
      case 6:
      case 7:
      case 8:
        if (world_.CrashOneContainer(random_)) Did("container crash");
        return;
      case 9:
        return FailStarts();
      case 10:
        Did("pull failure");
        return world_.images.FailPulls(absl::UnavailableError("registry down"),
                                       1 + Pick(3));
      case 11:
        return FailCommits();
      case 12:
        Did("daemon crash");
        return world_.CrashDaemon();
      case 13:
        return CrashInTheMiddle();
      case 14:
        if (Pick(3) == 0) {
          Did("reboot");
          return world_.Reboot();
        }
        return Linger(service);
      case 15:
        return Autoscale(service);
      default:
        return RollBack(service);
    }
  }

  void Apply(const std::string& name, const std::string& image) {
    v1::Service s = World::MakeService(name, image, 1 + Pick(4));
    auto old = world_.GetService(name);
    if (old.has_value() && old->metadata().has_delete_time()) return;
    if (old.has_value() && Pick(2) == 0) {
      s.mutable_spec()->set_replicas(old->spec().replicas());
      *s.mutable_spec()->mutable_autoscale() = old->spec().autoscale();
      if (!old->spec().has_autoscale()) s.mutable_spec()->clear_autoscale();
    }
    v1::Rollout& rollout = *s.mutable_spec()->mutable_rollout();
    rollout.set_max_surge(Pick(3));
    rollout.set_max_unavailable(Pick(2));
    if (Pick(8) == 0) rollout.set_strategy(v1::Rollout::RECREATE);
    rollout.mutable_min_healthy_time()->set_seconds(
        absl::ToInt64Seconds(kMinHealthy));
    rollout.mutable_progress_deadline()->set_seconds(
        absl::ToInt64Seconds(kDeadline));
    s.mutable_spec()
        ->mutable_load_balancer()
        ->mutable_drain_timeout()
        ->set_seconds(5);
    s.mutable_spec()->mutable_stop()->mutable_timeout()->set_seconds(3);
    if (Pick(10) == 0) {
      v1::VolumeMount& m =
          *s.mutable_spec()->mutable_containers(0)->add_volumes();
      m.set_volume("data");
      m.set_path("/data");
      m.set_per_replica(true);
    }
    if (name == "b" && Pick(3) == 0) {
      s.mutable_spec()->add_depends_on()->set_service("a");
    }
    Did("apply", absl::StrCat(name, " ", image, " x", s.spec().replicas()));
    world_.Apply(s);
  }

  template <typename Change>
  void Change_(const std::string& name, Change change) {
    auto service = world_.GetService(name);
    if (!service.has_value() || service->metadata().has_delete_time()) return;
    change(*service->mutable_spec());
    world_.Apply(*service);
  }

  void Scale(const std::string& name) {
    const int n = Pick(6);
    Did("scale", absl::StrCat(name, " ", n));
    Change_(name, [n](v1::ServiceSpec& spec) { spec.set_replicas(n); });
  }

  // Switches it on, decides something, or switches it off again.
  void Autoscale(const std::string& name) {
    auto service = world_.GetService(name);
    if (!service.has_value() || service->metadata().has_delete_time()) return;
    if (service->spec().has_autoscale() && Pick(3) != 0) {
      const int count = 1 + Pick(6);
      Did("autoscaled", absl::StrCat(name, " ", count));
      return world_.Decide(name, count);
    }
    const bool on = !service->spec().has_autoscale();
    Did(on ? "autoscale on" : "autoscale off", name);
    const int min = 1 + Pick(2), max = min + Pick(4);
    Change_(name, [on, min, max](v1::ServiceSpec& spec) {
      spec.clear_autoscale();
      if (!on) return;
      spec.mutable_autoscale()->set_min_replicas(min);
      spec.mutable_autoscale()->set_max_replicas(max);
    });
  }

  void Toggle(const std::string& name) {
    Did("stop or start", name);
    Change_(name,
            [](v1::ServiceSpec& spec) { spec.set_stopped(!spec.stopped()); });
  }

  void FailStarts() {
    const bool fatal = Pick(2) == 0;
    auto left = std::make_shared<int>(1 + Pick(3));
    Did(fatal ? "start refused" : "start delayed");
    world_.engine.SetStartHook(
        [left, fatal](const engine::ContainerSpec&) -> absl::Status {
          if (--*left < 0) return absl::OkStatus();
          if (fatal) return absl::InvalidArgumentError("exec: no such file");
          return absl::UnavailableError("shim hung");
        });
  }

  void FailCommits() {
    auto left = std::make_shared<int>(1 + Pick(4));
    Did("commit failure");
    world_.SetFault([left](const store::Batch&) -> absl::Status {
      if (--*left < 0) return absl::OkStatus();
      return absl::ResourceExhaustedError("disk full");
    });
  }

  // From some commit on nothing is written any more, until the daemon is back.
  void CrashInTheMiddle() {
    Did("daemon crash in the middle");
    auto left = std::make_shared<int>(Pick(8));
    world_.SetFault([left](const store::Batch&) -> absl::Status {
      if (--*left >= 0) return absl::OkStatus();
      return absl::UnavailableError("killed");
    });
    for (int i = 0; i < 200 && *left >= 0 && world_.StepOnce(); ++i) {
    }
    world_.SetFault(nullptr);
    world_.CrashDaemon();
  }

  void Linger(const std::string& name) {
    Did("lingering connections", name);
    for (const v1::Replica& r : world_.Live(name)) {
      world_.data_plane.SetActive(r.metadata().uid(), Pick(3));
    }
  }

  void NoFaults() {
    world_.engine.SetStartHook(nullptr);
    world_.SetFault(nullptr);
    world_.images.FailPulls(absl::OkStatus(), 0);
  }

  // A bad revision over a good one, with no other fault: it must be taken back.
  void RollBack(const std::string& name) {
    auto service = world_.GetService(name);
    if (!service.has_value() || service->metadata().has_delete_time() ||
        service->spec().stopped() || world_.Wanted(name) == 0 ||
        !service->spec().depends_on().empty()) {
      return;
    }
    NoFaults();
    service->mutable_spec()->mutable_containers(0)->set_image("good:1");
    world_.Apply(*service);
    if (!world_.AdvanceUntil(absl::Minutes(5), [&] { return IsGood(name); })) {
      return Violate(absl::StrCat(name, " does not get good"));
    }
    const std::string image = PickOf(kBad);
    service->mutable_spec()->mutable_containers(0)->set_image(image);
    // Another template than all before.
    v1::EnvVar& env =
        *service->mutable_spec()->mutable_containers(0)->add_env();
    env.set_name("N");
    env.set_value(absl::StrCat(random_.Next()));
    world_.Apply(*service);
    Did("bad rollout", absl::StrCat(name, " ", image));
    if (!world_.AdvanceUntil(4 * kDeadline, [&] {
          const v1::Condition* c = world_.Condition(name, "RolledBack");
          return c != nullptr && c->status() == v1::Condition::TRUE;
        })) {
      return Violate(absl::StrCat(name, " is not rolled back"));
    }
    Did("rollback", name);
  }

  bool IsGood(const std::string& name) {
    auto s = world_.GetService(name);
    const v1::Condition* c = world_.Condition(name, "Progressing");
    return s.has_value() && c != nullptr && c->reason() == "Complete" &&
           s->status().observed_generation() == s->metadata().generation() &&
           s->status().available_replicas() >= world_.Wanted(name);
  }

  // The faults stop, everything declared is good: then nothing is missing,
  // nothing is left over, and there is nothing more to do.
  void Converge() {
    Did("faults stop");
    NoFaults();
    for (const char* name : {"a", "b"}) {
      Change_(name, [](v1::ServiceSpec& spec) {
        spec.mutable_containers(0)->set_image("good:2");
        // A template that no fault has frozen yet.
        spec.mutable_containers(0)->set_working_dir("/converge");
        spec.set_stopped(false);
        // What it needs may have been deleted.
        spec.clear_depends_on();
      });
    }
    world_.AdvanceUntil(absl::Minutes(15), [this] {
      return HasConverged("a").empty() && HasConverged("b").empty();
    });
    for (const char* name : {"a", "b"}) {
      const std::string why = HasConverged(name);
      if (!why.empty())
        Violate(absl::StrCat(name, " does not converge: ", why));
    }
    if (!violation_.empty()) return;
    const int starts = world_.engine.start_count();
    world_.CrashDaemon();
    world_.Advance(absl::Minutes(2));
    if (world_.engine.start_count() != starts) {
      Violate("a converged state starts something");
    }
    CheckLeftovers();
  }

  std::string HasConverged(const std::string& name) {
    auto service = world_.GetService(name);
    if (!service.has_value() || service->metadata().has_delete_time()) {
      return world_.Replicas(name).empty() && !service.has_value()
                 ? ""
                 : "it is not gone";
    }
    const scheduler::ServiceView view = world_.View(name);
    const int n = world_.Wanted(name);
    const auto live = world_.Live(name);
    if (static_cast<int>(live.size()) != n || world_.Available(name) != n) {
      return absl::StrCat(live.size(), " live, ", world_.Available(name),
                          " ready of ", n, "; ",
                          service->status().ShortDebugString());
    }
    if (n == 0) return "";
    const scheduler::ServicePlan plan = scheduler::PlanService(view);
    if (!plan.IdleApartFromStatus() || plan.needs_revision) {
      return "there is still something to do";
    }
    if (!IsGood(name)) return "the rollout is not complete";
    for (const v1::Revision& r : view.revisions) {
      for (const v1::Replica& replica : live) {
        if (r.number() == replica.spec().revision() &&
            !scheduler::SameTemplate(r.template_(),
                                     scheduler::TemplateOf(service->spec()))) {
          return "another revision runs";
        }
      }
    }
    return "";
  }

  void CheckLeftovers() {
    size_t live = 0, sandboxes = 0;
    for (const char* name : {"a", "b"}) {
      std::set<int> slots;
      live += world_.Live(name).size();
      for (const v1::Replica& r : world_.Replicas(name)) {
        slots.insert(r.spec().slot());
      }
      sandboxes += slots.size();
    }
    const auto containers = world_.engine.List();
    const size_t running =
        std::count_if(containers.begin(), containers.end(), [](const auto& c) {
          return c.state == engine::ContainerState::kRunning;
        });
    if (running != live) {
      Violate(absl::StrCat(running, " containers run for ", live, " replicas"));
    }
    if (world_.network.ListSandboxes().size() > sandboxes) {
      Violate("sandboxes are left over");
    }
  }

  World world_;
  SeededEntropy random_;
  Coverage& coverage_;
  std::string violation_;
  std::deque<std::string> trace_;
  Invariants invariants_{world_,
                         [this](const std::string& what) { Violate(what); }};
};

}  // namespace

std::string RunHistory(uint64_t seed, Coverage& coverage,
                       scheduler::PlannerBug bug) {
  return History(seed, coverage, bug).Run();
}

}  // namespace bulwark::sim
