#include "daemon/metrics/measured_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"

namespace bulwark::daemon {
namespace {

// Reports as a push does, and takes two seconds.
class Uploading final : public engine::ImageExchange {
 public:
  explicit Uploading(Clock& clock) : clock_(clock) {}
  absl::StatusOr<std::string> Push(
      const engine::PushRequest&,
      const engine::ProgressSink& progress) override {
    clock_.Sleep(absl::Seconds(2));
    using Report = std::pair<const char*, int64_t>;
    // The second begins anew after it was cut.
    for (const auto& [layer, current] : std::vector<Report>{
             {"a", 100}, {"b", 60}, {"a", 250}, {"b", 0}, {"b", 40}}) {
      engine::Progress p;
      p.id = layer;
      p.status = "uploading";
      p.current = current;
      if (!progress(p)) return absl::CancelledError("cancelled");
    }
    engine::Progress there;
    there.id = "c";
    there.status = "present";
    there.current = 1000;
    progress(there);
    if (!failure_.ok()) return failure_;
    return "sha256:1";
  }
  absl::Status Save(const engine::SaveRequest&, int,
                    const engine::ProgressSink&) override {
    return absl::UnimplementedError("save");
  }
  absl::StatusOr<engine::Image> Import(const engine::ImportRequest&, int,
                                       const engine::ProgressSink&) override {
    return absl::UnimplementedError("import");
  }
  absl::StatusOr<engine::Image> MakeIndex(
      const engine::IndexRequest&) override {
    return absl::UnimplementedError("index");
  }
  absl::StatusOr<engine::TagsPage> ListTags(
      const engine::TagsRequest&) override {
    return absl::UnimplementedError("tags");
  }
  absl::StatusOr<engine::Referrers> ListReferrers(
      const engine::ReferrersRequest&) override {
    return absl::UnimplementedError("referrers");
  }

  absl::Status failure_;

 private:
  Clock& clock_;
};

TEST(MeasuredExchangeTest, WhenPushed_CountsWhatWasSentAndTheTime) {
  testing::FakeClock clock;
  Uploading registry(clock);
  MeasuredExchange exchange(registry, clock);
  int reports = 0;
  EXPECT_OK(exchange.Push(
      {}, [&](const engine::Progress&) { return ++reports > 0; }));
  const MeasuredExchange::Stats stats = exchange.GetStats();
  EXPECT_EQ(reports, 6);
  EXPECT_EQ(stats.pushes, 1);
  EXPECT_EQ(stats.failures, 0);
  EXPECT_EQ(stats.bytes, 350);
  EXPECT_DOUBLE_EQ(stats.durations.sum, 2);
}

TEST(MeasuredExchangeTest, WhenAPushFails_CountsItUnlessCancelled) {
  testing::FakeClock clock;
  Uploading registry(clock);
  MeasuredExchange exchange(registry, clock);
  EXPECT_FALSE(
      exchange.Push({}, [](const engine::Progress&) { return false; }).ok());
  EXPECT_EQ(exchange.GetStats().failures, 0);
  registry.failure_ = absl::UnavailableError("registry: down");
  EXPECT_FALSE(exchange.Push({}, nullptr).ok());
  EXPECT_EQ(exchange.GetStats().failures, 1);
  EXPECT_EQ(exchange.GetStats().pushes, 0);
  EXPECT_EQ(exchange.GetStats().bytes, 450);  // what was sent, was sent
}

TEST(MeasuredExchangeTest, WhenSomethingElse_HandsItOn) {
  testing::FakeClock clock;
  Uploading registry(clock);
  MeasuredExchange exchange(registry, clock);
  EXPECT_EQ(exchange.Save({}, -1, nullptr).message(), "save");
  EXPECT_EQ(exchange.Import({}, -1, nullptr).status().message(), "import");
  EXPECT_EQ(exchange.ListTags({}).status().message(), "tags");
  EXPECT_EQ(exchange.ListReferrers({}).status().message(), "referrers");
}

}  // namespace
}  // namespace bulwark::daemon
