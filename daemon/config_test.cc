#include "daemon/config.h"

#include "base/testing/status_matchers.h"

namespace bulwark::daemon {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ConfigTest, DefaultsAreComplete) {
  Config config;
  ASSERT_OK(Complete(config));
  EXPECT_EQ(config.socket, "/run/bulwark/bulwarkd.sock");
  EXPECT_FALSE(config.bin_dir.empty());
}

TEST(ConfigTest, WhenAPathOrNameIsUnusable_NamesTheFlag) {
  Config config;
  config.state_dir = "relative";
  EXPECT_THAT(Complete(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("--state-dir")));
  config = Config();
  config.runtime_dir = "/" + std::string(60, 'x');
  EXPECT_THAT(Complete(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr("--runtime-dir")));
  for (const char* name : {"", "Upper", "with-dash", "muchmuchtoolong"}) {
    config = Config();
    config.instance = name;
    EXPECT_THAT(Complete(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("--instance")))
        << name;
  }
}

TEST(ConfigTest, TheCommandLineSetsWhatItNames) {
  Config config;
  char program[] = "bulwarkd", flag[] = "--instance", value[] = "t1",
       own[] = "--i-own-this-host";
  char* argv[] = {program, flag, value, own, nullptr};
  EXPECT_EQ(ParseCommandLine(4, argv, config), -1);
  EXPECT_EQ(config.instance, "t1");
  EXPECT_TRUE(config.own_host);
}

TEST(ConfigTest, WhenAFlagIsUnknown_ExitsWithUsage) {
  Config config;
  char program[] = "bulwarkd", flag[] = "--no-such-flag";
  char* argv[] = {program, flag, nullptr};
  EXPECT_EQ(ParseCommandLine(2, argv, config), 2);
}

TEST(ConfigTest, NameserversAreTakenInOrder) {
  EXPECT_THAT(Nameservers("# nameserver 1.1.1.1\nsearch x\nnameserver\t"
                          "192.0.2.1\nnameserver 192.0.2.2\n"),
              ElementsAre("192.0.2.1", "192.0.2.2"));
}

}  // namespace
}  // namespace bulwark::daemon
