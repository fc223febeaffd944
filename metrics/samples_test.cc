#include "metrics/samples.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <sstream>

namespace bulwark::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(Samples samples) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, std::move(samples).Take());
  return out.str();
}

TEST(SamplesTest, WhenAdded_AreWrittenWithTypeHelpAndLabels) {
  Samples samples;
  samples.Add("bulwark_service_replicas_desired", {"shop", "web"}, 3);
  samples.Add("bulwark_service_restarts_total", {"shop", "web"}, 2);
  samples.Add("bulwark_proxy_up", 1);
  EXPECT_EQ(
      Text(std::move(samples)),
      "# HELP bulwark_service_replicas_desired Replicas that should run.\n"
      "# TYPE bulwark_service_replicas_desired gauge\n"
      "bulwark_service_replicas_desired{project=\"shop\",service=\"web\"} 3\n"
      "# HELP bulwark_service_restarts_total Replicas that took the place of "
      "one that had failed, since the daemon's start.\n"
      "# TYPE bulwark_service_restarts_total counter\n"
      "bulwark_service_restarts_total{project=\"shop\",service=\"web\"} 2\n"
      "# HELP bulwark_proxy_up 1 if the proxy answers the daemon, else 0; its "
      "other series are absent then.\n"
      "# TYPE bulwark_proxy_up gauge\n"
      "bulwark_proxy_up 1\n");
}

TEST(SamplesTest, WhenALabelHasNoValue_IsLeftOut) {
  Samples samples;
  samples.Add("bulwark_replica_ready", {"shop", "", "nightly", "nightly-0"}, 0);
  EXPECT_THAT(Text(std::move(samples)),
              HasSubstr("bulwark_replica_ready{project=\"shop\","
                        "job_name=\"nightly\",replica=\"nightly-0\"} 0\n"));
}

TEST(SamplesTest, WhenALabelIsHostile_IsEscaped) {
  Samples samples;
  samples.Add("bulwark_api_calls_total", {"a\"b\\c\nd", "OK"}, 1);
  EXPECT_THAT(Text(std::move(samples)),
              HasSubstr("{method=\"a\\\"b\\\\c\\nd\",code=\"OK\"} 1\n"));
}

TEST(SamplesTest, WhenAHistogramIsAdded_HasBucketsUpToInfinity) {
  constexpr double kBounds[] = {0.5, 1};
  Histogram histogram(kBounds);
  histogram.Observe(absl::Milliseconds(250));
  histogram.Observe(absl::Seconds(4));
  Samples samples;
  samples.Add("bulwark_store_write_duration_seconds", {}, histogram.Get());
  const std::string text = Text(std::move(samples));
  const std::string name = "bulwark_store_write_duration_seconds";
  EXPECT_THAT(text, HasSubstr("# TYPE " + name + " histogram\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"0.5\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"1\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"+Inf\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(name + "_sum 4.25\n"));
  EXPECT_THAT(text, HasSubstr(name + "_count 2\n"));
}

TEST(SamplesTest, WhenNothingWasAdded_NothingIsSaid) {
  EXPECT_EQ(Text(Samples()), "");
}

}  // namespace
}  // namespace bulwark::metrics
