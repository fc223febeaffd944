#include "engine/oci/cgroup/device_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const DeviceRule kDenyAll = {false, 'a', {}, {}, "rwm"};
const DeviceRule kAllowAll = {true, 'a', {}, {}, "rwm"};

std::vector<std::string> Lines(const std::vector<DeviceRule>& rules) {
  const absl::StatusOr<DevicePolicy> policy = CompileDeviceRules(rules);
  if (!policy.ok()) return {policy.status().ToString()};
  const absl::StatusOr<std::vector<DeviceLine>> lines = DeviceLinesV1(*policy);
  if (!lines.ok()) return {lines.status().ToString()};
  std::vector<std::string> texts;
  for (const DeviceLine& line : *lines) {
    texts.push_back(absl::StrCat(line.allow ? "+" : "-", line.text));
  }
  return texts;
}

TEST(DeviceRulesTest, WhenThereAreNone_ThenTheDefaultDevicesAreLeft) {
  EXPECT_THAT(Lines({}), ElementsAre("-a", "+c *:* m", "+b *:* m",
                                     "+c 136:* rwm", "+c 5:1 rwm", "+c 5:2 rwm",
                                     "+c 5:0 rwm", "+c 1:8 rwm", "+c 1:7 rwm",
                                     "+c 1:9 rwm", "+c 1:5 rwm", "+c 1:3 rwm"));
}

TEST(DeviceRulesTest, WhenEverythingIsAllowed_ThenNothingIsWritten) {
  EXPECT_TRUE(CompileDeviceRules({kDenyAll, kAllowAll})->AllowsAll());
  EXPECT_THAT(Lines({kDenyAll, kAllowAll}), ElementsAre());
  // An allowed device changes nothing; one that is denied does.
  EXPECT_TRUE(
      CompileDeviceRules({kAllowAll, {true, 'c', 10, 200, "rw"}})->AllowsAll());
  EXPECT_FALSE(CompileDeviceRules({kAllowAll, {false, 'c', 10, 200, "rw"}})
                   ->AllowsAll());
  EXPECT_FALSE(CompileDeviceRules({})->AllowsAll());
}

TEST(DeviceRulesTest, WhenDevicesAreAllowed_ThenTheyComeBeforeTheDefaults) {
  const std::vector<std::string> lines =
      Lines({{true, 'b', 7, 1, "r"},  // forgotten by what comes next
             kDenyAll,
             {true, 'c', 10, 229, "rwm"},
             {true, 'b', 8, {}, ""},
             {true, 'c', 10, -1, "wr"}});
  ASSERT_EQ(lines.size(), 15u);
  EXPECT_EQ(lines[1], "+c 10:229 rwm");
  EXPECT_EQ(lines[2], "+b 8:* rwm");
  EXPECT_EQ(lines[3], "+c 10:* rw");
}

TEST(DeviceRulesTest, WhenTypeIsAllButNotTheRest_ThenBothTypesAreMeant) {
  const std::vector<std::string> lines =
      Lines({kAllowAll, {false, 'a', 9, 7, "w"}});
  EXPECT_THAT(lines, ElementsAre("-c 9:7 w", "-b 9:7 w"));
}

TEST(DeviceRulesTest, WhenARuleTakesAnEarlierOneBack_ThenTheSumIsWritten) {
  EXPECT_THAT(Lines({kAllowAll,
                     {false, 'c', 10, 1, "rwm"},
                     {false, 'c', 10, 2, "rw"},
                     {false, 'c', 10, 2, "m"},
                     {true, 'c', 10, {}, "r"}}),
              // Making nodes is a default.
              ElementsAre("-c 10:1 w", "-c 10:2 w"));
}

TEST(DeviceRulesTest, WhenVersionOneCannotSayIt_ThenTheErrorNamesBoth) {
  EXPECT_THAT(Lines({{true, 'c', 10, {}, "rwm"}, {false, 'c', 10, 200, "w"}}),
              ElementsAre(HasSubstr("\"c 10:200 w\" takes back a part of "
                                    "\"c 10:* rwm\"")));
  EXPECT_THAT(DeviceLinesV1(*CompileDeviceRules(
                  {{true, 'c', 10, {}, "r"}, {false, 'c', {}, 200, "r"}})),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  // No common bit, no problem.
  EXPECT_EQ(
      Lines({{true, 'c', 10, {}, "r"}, {false, 'c', 10, 200, "w"}}).size(),
      13u);
}

TEST(DeviceRulesTest, WhenARuleIsWrong_ThenItIsNamed) {
  const auto error = [](DeviceRule rule) {
    return CompileDeviceRules({kDenyAll, rule}).status();
  };
  const auto names = [](const char* field) {
    return StatusIs(
        absl::StatusCode::kInvalidArgument,
        HasSubstr(absl::StrCat("linux.resources.devices[1].", field)));
  };
  EXPECT_THAT(error({true, 'p', 1, 1, "r"}), names("type"));
  EXPECT_THAT(error({true, '\0', 1, 1, "r"}), names("type"));
  EXPECT_THAT(error({true, 'c', 1, 1, "rx"}), names("access"));
  EXPECT_THAT(error({true, 'c', -2, 1, "r"}), names("major"));
  EXPECT_THAT(error({true, 'c', 1, int64_t{1} << 32, "r"}), names("minor"));
}

}  // namespace
}  // namespace bulwark::engine::oci
