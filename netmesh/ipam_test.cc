#include "netmesh/ipam.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/testing/status_matchers.h"

namespace bulwark::netmesh {
namespace {

using ::testing::HasSubstr;
using testing::IsOkAndHolds;
using testing::StatusIs;

TEST(IpamTest, WhenSubnetsAreUsed_PicksTheLowestFree) {
  struct Case {
    const char* pool;
    int bits;
    std::vector<std::string> used;
    const char* want;
  };
  const Case cases[] = {
      {"10.210.0.0/16", 24, {}, "10.210.0.0/24"},
      {"10.210.0.0/16", 24, {"10.210.0.0/24"}, "10.210.1.0/24"},
      {"10.210.0.0/16", 24, {"10.210.1.0/24"}, "10.210.0.0/24"},
      {"10.210.0.0/16",
       24,
       {"10.210.2.0/24", "10.210.0.0/24"},
       "10.210.1.0/24"},
      // Larger and smaller ones than asked for.
      {"10.210.0.0/16", 24, {"10.210.0.0/22"}, "10.210.4.0/24"},
      {"10.210.0.0/16", 24, {"10.210.0.128/25"}, "10.210.1.0/24"},
      // Elsewhere.
      {"10.210.0.0/16", 24, {"192.168.0.0/16", "fd00::/64"}, "10.210.0.0/24"},
      {"fd00:1::/48", 64, {"fd00:1::/64"}, "fd00:1:0:1::/64"},
      {"10.0.0.0/30", 30, {}, "10.0.0.0/30"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(PickSubnet(c.pool, c.bits, c.used), IsOkAndHolds(c.want));
  }
}

TEST(IpamTest, WhenThePoolIsFull_SaysWhatToDo) {
  std::vector<std::string> used;
  for (int i = 0; i < 256; ++i) {
    used.push_back("10.210." + std::to_string(i) + ".0/24");
  }
  EXPECT_THAT(
      PickSubnet("10.210.0.0/16", 24, used),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger pool")));
  EXPECT_THAT(PickSubnet("10.210.0.0/16", 24, {"10.0.0.0/8"}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(PickSubnet("255.255.255.0/24", 24, {"255.255.255.0/24"}),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(IpamTest, WhenThePrefixDoesNotFit_Refuses) {
  for (int bits : {15, 33, -1}) {
    EXPECT_THAT(PickSubnet("10.210.0.0/16", bits, {}),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(PickSubnet("nonsense", 24, {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(PickSubnet("10.0.0.0/8", 24, {"nonsense"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(IpamTest, WhenAddressesAreUsed_PicksTheLowestFree) {
  EXPECT_THAT(GatewayOf("10.210.3.0/24"), IsOkAndHolds("10.210.3.1"));
  EXPECT_THAT(GatewayOf("fd00:1::/64"), IsOkAndHolds("fd00:1::1"));
  EXPECT_THAT(PickAddress("10.210.3.0/24", {}), IsOkAndHolds("10.210.3.2"));
  EXPECT_THAT(PickAddress("10.210.3.0/24", {"10.210.3.2", "10.210.3.4"}),
              IsOkAndHolds("10.210.3.3"));
  EXPECT_THAT(PickAddress("10.210.3.0/24", {"10.99.0.1"}),
              IsOkAndHolds("10.210.3.2"));
  EXPECT_THAT(PickAddress("fd00:1::/64", {"fd00:1::2"}),
              IsOkAndHolds("fd00:1::3"));
  EXPECT_THAT(PickVirtualAddress("10.211.0.0/16", {}),
              IsOkAndHolds("10.211.0.1"));
  EXPECT_THAT(PickVirtualAddress("10.211.0.0/16", {"10.211.0.1"}),
              IsOkAndHolds("10.211.0.2"));
}

TEST(IpamTest, WhenASubnetIsFull_NeverGivesTheBroadcastAddress) {
  // .0 network, .1 gateway, .2 and .3 (broadcast).
  EXPECT_THAT(PickAddress("10.0.0.0/30", {}), IsOkAndHolds("10.0.0.2"));
  EXPECT_THAT(PickAddress("10.0.0.0/30", {"10.0.0.2"}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("larger subnet")));
  EXPECT_THAT(PickAddress("10.0.0.0/31", {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(PickAddress("255.255.255.255/32", {}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  std::vector<std::string> used;
  for (int i = 2; i < 255; ++i) used.push_back("10.0.0." + std::to_string(i));
  EXPECT_THAT(PickAddress("10.0.0.0/24", used),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace bulwark::netmesh
