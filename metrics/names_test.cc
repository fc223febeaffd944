#include "metrics/names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace bulwark::metrics {
namespace {

using ::testing::MatchesRegex;

TEST(NamesTest, EachSeriesFollowsTheConventions) {
  std::set<absl::string_view> names;
  for (size_t i = 0; i < kSeriesCount; ++i) {
    const Series& s = SeriesAt(i);
    SCOPED_TRACE(s.name);
    EXPECT_TRUE(names.insert(s.name).second) << "twice";
    EXPECT_THAT(std::string(s.name),
                MatchesRegex("(bulwark|process)(_[a-z]+)+"));
    EXPECT_EQ(absl::EndsWith(s.name, "_total"), s.type == Type::kCounter);
    if (s.type == Type::kHistogram) {
      EXPECT_TRUE(absl::EndsWith(s.name, "_seconds"));
    }
    for (const char* unit : {"_usec", "_ms", "milli", "_minutes", "_kb",
                             "percent", "_count", "_sum", "_bucket"}) {
      EXPECT_FALSE(absl::StrContains(s.name, unit)) << unit;
    }
    EXPECT_TRUE(absl::EndsWith(s.help, ".")) << s.help;
    for (absl::string_view label :
         absl::StrSplit(s.labels, ',', absl::SkipEmpty())) {
      EXPECT_THAT(std::string(label), MatchesRegex("[a-z_]+"));
      // Prometheus has these for itself.
      EXPECT_NE(label, "job");
      EXPECT_NE(label, "instance");
      EXPECT_NE(label, "le");
    }
  }
}

TEST(NamesTest, WhenNamed_FindsTheSeries) {
  static_assert(SeriesName("bulwark_service_replicas_desired").index() == 0);
  constexpr SeriesName kLast("process_start_time_seconds");
  EXPECT_EQ(kLast.index(), kSeriesCount - 1);
  EXPECT_EQ(SeriesAt(kLast.index()).name, "process_start_time_seconds");
}

TEST(NamesTest, TheReferenceIsUpToDate) {
  std::ifstream file(std::string(std::getenv("TEST_SRCDIR")) +
                     "/bulwark/docs/metrics.md");
  std::stringstream content;
  content << file.rdbuf();
  EXPECT_EQ(content.str(), Reference())
      << "bazel run //metrics:reference > docs/metrics.md";
}

}  // namespace
}  // namespace bulwark::metrics
