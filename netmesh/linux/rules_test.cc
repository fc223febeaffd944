#include "netmesh/linux/rules.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/testing/status_matchers.h"
#include "netmesh/linux/dataplane.h"
#include "netmesh/linux/names.h"

namespace bulwark::netmesh {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Optional;
using testing::StatusIs;

TEST(NamesTest, WhenNamed_FitsAndCarriesTheInstance) {
  std::set<std::string> names;
  for (const char* instance : {"b", "bulwark", "a-very-long-instance-name"}) {
    for (const char* id : {"a", "b", "0123456789abcdefghij"}) {
      std::string bridge = LinkName(instance, LinkKind::kBridge, id);
      std::string port = LinkName(instance, LinkKind::kSandbox, id);
      EXPECT_LE(bridge.size(), 15u);
      EXPECT_TRUE(bridge.starts_with(LinkPrefix(instance, LinkKind::kBridge)));
      names.insert(bridge);
      names.insert(port);
    }
    EXPECT_LE(UplinkName(instance).size(), 15u);
  }
  EXPECT_EQ(names.size(), 18u);
  // Of two long instances with the same beginning, each has its own.
  EXPECT_NE(LinkPrefix("production-east", LinkKind::kBridge),
            LinkPrefix("production-west", LinkKind::kBridge));
}

TEST(NamesTest, WhenAnAliasIsOurs_GivesItsFields) {
  std::string alias = FormatAlias("i1", "network", {"n", "10.0.0.0/24", ""});
  EXPECT_THAT(ParseAlias(alias, "i1", "network"),
              Optional(ElementsAre("n", "10.0.0.0/24", "")));
  EXPECT_EQ(ParseAlias(alias, "i2", "network"), std::nullopt);
  EXPECT_EQ(ParseAlias(alias, "i1", "sandbox"), std::nullopt);
  EXPECT_EQ(ParseAlias("", "i1", "network"), std::nullopt);
}

TEST(NamesTest, WhenAnAddressMovesOn_KeepsItsMac) {
  EXPECT_EQ(os::FormatMac(MacFor(os::IpAddress::Parse("10.210.3.5").value())),
            "02:42:0a:d2:03:05");
}

RulesConfig Config() { return ParseConfig({.instance = "test1"}).value(); }

TEST(RulesTest, WhenHostAccessIsAllowed_DropsTheRule) {
  RulesConfig config = Config();
  const char* rule = "iifname \"test1-up\" drop";
  EXPECT_THAT(HostRules(config), HasSubstr(rule));
  config.allow_host_access = true;
  EXPECT_THAT(HostRules(config), Not(HasSubstr(rule)));

  const char* metadata = "169.254.0.0/16";
  EXPECT_THAT(DataplaneRules(config, {}, {}), HasSubstr(metadata));
  config.allow_link_local = true;
  EXPECT_THAT(DataplaneRules(config, {}, {}), Not(HasSubstr(metadata)));
}

TEST(RulesTest, WhenASandboxIsAdded_BindsPortMacAndAddress) {
  NetworkPlan network = PlanNetwork({"n", "10.0.0.0/24", "fd00::/64"}).value();
  SandboxPlan sandbox =
      PlanSandbox({"s", "n", "10.0.0.2", "fd00::2"}, network).value();
  std::string text = DataplaneRules(Config(), {network}, {sandbox});
  std::string port = LinkName("test1", LinkKind::kSandbox, "s");
  EXPECT_THAT(text, HasSubstr("ports4 { \"" + port +
                              "\" . 02:42:0a:00:00:02 . 10.0.0.2 }"));
  EXPECT_THAT(text, HasSubstr("fd00::2 }"));
}

TEST(ParseConfigTest, WhenAFieldIsWrong_NamesIt) {
  auto invalid = [](auto message) {
    return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message));
  };
  EXPECT_THAT(ParseConfig({.instance = ""}), invalid("instance"));
  EXPECT_THAT(ParseConfig({.instance = "a\"; flush ruleset"}),
              invalid("instance"));
  EXPECT_THAT(ParseConfig({.instance = "1a"}), invalid("instance"));
  EXPECT_THAT(ParseConfig({.uplink_subnet = "10.0.0.0/31"}), invalid("uplink"));
  EXPECT_THAT(ParseConfig({.virtual_pool = "fd00::/64"}), invalid("virtual"));
  EXPECT_THAT(ParseConfig({.uplink_subnet = "10.211.0.0/30"}),
              invalid("overlaps"));
}

}  // namespace
}  // namespace bulwark::netmesh
