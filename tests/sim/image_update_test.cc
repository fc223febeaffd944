// Tags that move, and services that follow them, with the real controllers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "scheduler/times.h"
#include "tests/sim/world.h"

namespace bulwark::sim {
namespace {

using scheduler::ToTime;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kImage[] = "r.local/app:1";
const Behavior kCrashes = {absl::InfiniteDuration(), absl::Milliseconds(200),
                           3};

class ImageUpdateTest : public ::testing::Test {
 protected:
  ImageUpdateTest() : world_(1) { world_.Publish(kImage, {}); }

  static v1::Service Following(const std::string& image = kImage) {
    v1::Service service = World::MakeService("web", image, 2);
    service.mutable_spec()
        ->mutable_image_update()
        ->mutable_interval()
        ->set_seconds(600);
    return service;
  }
  v1::ServiceStatus Status() { return world_.GetService("web")->status(); }
  v1::ImageUpdateStatus Update() { return Status().image_update(); }
  std::string DigestOf(int64_t revision) {
    for (const v1::Revision& r : world_.Revisions("web")) {
      if (r.number() != revision || r.image_digests().empty()) continue;
      return r.image_digests().begin()->second;
    }
    return "";
  }
  std::string Published() { return *world_.images.Lookup(kImage); }
  // Fully rolled out.
  bool AwaitGood(int64_t revision, absl::Duration limit = absl::Minutes(30)) {
    return world_.AdvanceUntil(limit, [&] {
      const v1::ServiceStatus status = Status();
      return status.last_good_revision() == revision &&
             status.revision() == revision && status.available_replicas() == 2;
    });
  }
  int Lookups(absl::Duration time) {
    const int before = world_.images.lookups();
    world_.Advance(time);
    return world_.images.lookups() - before;
  }

  World world_;
};

TEST_F(ImageUpdateTest, WhenTheTagMoves_TheNewImageIsRolledOut) {
  world_.Apply(Following());
  ASSERT_TRUE(AwaitGood(1));
  const std::string old = DigestOf(1);
  world_.Publish(kImage, {}, 2);
  world_.after_step = [this] { EXPECT_GE(world_.Available("web"), 2); };
  ASSERT_TRUE(AwaitGood(2));
  world_.after_step = nullptr;
  EXPECT_NE(DigestOf(2), old);
  EXPECT_EQ(DigestOf(2), Published());
  for (const v1::Revision& r : world_.Revisions("web")) {
    EXPECT_EQ(r.actor().name(), r.number() == 2 ? "image-update" : "");
  }
  EXPECT_THAT(world_.Events("ImageUpdated"), SizeIs(1));
  world_.Advance(absl::Minutes(20));
  EXPECT_EQ(Update().pending_size(), 0);
  EXPECT_EQ(Update().error(), "");
  // A later apply goes on from there.
  EXPECT_EQ(world_.images.Get(kImage)->digest, DigestOf(2));
  v1::Service other = Following();
  other.mutable_spec()->mutable_containers(0)->add_args("--more");
  world_.Apply(other);
  ASSERT_TRUE(AwaitGood(3));
  EXPECT_EQ(DigestOf(3), DigestOf(2));
}

TEST_F(ImageUpdateTest, WhenTheNewImageCrashes_ItComesBackAndIsNotTriedAgain) {
  world_.Apply(Following());
  ASSERT_TRUE(AwaitGood(1));
  world_.Publish(kImage, kCrashes, 2);
  ASSERT_TRUE(world_.AdvanceUntil(absl::Minutes(30), [&] {
    return world_.Condition("web", "RolledBack") != nullptr;
  }));
  world_.Advance(absl::Hours(5));
  EXPECT_EQ(world_.Available("web"), 2);
  EXPECT_EQ(Status().revision(), 1);
  EXPECT_THAT(world_.Revisions("web"), SizeIs(2));
  ASSERT_EQ(Update().rejected().count(kImage), 1u);
  EXPECT_EQ(Update().rejected().at(kImage), Published());
  EXPECT_EQ(Update().pending_size(), 0);
  EXPECT_NE(world_.images.Get(kImage)->digest, Published());
  // Mended by the next.
  world_.Publish(kImage, {}, 3);
  ASSERT_TRUE(AwaitGood(3));
  EXPECT_EQ(DigestOf(3), Published());
  EXPECT_EQ(world_.Condition("web", "RolledBack"), nullptr);
}

TEST_F(ImageUpdateTest, WhenTheWindowIsClosed_ItWaitsAlsoOverRestarts) {
  v1::Service service = Following();
  v1::UpdateWindow& window =
      *service.mutable_spec()->mutable_image_update()->mutable_window();
  const absl::Time opening = world_.clock.Now() + absl::Hours(3);
  const absl::CivilMinute minute =
      absl::ToCivilMinute(opening, absl::UTCTimeZone());
  window.set_schedule(
      absl::StrCat(minute.minute(), " ", minute.hour(), " * * *"));
  window.mutable_duration()->set_seconds(1800);
  world_.Apply(service);
  ASSERT_TRUE(AwaitGood(1));
  world_.Publish(kImage, {}, 2);
  ASSERT_TRUE(world_.AdvanceUntil(
      absl::Minutes(30), [&] { return Update().pending().count(kImage) > 0; }));
  EXPECT_EQ(Update().pending().at(kImage), Published());
  world_.CrashDaemon();
  ASSERT_FALSE(
      world_.AdvanceUntil(absl::FromCivil(minute, absl::UTCTimeZone()) -
                              world_.clock.Now() - absl::Seconds(1),
                          [&] { return world_.Revisions("web").size() > 1; }));
  world_.Reboot();
  ASSERT_TRUE(AwaitGood(2));
  EXPECT_GE(world_.clock.Now(), absl::FromCivil(minute, absl::UTCTimeZone()));
  EXPECT_EQ(Update().pending_size(), 0);
}

TEST_F(ImageUpdateTest, WhenTheRegistryIsDown_NothingChangesAndItSaysSo) {
  world_.Apply(Following());
  ASSERT_TRUE(AwaitGood(1));
  world_.Publish(kImage, {}, 2);
  world_.images.FailLookups(absl::UnavailableError("registry is down"), 5);
  ASSERT_TRUE(world_.AdvanceUntil(absl::Minutes(30), [&] {
    return Update().error() == "registry is down";
  }));
  EXPECT_EQ(world_.Available("web"), 2);
  EXPECT_EQ(Status().revision(), 1);
  EXPECT_THAT(world_.Events("ImageUpdateFailed"), SizeIs(1));
  ASSERT_TRUE(AwaitGood(2, absl::Hours(1)));
  EXPECT_EQ(Update().error(), "");
}

TEST_F(ImageUpdateTest, WhenThePullFails_NothingChangesAndItIsTriedAgain) {
  world_.Apply(Following());
  ASSERT_TRUE(AwaitGood(1));
  world_.Publish(kImage, {}, 2);
  world_.images.Distrust(Published(),
                         absl::FailedPreconditionError("it is not signed"));
  ASSERT_TRUE(world_.AdvanceUntil(absl::Minutes(30), [&] {
    return Update().error() == "it is not signed";
  }));
  world_.Advance(absl::Hours(1));
  EXPECT_THAT(world_.Revisions("web"), SizeIs(1));
  EXPECT_EQ(Update().pending().count(kImage), 1u);
  world_.images.Distrust(Published(), absl::OkStatus());
  ASSERT_TRUE(AwaitGood(2, absl::Hours(1)));
}

TEST_F(ImageUpdateTest, WhenAUserAppliesAnotherTemplate_ThatWins) {
  world_.Publish("r.local/app:2", {});
  world_.Apply(Following());
  ASSERT_TRUE(AwaitGood(1));
  world_.Publish(kImage, kCrashes, 2);
  world_.Apply(Following("r.local/app:2"));
  ASSERT_TRUE(AwaitGood(2));
  world_.Advance(absl::Hours(2));
  EXPECT_THAT(world_.Revisions("web"), SizeIs(2));
  EXPECT_EQ(Status().revision(), 2);
}

TEST_F(ImageUpdateTest, WhenTheImageIsNamedByDigest_ItNeverChanges) {
  const std::string digest = Published();
  world_.Apply(Following(absl::StrCat("r.local/app@", digest)));
  ASSERT_TRUE(AwaitGood(1));
  world_.Publish(kImage, {}, 2);
  EXPECT_EQ(Lookups(absl::Hours(3)), 0);
  EXPECT_THAT(world_.Revisions("web"), SizeIs(1));
}

TEST_F(ImageUpdateTest, WhenThePolicyIsTakenAway_NothingIsAskedAnyMore) {
  world_.Apply(Following());
  ASSERT_TRUE(AwaitGood(1));
  EXPECT_TRUE(Status().has_image_update());
  v1::Service service = Following();
  service.mutable_spec()->clear_image_update();
  world_.Apply(service);
  world_.Advance(absl::Minutes(1));
  EXPECT_FALSE(Status().has_image_update());
  EXPECT_EQ(Lookups(absl::Hours(3)), 0);
}

TEST_F(ImageUpdateTest, WhenManyServicesFollowOneName_ItIsAskedForOnce) {
  for (int i = 0; i < 50; ++i) {
    v1::Service service = Following();
    service.mutable_metadata()->set_name(absl::StrCat("web", i));
    service.mutable_spec()->set_replicas(1);
    world_.Apply(service);
  }
  world_.Advance(absl::Minutes(5));
  const int lookups = Lookups(absl::Hours(1));
  EXPECT_GE(lookups, 5);
  EXPECT_LE(lookups, 9);  // 6 intervals, of 0.8 to 1.1 of their length
}

TEST_F(ImageUpdateTest, WhenAppliedAgainWithPullAlways_TheTagIsResolvedAgain) {
  v1::Service service = World::MakeService("web", kImage, 2);
  service.mutable_spec()->mutable_containers(0)->set_pull(
      v1::Container::ALWAYS);
  world_.Apply(service);
  ASSERT_TRUE(AwaitGood(1));
  // Nothing new: no revision.
  world_.AskForImages("web");
  world_.Advance(absl::Minutes(1));
  EXPECT_THAT(world_.Revisions("web"), SizeIs(1));
  EXPECT_EQ(world_.Condition("web", scheduler::kImageRefresh), nullptr);
  world_.Publish(kImage, {}, 2);
  // A restart, or a scale, is no apply.
  world_.CrashDaemon();
  world_.Advance(absl::Minutes(10));
  EXPECT_THAT(world_.Revisions("web"), SizeIs(1));
  // The wish outlives the daemon, and a registry that is down.
  world_.images.FailPulls(absl::UnavailableError("registry is down"), 3);
  world_.AskForImages("web");
  world_.CrashDaemon();
  ASSERT_TRUE(AwaitGood(2));
  EXPECT_EQ(DigestOf(2), Published());
  EXPECT_EQ(world_.Condition("web", scheduler::kImageRefresh), nullptr);
}

TEST_F(ImageUpdateTest, WhenTheDaemonDiesAtAnyStep_OneRevisionComes) {
  world_.Apply(Following());
  ASSERT_TRUE(AwaitGood(1));
  world_.Publish(kImage, {}, 2);
  for (int i = 0; i < 300; ++i) {
    world_.Advance(absl::Seconds(5));
    world_.StepOnce();
    world_.CrashDaemon();
  }
  ASSERT_TRUE(AwaitGood(2));
  EXPECT_THAT(world_.Revisions("web"), SizeIs(2));
}

// Where an update can be when the daemon dies, and what it leaves then.
struct Phase {
  const char* what;
  std::function<bool(World&)> reached;
};

// Revision 2, in whatever state.
std::optional<v1::Revision> Updated(World& world) {
  for (const v1::Revision& r : world.Revisions("web")) {
    if (r.number() == 2) return r;
  }
  return std::nullopt;
}
// Its replicas that run but are not ready: health is waited for.
int Unready(World& world) {
  int count = 0;
  for (const v1::Replica& r : world.Replicas("web")) {
    count += r.spec().revision() == 2 && !r.status().ready() &&
             r.status().state() == v1::ReplicaStatus::RUNNING;
  }
  return count;
}
bool HasLive(World& world, int64_t revision) {
  for (const v1::Replica& r : world.Live("web")) {
    if (r.spec().revision() == revision) return true;
  }
  return false;
}

const Phase kPhases[] = {
    {"found", [](World& w) { return w.images.lookups() > 1; }},
    {"rolling out", [](World& w) { return Updated(w).has_value(); }},
    {"waiting for health", [](World& w) { return Unready(w) > 0; }},
    {"given up",
     [](World& w) {
       return Updated(w).has_value() && !Updated(w)->failure().empty();
     }},
    {"rolling back",
     [](World& w) {
       return Updated(w).has_value() && !Updated(w)->failure().empty() &&
              !HasLive(w, 2);
     }},
};

// A bad image that crashes, and one that is never ready.
class BadUpdateTest : public ::testing::TestWithParam<Behavior> {
 protected:
  // Two replicas run revision 1, and a bad image is published.
  static std::unique_ptr<World> Begun(uint64_t seed) {
    auto world = std::make_unique<World>(seed);
    world->Publish(kImage, {});
    v1::Service service = World::MakeService("web", kImage, 2);
    v1::ServiceSpec& spec = *service.mutable_spec();
    spec.mutable_image_update()->mutable_interval()->set_seconds(600);
    spec.mutable_rollout()->mutable_progress_deadline()->set_seconds(60);
    world->Apply(service);
    EXPECT_TRUE(world->AdvanceUntil(absl::Minutes(5), [&] {
      return world->GetService("web")->status().last_good_revision() == 1;
    }));
    world->Publish(kImage, GetParam(), 2);
    return world;
  }
  // It came back, is told so, and nothing is tried again.
  static void ExpectBack(World& world) {
    EXPECT_TRUE(world.AdvanceUntil(absl::Hours(1), [&] {
      return world.Condition("web", "RolledBack") != nullptr &&
             world.Available("web") == 2;
    }));
    const int64_t replicas = world.engine.List().size();
    for (int i = 0; i < 8; ++i) {
      world.Advance(absl::Minutes(15));
      world.CrashDaemon();
    }
    world.Advance(absl::Minutes(1));
    const v1::ServiceStatus status = world.GetService("web")->status();
    EXPECT_THAT(world.Revisions("web"), SizeIs(2));
    EXPECT_EQ(status.revision(), 1);
    EXPECT_EQ(status.last_good_revision(), 1);
    EXPECT_EQ(world.Available("web"), 2);
    EXPECT_FALSE(HasLive(world, 2));
    EXPECT_LE(world.engine.List().size(), replicas);
    const std::string bad = *world.images.Lookup(kImage);
    EXPECT_EQ(status.image_update().rejected().count(kImage), 1u);
    EXPECT_EQ(status.image_update().pending_size(), 0);
    // The name means what runs.
    EXPECT_NE(world.images.Get(kImage)->digest, bad);
    EXPECT_THAT(world.Events("ImageUpdated"), SizeIs(1));
  }
};

TEST_P(BadUpdateTest, WhenTheDaemonDiesInAPhase_TheImageComesBackOnce) {
  for (const Phase& phase : kPhases) {
    SCOPED_TRACE(phase.what);
    const auto world = Begun(1);
    ASSERT_TRUE(world->AdvanceUntil(absl::Minutes(30),
                                    [&] { return phase.reached(*world); }));
    world->CrashDaemon();
    ExpectBack(*world);
  }
}

TEST_P(BadUpdateTest, WhenTheHostRebootsInAPhase_TheImageComesBackOnce) {
  for (const Phase& phase : kPhases) {
    SCOPED_TRACE(phase.what);
    const auto world = Begun(2);
    ASSERT_TRUE(world->AdvanceUntil(absl::Minutes(30),
                                    [&] { return phase.reached(*world); }));
    world->Reboot();
    ExpectBack(*world);
  }
}

TEST_P(BadUpdateTest, WhenTheDaemonDiesAtEveryStep_TheImageComesBackOnce) {
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const auto world = Begun(seed);
    for (int i = 0; i < 300; ++i) {
      world->Advance(absl::Seconds(7));
      world->StepOnce();
      world->CrashDaemon();
    }
    ExpectBack(*world);
  }
}

// The new image is here, and its revision is not recorded.
TEST_P(BadUpdateTest, WhenTheRevisionCannotBeRecorded_ItIsWhenItCan) {
  const auto world = Begun(3);
  auto refused = std::make_shared<int>(0);
  world->SetFault([refused](const store::Batch&) -> absl::Status {
    if (++*refused > 20) return absl::OkStatus();
    return absl::ResourceExhaustedError("disk full");
  });
  ASSERT_TRUE(
      world->AdvanceUntil(absl::Minutes(30), [&] { return *refused > 0; }));
  world->CrashDaemon();
  ExpectBack(*world);
}

INSTANTIATE_TEST_SUITE_P(Bad, BadUpdateTest,
                         ::testing::Values(kCrashes,
                                           Behavior{absl::InfiniteDuration()}));

}  // namespace
}  // namespace bulwark::sim
