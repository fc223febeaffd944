#include "netmesh/plan.h"

#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace bulwark::netmesh {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(PlanTest, WhenANetworkIsGood_DerivesItsGateways) {
  ASSERT_OK_AND_ASSIGN(NetworkPlan plan,
                       PlanNetwork({"n1", "10.210.3.0/24", "fd00:1:2:3::/64"}));
  EXPECT_EQ(plan.Info().gateway, "10.210.3.1");
  EXPECT_EQ(plan.Info().gateway6, "fd00:1:2:3::1");
}

TEST(PlanTest, WhenANetworkIsWrong_SaysWhatIs) {
  struct Case {
    NetworkSpec spec;
    const char* message;
  };
  const Case cases[] = {
      {{"", "10.0.0.0/24", ""}, "[a-z0-9]"},
      {{"Web", "10.0.0.0/24", ""}, "Web"},
      {{"../../x", "10.0.0.0/24", ""}, "[a-z0-9]"},
      {{"a2345678901234567", "10.0.0.0/24", ""}, "1 to 16"},
      {{"n", "", ""}, "network n"},
      {{"n", "10.0.0.1/24", ""}, "10.0.0.0/24"},
      {{"n", "10.0.0.0/31", ""}, "/30"},
      {{"n", "fd00::/64", ""}, "IPv4"},
      {{"n", "10.0.0.0/24", "10.1.0.0/24"}, "IPv6"},
      {{"n", "10.0.0.0/24", "fd00::/48"}, "IPv6"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(PlanNetwork(c.spec), StatusIs(kInvalid, HasSubstr(c.message)));
  }
}

TEST(PlanTest, WhenASandboxIsWrong_SaysWhatIs) {
  NetworkPlan four = PlanNetwork({"n", "10.0.0.0/24", ""}).value();
  NetworkPlan six = PlanNetwork({"m", "10.0.1.0/24", "fd00::/64"}).value();
  struct Case {
    const NetworkPlan& network;
    SandboxSpec spec;
    const char* message;
  };
  const Case cases[] = {
      {four, {"a-b", "n", "10.0.0.2", ""}, "[a-z0-9]"},
      {four, {"dataplane", "n", "10.0.0.2", ""}, "data plane"},
      {four, {"a", "n", "10.0.1.2", ""}, "outside"},
      {four, {"a", "n", "10.0.0.1", ""}, "gateway"},
      {four, {"a", "n", "10.0.0.0", ""}, "reserved"},
      {four, {"a", "n", "10.0.0.255", ""}, "reserved"},
      {four, {"a", "n", "10.0.0.2", "fd00::2"}, "no IPv6"},
      {four, {"a", "n", "nonsense", ""}, "sandbox a"},
      {six, {"a", "m", "10.0.1.2", "fd01::2"}, "outside"},
      {six, {"a", "m", "10.0.1.2", "fd00::1"}, "gateway"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(PlanSandbox(c.spec, c.network),
                StatusIs(kInvalid, HasSubstr(c.message)));
  }
}

}  // namespace
}  // namespace bulwark::netmesh
