#include "ctl/run_given.h"

#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace bulwark::ctl {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

TEST(RunGivenTest, WhenGiven_EachReachesTheContainer) {
  GivenFlags flags;
  flags.devices = {"/dev/fuse:r"};
  flags.ulimits = {"nofile=10:20"};
  flags.tmpfs = {"/run:size=1Mi"};
  flags.shm_size = "2Mi";
  flags.hostname = "box";
  flags.hosts = {"db:fd00::1"};
  flags.sysctls = {"net.core.somaxconn=7"};
  flags.log_driver = "json-file";
  v1::Container c;
  ASSERT_OK(FillGiven(flags, c));
  EXPECT_EQ(c.devices(0).access(), "r");
  EXPECT_EQ(c.ulimits(0).hard(), 20);
  EXPECT_EQ(c.tmpfs(0).size(), 1 << 20);
  EXPECT_EQ(c.shm_size(), 2 << 20);
  EXPECT_EQ(c.hostname(), "box");
  EXPECT_EQ(c.extra_hosts(0).address(), "fd00::1");
  EXPECT_EQ(c.sysctls(0).value(), "7");
  EXPECT_EQ(c.log().driver(), v1::Logging::JSON_FILE);
  v1::Container none;
  ASSERT_OK(FillGiven({}, none));
  EXPECT_EQ(none.ByteSizeLong(), 0u);
}

TEST(RunGivenTest, WhenWrong_TheFlagIsNamed) {
  const auto fails = [](auto change, const char* text) {
    GivenFlags flags;
    change(flags);
    v1::Container c;
    EXPECT_THAT(FillGiven(flags, c),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text)));
  };
  fails([](GivenFlags& f) { f.devices = {"fuse"}; }, "--device: ");
  fails([](GivenFlags& f) { f.ulimits = {"nofile"}; }, "--ulimit: ");
  fails([](GivenFlags& f) { f.tmpfs = {"run"}; }, "--tmpfs: ");
  fails([](GivenFlags& f) { f.shm_size = "x"; }, "--shm-size: ");
  fails([](GivenFlags& f) { f.hosts = {"db"}; }, "--add-host db: NAME:value");
  fails([](GivenFlags& f) { f.sysctls = {"=1"}; }, "--sysctl =1: NAME=value");
  fails([](GivenFlags& f) { f.log_driver = "syslog"; }, "--log-driver: ");
}

TEST(RunGivenTest, WhenTheServerRefusesAField_TheFlagIsFound) {
  GivenFlags flags;
  flags.ulimits = {"a=1", "b=2"};
  EXPECT_EQ(GivenFlagOf("ulimits[1].name", flags), "--ulimit b=2");
  EXPECT_EQ(GivenFlagOf("ulimits[7].name", flags), "");
  EXPECT_EQ(GivenFlagOf("hostname", flags), "--hostname");
  EXPECT_EQ(GivenFlagOf("log.driver", flags), "--log-driver");
  EXPECT_EQ(GivenFlagOf("image", flags), "");
}

}  // namespace
}  // namespace bulwark::ctl
