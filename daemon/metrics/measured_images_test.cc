#include "daemon/metrics/measured_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/images/fake_images.h"
#include "engine/image_refusal.h"

namespace bulwark::daemon {
namespace {

// Reports as a registry's client does, and takes two seconds.
class Downloading final : public engine::Images {
 public:
  explicit Downloading(Clock& clock) : clock_(clock) {}
  absl::StatusOr<engine::Image> Pull(
      const engine::PullRequest& request,
      const engine::ProgressSink& progress) override {
    clock_.Sleep(absl::Seconds(2));
    for (const auto& [layer, current] :
         std::vector<std::pair<const char*, int64_t>>{
             {"a", 0}, {"a", 100}, {"b", 0}, {"a", 250}, {"b", 40}}) {
      engine::Progress p;
      p.id = layer;
      p.status = "downloading";
      p.current = current;
      if (!progress(p)) return absl::CancelledError("cancelled");
    }
    // A download that breaks begins anew.
    engine::Progress again;
    again.id = "a";
    again.status = "downloading";
    progress(again);
    again.current = 10;
    progress(again);
    if (!failure_.ok()) return failure_;
    return engine::Image();
  }
  absl::Status CheckTrust(const engine::TrustRequest& request) override {
    return request.digest == "unsigned"
               ? engine::RefuseImage(engine::kSignatureMissing, "unsigned")
               : absl::OkStatus();
  }
  absl::StatusOr<std::string> Lookup(absl::string_view) override {
    return "sha256:1";
  }
  absl::StatusOr<std::vector<engine::Image>> Load(
      int, const engine::ProgressSink&) override {
    return absl::UnimplementedError("load");
  }
  absl::StatusOr<engine::Image> Build(const engine::BuildRequest&,
                                      const engine::ProgressSink&) override {
    return absl::UnimplementedError("build");
  }
  absl::StatusOr<engine::Image> Get(absl::string_view) override {
    return absl::NotFoundError("get");
  }
  std::vector<engine::Image> List() override { return {}; }
  absl::Status Tag(absl::string_view, absl::string_view) override {
    return absl::OkStatus();
  }
  absl::Status Remove(absl::string_view,
                      const std::vector<std::string>&) override {
    return absl::OkStatus();
  }
  absl::Status Untag(absl::string_view) override { return absl::OkStatus(); }
  absl::StatusOr<engine::ImagesUsage> Usage(
      const std::vector<std::string>&) override {
    return absl::UnimplementedError("usage");
  }
  absl::StatusOr<engine::PruneImagesResult> Prune(
      const engine::PruneImagesRequest&) override {
    return absl::UnimplementedError("prune");
  }

  absl::Status failure_;

 private:
  Clock& clock_;
};

TEST(MeasuredImagesTest, WhenPulled_CountsBytesAndTime) {
  testing::FakeClock clock;
  Downloading registry(clock);
  MeasuredImages images(registry, clock);
  int reports = 0;
  ASSERT_OK(images.Pull({}, [&](const engine::Progress&) { return ++reports; })
                .status());
  const MeasuredImages::Stats stats = images.GetStats();
  EXPECT_EQ(reports, 7);
  EXPECT_EQ(stats.pulls, 1);
  EXPECT_EQ(stats.failures, 0);
  EXPECT_EQ(stats.bytes, 300);
  EXPECT_DOUBLE_EQ(stats.durations.sum, 2);
}

TEST(MeasuredImagesTest, WhenAPullFails_CountsTheFailureUnlessCancelled) {
  testing::FakeClock clock;
  Downloading registry(clock);
  MeasuredImages images(registry, clock);
  EXPECT_FALSE(
      images.Pull({}, [](const engine::Progress&) { return false; }).ok());
  EXPECT_EQ(images.GetStats().failures, 0);
  registry.failure_ = absl::UnavailableError("registry: down");
  EXPECT_FALSE(images.Pull({}, nullptr).ok());
  EXPECT_EQ(images.GetStats().failures, 1);
  EXPECT_EQ(images.GetStats().pulls, 0);
}

TEST(MeasuredImagesTest, WhenPolicyRefuses_CountsPullsAndStarts) {
  testing::FakeClock clock;
  Downloading registry(clock);
  MeasuredImages images(registry, clock);
  EXPECT_OK(images.CheckTrust({"app", "signed"}));
  EXPECT_EQ(images.GetStats().refusals, 0);
  EXPECT_FALSE(images.CheckTrust({"app", "unsigned"}).ok());
  registry.failure_ =
      engine::RefuseImage(engine::kSignatureInvalid, "other key");
  EXPECT_FALSE(images.Pull({}, nullptr).ok());
  EXPECT_EQ(images.GetStats().refusals, 2);
  EXPECT_OK(images.Lookup("app").status());
  EXPECT_EQ(images.GetStats().lookups, 1);
}

TEST(MeasuredImagesTest, WhenTheImageIsThere_CountsNoPull) {
  testing::FakeClock clock;
  engine::FakeImages local;
  local.Publish("app:1");
  MeasuredImages images(local, clock);
  engine::PullRequest request;
  request.reference = "app:1";
  ASSERT_OK(images.Pull(request, nullptr).status());
  EXPECT_EQ(images.GetStats().pulls, 0);
  EXPECT_EQ(images.List().size(), 1);
}

}  // namespace
}  // namespace bulwark::daemon
