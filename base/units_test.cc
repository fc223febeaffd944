#include "base/units.h"

#include "base/testing/status_matchers.h"

namespace bulwark {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(UnitsTest, DurationsRoundTrip) {
  for (const char* text : {"500ms", "10s", "5m", "1h30m", "0"}) {
    ASSERT_OK_AND_ASSIGN(absl::Duration d, ParseDuration(text));
    EXPECT_EQ(absl::FormatDuration(d), text);
  }
  EXPECT_THAT(ParseDuration("2d"), IsOkAndHolds(absl::Hours(48)));
  EXPECT_THAT(ParseDuration("1d12h"), IsOkAndHolds(absl::Hours(36)));
}

TEST(UnitsTest, WhenDurationIsMalformed_SaysWhatIsExpected) {
  for (const char* text :
       {"", "10", "10 m", "-5s", "inf", "5x", "d", "+5s", "1.d", "s"}) {
    EXPECT_THAT(ParseDuration(text), StatusIs(kInvalid, HasSubstr("500ms")))
        << text;
  }
}

TEST(UnitsTest, BytesRoundTrip) {
  EXPECT_THAT(ParseBytes("64Mi"), IsOkAndHolds(64 << 20));
  EXPECT_THAT(ParseBytes("1.5Gi"), IsOkAndHolds(3LL << 29));
  EXPECT_THAT(ParseBytes("10k"), IsOkAndHolds(10000));
  EXPECT_THAT(ParseBytes("123"), IsOkAndHolds(123));
  for (int64_t bytes : {0LL, 1LL, 1000LL, 1024LL, 5LL << 30, 123456789LL}) {
    EXPECT_THAT(ParseBytes(FormatBytes(bytes)), IsOkAndHolds(bytes));
  }
}

TEST(UnitsTest, WhenBytesAreMalformed_Refuses) {
  for (const char* text : {"", "Mi", "-1", "1.5", "64MB", "64 Mi", "1e3",
                           "99999999999Ti", "0x10", "1..5Gi"}) {
    EXPECT_THAT(ParseBytes(text), StatusIs(kInvalid)) << text;
  }
  EXPECT_THAT(ParseBytes("20m"),
              StatusIs(kInvalid, ::testing::EndsWith("calls so is 20Mi")));
  EXPECT_THAT(ParseBytes("1.5GB"),
              StatusIs(kInvalid, ::testing::EndsWith("calls so is 1.5Gi")));
}

TEST(UnitsTest, MillicoresRoundTrip) {
  EXPECT_THAT(ParseMillicores("250m"), IsOkAndHolds(250));
  EXPECT_THAT(ParseMillicores("0.5"), IsOkAndHolds(500));
  EXPECT_THAT(ParseMillicores("2"), IsOkAndHolds(2000));
  EXPECT_EQ(FormatMillicores(250), "250m");
  EXPECT_EQ(FormatMillicores(3000), "3");
  for (const char* text : {"", "m", "-1", "0.0001", "1 core", "1e9"}) {
    EXPECT_THAT(ParseMillicores(text), StatusIs(kInvalid)) << text;
  }
}

TEST(UnitsTest, PercentsRoundTrip) {
  EXPECT_THAT(ParsePercent("70%"), IsOkAndHolds(70));
  EXPECT_EQ(FormatPercent(70), "70%");
  for (const char* text : {"", "%", "70", "-1%", "1001%", "7.5%"}) {
    EXPECT_THAT(ParsePercent(text), StatusIs(kInvalid)) << text;
  }
}

}  // namespace
}  // namespace bulwark
