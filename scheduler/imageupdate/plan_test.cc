#include "scheduler/imageupdate/plan.h"

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr char kOld[] = "sha256:old";
constexpr char kNew[] = "sha256:new";
constexpr char kNewer[] = "sha256:newer";

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &time, &error)) << text;
  return time;
}

class ImageUpdateTest : public ::testing::Test {
 public:
  ImageUpdateTest() {
    view_.now = At("2030-01-01T12:00:00Z");
    view_.service.mutable_metadata()->set_uid("uid");
    Declare({"app:1"});
    view_.service.mutable_spec()->mutable_image_update();
    Record(1, {{"app:1", kOld}}).Good();
  }

  ImageUpdateTest& Declare(const std::vector<std::string>& images) {
    view_.declared = v1::Template();
    for (const std::string& image : images) {
      v1::Container& c = *view_.declared.add_containers();
      c.set_name(absl::StrCat("c", view_.declared.containers_size()));
      c.set_image(image);
    }
    return *this;
  }
  ImageUpdateTest& Record(int64_t number, const Digests& digests) {
    v1::Revision r;
    r.set_number(number);
    *r.mutable_template_() = view_.declared;
    r.mutable_image_digests()->insert(digests.begin(), digests.end());
    view_.revisions.push_back(r);
    return *this;
  }
  void Good() {
    view_.revisions.back().set_good(true);
    SetTime(view_.revisions.back().mutable_complete_time(), view_.now);
  }
  void Failed() { view_.revisions.back().set_failure("crash loop"); }
  void WindowOf(const std::string& schedule, absl::Duration length,
                const std::string& zone = "") {
    auto& window =
        *view_.service.mutable_spec()->mutable_image_update()->mutable_window();
    window.set_schedule(schedule);
    window.mutable_duration()->set_seconds(absl::ToInt64Seconds(length));
    window.set_time_zone(zone);
    auto parsed = Window::Of(view_.service.spec().image_update());
    ASSERT_OK(parsed.status());
    view_.window = *parsed;
  }
  v1::ImageUpdateStatus& status() {
    return *view_.service.mutable_status()->mutable_image_update();
  }
  void Looked(absl::Duration ago) {
    SetTime(status().mutable_check_time(), view_.now - ago);
  }

  ImageUpdateView view_;
};

TEST_F(ImageUpdateTest, WhenATagHasMoved_TheNewDigestIsRolledOut) {
  const ImageUpdatePlan plan = PlanImageUpdate(view_, {{"app:1", kNew}});
  EXPECT_THAT(plan.changes, ElementsAre(Pair("app:1", kNew)));
  EXPECT_THAT(plan.digests, ElementsAre(Pair("app:1", kNew)));
  EXPECT_EQ(plan.base, 1);
  EXPECT_EQ(plan.status.error(), "");
  EXPECT_EQ(ToTime(plan.status.check_time()), view_.now);
  EXPECT_THAT(InWords(plan.changes), HasSubstr("app:1 is now sha256:new"));
}

TEST_F(ImageUpdateTest, WhenNothingHasMoved_NothingHappens) {
  const ImageUpdatePlan plan = PlanImageUpdate(view_, {{"app:1", kOld}});
  EXPECT_THAT(plan.changes, IsEmpty());
  EXPECT_TRUE(plan.status.pending().empty());
}

TEST_F(ImageUpdateTest, WhenOneOfTwoImagesMoves_TheOtherStays) {
  Declare({"app:1", "side:1"});
  view_.revisions.clear();
  Record(1, {{"app:1", kOld}, {"side:1", kOld}}).Good();
  const ImageUpdatePlan plan =
      PlanImageUpdate(view_, {{"app:1", kOld}, {"side:1", kNew}});
  EXPECT_THAT(plan.changes, ElementsAre(Pair("side:1", kNew)));
  EXPECT_THAT(plan.digests,
              ElementsAre(Pair("app:1", kOld), Pair("side:1", kNew)));
}

TEST_F(ImageUpdateTest, WhenADigestCameBack_ItIsRejectedAndNotTriedAgain) {
  Record(2, {{"app:1", kNew}}).Failed();
  EXPECT_THAT(CurrentStatus(view_).rejected(),
              UnorderedElementsAre(Pair("app:1", kNew)));
  ImageUpdatePlan plan = PlanImageUpdate(view_, {{"app:1", kNew}});
  EXPECT_THAT(plan.changes, IsEmpty());
  EXPECT_TRUE(plan.status.pending().empty());
  // Its successor is, from what runs on.
  plan = PlanImageUpdate(view_, {{"app:1", kNewer}});
  EXPECT_THAT(plan.changes, ElementsAre(Pair("app:1", kNewer)));
  EXPECT_EQ(plan.base, 1);
  // Nor is there anything to do when the tag goes back to what runs.
  EXPECT_THAT(PlanImageUpdate(view_, {{"app:1", kOld}}).changes, IsEmpty());
}

// A tag that goes to and fro between two bad images would be followed for ever.
TEST_F(ImageUpdateTest, WhenSeveralCameBack_NoneIsTriedAgain) {
  Record(2, {{"app:1", kNew}}).Failed();
  Record(3, {{"app:1", kNewer}}).Failed();
  EXPECT_THAT(CurrentStatus(view_).rejected(),
              UnorderedElementsAre(Pair("app:1", kNewer)));
  for (const char* digest : {kNew, kNewer}) {
    const ImageUpdatePlan plan = PlanImageUpdate(view_, {{"app:1", digest}});
    EXPECT_THAT(plan.changes, IsEmpty()) << digest;
    EXPECT_TRUE(plan.status.pending().empty()) << digest;
  }
  EXPECT_THAT(PlanImageUpdate(view_, {{"app:1", "sha256:newest"}}).changes,
              ElementsAre(Pair("app:1", "sha256:newest")));
}

// Revision 2 failed by the other image: its digest of this one has run well.
TEST_F(ImageUpdateTest, WhenADigestRanWellElsewhere_ATagMayGoBackToIt) {
  Declare({"app:1", "side:1"});
  view_.revisions.clear();
  Record(1, {{"app:1", kOld}, {"side:1", kOld}}).Good();
  Record(2, {{"app:1", kOld}, {"side:1", kNew}}).Failed();
  Record(3, {{"app:1", kNew}, {"side:1", kOld}}).Good();
  EXPECT_THAT(CurrentStatus(view_).rejected(),
              UnorderedElementsAre(Pair("side:1", kNew)));
  const ImageUpdatePlan plan =
      PlanImageUpdate(view_, {{"app:1", kOld}, {"side:1", kNew}});
  EXPECT_THAT(plan.changes, ElementsAre(Pair("app:1", kOld)));
}

TEST_F(ImageUpdateTest, WhenTheRevisionIsForgotten_TheRejectionIsNot) {
  (*status().mutable_rejected())["app:1"] = kNew;
  EXPECT_THAT(PlanImageUpdate(view_, {{"app:1", kNew}}).changes, IsEmpty());
  // That of an image that is not declared any more is.
  Declare({"app:2"});
  EXPECT_TRUE(CurrentStatus(view_).rejected().empty());
}

TEST_F(ImageUpdateTest, WhenAUserHasUndoneIt_ItIsRejected) {
  Record(2, {{"app:1", kNew}}).Failed();
  Record(3, {{"app:1", kOld}}).Good();
  EXPECT_THAT(PlanImageUpdate(view_, {{"app:1", kNew}}).changes, IsEmpty());
}

TEST_F(ImageUpdateTest, WhenAnotherTemplateFailed_ItsDigestsAreNotRejected) {
  const v1::Template declared = view_.declared;
  Declare({"app:1", "other:1"});
  Record(2, {{"app:1", kNew}, {"other:1", kOld}}).Failed();
  view_.declared = declared;
  EXPECT_TRUE(CurrentStatus(view_).rejected().empty());
}

TEST_F(ImageUpdateTest, WhenARolloutRuns_TheNextWaits) {
  Record(2, {{"app:1", kNew}});
  const ImageUpdatePlan plan = PlanImageUpdate(view_, {{"app:1", kNewer}});
  EXPECT_THAT(plan.changes, IsEmpty());
  EXPECT_THAT(plan.status.pending(),
              UnorderedElementsAre(Pair("app:1", kNewer)));
  status() = plan.status;
  const LookupPlan next = PlanLookup(view_);
  EXPECT_FALSE(next.due);
  EXPECT_LE(next.wake_at, view_.now + absl::Seconds(5));
}

TEST_F(ImageUpdateTest, WhenALookupFails_NothingChanges) {
  Declare({"app:1", "side:1"});
  view_.revisions.clear();
  Record(1, {{"app:1", kOld}, {"side:1", kOld}}).Good();
  const ImageUpdatePlan plan = PlanImageUpdate(
      view_, {{"app:1", absl::UnavailableError("registry is down")},
              {"side:1", kNew}});
  EXPECT_THAT(plan.changes, IsEmpty());
  EXPECT_EQ(plan.status.error(), "registry is down");
  EXPECT_THAT(plan.status.pending(),
              UnorderedElementsAre(Pair("side:1", kNew)));
}

TEST_F(ImageUpdateTest, WhenTheWindowIsClosed_WhatIsFoundWaitsForIt) {
  WindowOf("0 3 * * *", absl::Hours(1));
  ImageUpdatePlan plan = PlanImageUpdate(view_, {{"app:1", kNew}});
  EXPECT_THAT(plan.changes, IsEmpty());
  EXPECT_THAT(plan.status.pending(), UnorderedElementsAre(Pair("app:1", kNew)));
  status() = plan.status;
  view_.service.mutable_spec()
      ->mutable_image_update()
      ->mutable_interval()
      ->set_seconds(7 * 24 * 3600);
  const LookupPlan next = PlanLookup(view_);
  EXPECT_FALSE(next.due);
  EXPECT_GE(next.wake_at, At("2030-01-02T03:00:00Z"));
  EXPECT_LE(next.wake_at, At("2030-01-02T03:06:00Z"));
  view_.now = next.wake_at;
  EXPECT_TRUE(PlanLookup(view_).due);
  plan = PlanImageUpdate(view_, {{"app:1", kNew}});
  EXPECT_THAT(plan.changes, ElementsAre(Pair("app:1", kNew)));
}

TEST_F(ImageUpdateTest, WhenItFailsInTheWindow_IsNotTriedInACircle) {
  WindowOf("0 12 * * *", absl::Hours(1));
  (*status().mutable_pending())["app:1"] = kNew;
  status().set_error("registry is down");
  view_.now += absl::Minutes(30);
  view_.failures = 1;
  Looked(absl::Seconds(1));
  const LookupPlan next = PlanLookup(view_);
  EXPECT_FALSE(next.due);
  EXPECT_GE(next.wake_at, view_.now + absl::Seconds(50));
}

TEST_F(ImageUpdateTest, WhenLookedAt_TheNextLookIsAnIntervalLater) {
  EXPECT_TRUE(PlanLookup(view_).due);  // never yet
  Looked(absl::Minutes(1));
  const LookupPlan next = PlanLookup(view_);
  EXPECT_FALSE(next.due);
  EXPECT_GE(next.wake_at, view_.now + absl::Minutes(52));
  EXPECT_LE(next.wake_at, view_.now + absl::Minutes(66));
  // Always at the same time, not with everybody else's.
  EXPECT_EQ(PlanLookup(view_).wake_at, next.wake_at);
  view_.service.mutable_metadata()->set_uid("other");
  EXPECT_NE(PlanLookup(view_).wake_at, next.wake_at);
  Looked(absl::Hours(2));
  EXPECT_TRUE(PlanLookup(view_).due);
  // The clock was set back.
  Looked(-absl::Hours(5));
  EXPECT_TRUE(PlanLookup(view_).due);
}

TEST_F(ImageUpdateTest, WhenLooksFail_TheyComeSoonerAndThenSlower) {
  status().set_error("registry is down");
  Looked(absl::ZeroDuration());
  absl::Time last;
  for (const int failures : {1, 2, 3}) {
    view_.failures = failures;
    const absl::Time wake = PlanLookup(view_).wake_at;
    EXPECT_GT(wake, last);
    EXPECT_LE(wake, view_.now + absl::Minutes(5));
    last = wake;
  }
  view_.failures = 1000;
  EXPECT_LE(PlanLookup(view_).wake_at, view_.now + absl::Minutes(67));
}

TEST_F(ImageUpdateTest, WhenThereIsNoRevisionYet_Waits) {
  view_.revisions.clear();
  const LookupPlan plan = PlanLookup(view_);
  EXPECT_FALSE(plan.due);
  EXPECT_EQ(plan.wake_at, absl::InfiniteFuture());
}

TEST_F(ImageUpdateTest, WhenADigestOrNeverIsDeclared_IsNotFollowed) {
  Declare({"app:1", "app@sha256:1", "local:1", "app:1"});
  view_.declared.mutable_containers(2)->set_pull(v1::Container::NEVER);
  EXPECT_THAT(FollowedImages(view_.declared), ElementsAre("app:1"));
}

TEST(WindowTest, WhenClocksChange_OpensOnceAndForItsWholeLength) {
  v1::ImageUpdate update;
  update.mutable_window()->set_schedule("30 2 * * *");
  update.mutable_window()->mutable_duration()->set_seconds(3600);
  update.mutable_window()->set_time_zone("Europe/Berlin");
  auto window = Window::Of(update);
  ASSERT_OK(window);
  // 2:30 is skipped on 2030-03-31: it opens at 3:00 CEST, 1:00 UTC.
  EXPECT_FALSE(window->IsOpen(At("2030-03-31T00:59:59Z")));
  EXPECT_TRUE(window->IsOpen(At("2030-03-31T01:00:00Z")));
  EXPECT_TRUE(window->IsOpen(At("2030-03-31T01:59:59Z")));
  EXPECT_FALSE(window->IsOpen(At("2030-03-31T02:00:00Z")));
  // 2:30 comes twice on 2030-10-27: it opens at the first.
  EXPECT_TRUE(window->IsOpen(At("2030-10-27T00:30:00Z")));
  EXPECT_TRUE(window->IsOpen(At("2030-10-27T01:29:59Z")));
  EXPECT_FALSE(window->IsOpen(At("2030-10-27T01:30:00Z")));
  EXPECT_EQ(window->NextOpening(At("2030-10-27T01:30:00Z")),
            At("2030-10-28T01:30:00Z"));
}

TEST(WindowTest, WhenWindowsOverlap_StaysOpen) {
  v1::ImageUpdate update;
  update.mutable_window()->set_schedule("0 * * * *");
  update.mutable_window()->mutable_duration()->set_seconds(7200);
  auto window = Window::Of(update);
  ASSERT_OK(window.status());
  EXPECT_TRUE(window->IsOpen(At("2030-01-01T12:59:59Z")));
  EXPECT_EQ(window->OpenedAt(At("2030-01-01T12:59:59Z")),
            At("2030-01-01T12:00:00Z"));
}

TEST(WindowTest, WhenNoneIsDeclared_IsAlwaysOpen) {
  const Window window;
  EXPECT_TRUE(window.IsOpen(absl::UnixEpoch()));
  EXPECT_EQ(window.NextOpening(absl::UnixEpoch()), absl::InfiniteFuture());
}

}  // namespace
}  // namespace bulwark::scheduler
