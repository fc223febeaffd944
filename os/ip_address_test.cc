#include "os/ip_address.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/testing/status_matchers.h"

namespace bulwark::os {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

IpAddress A(absl::string_view text) { return IpAddress::Parse(text).value(); }
Subnet S(absl::string_view text) { return Subnet::Parse(text).value(); }

TEST(IpAddressTest, WhenTextIsAnAddress_RoundTrips) {
  for (const char* text : {"0.0.0.0", "10.210.3.1", "255.255.255.255",
                           "::", "fd00:1::5", "::ffff:10.0.0.1"}) {
    EXPECT_EQ(A(text).ToString(), text);
  }
}

TEST(IpAddressTest, WhenTextIsNotAnAddress_Refuses) {
  for (absl::string_view text : std::vector<absl::string_view>{
           "", "10.0.0", "10.0.0.256", "10.0.0.1/24", " 10.0.0.1", "fd00::g",
           "localhost", absl::string_view("10.0.0.1\0x", 10)}) {
    EXPECT_THAT(IpAddress::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(IpAddressTest, WhenAdding_CarriesAcrossBytes) {
  EXPECT_EQ(A("10.0.0.255").Plus(1), A("10.0.1.0"));
  EXPECT_EQ(A("10.0.0.0").Plus(65536), A("10.1.0.0"));
  EXPECT_EQ(A("fd00::ffff").Plus(1), A("fd00::1:0"));
  EXPECT_EQ(A("255.255.255.255").Plus(1), A("0.0.0.0"));
  EXPECT_EQ(IpAddress::V4(0x0a000001), A("10.0.0.1"));
}

TEST(IpAddressTest, WhenReversed_GivesThePtrName) {
  EXPECT_EQ(A("10.210.3.1").ReverseName(), "1.3.210.10.in-addr.arpa");
  EXPECT_EQ(A("fd00::1").ReverseName(),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
            "0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa");
}

TEST(SubnetTest, WhenMalformed_Refuses) {
  for (const char* text :
       {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
        "10.0.0.0/+8", "10.0.0.0/8/8", "fd00::/129", "x/8", "10.0.0.0/ 8"}) {
    EXPECT_THAT(Subnet::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_THAT(Subnet::Parse("10.0.0.1/24"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("use \"10.0.0.0/24\"")));
}

TEST(SubnetTest, WhenComparing_KnowsItsAddresses) {
  EXPECT_TRUE(S("10.0.0.0/24").Contains(A("10.0.0.255")));
  EXPECT_FALSE(S("10.0.0.0/24").Contains(A("10.0.1.0")));
  EXPECT_FALSE(S("0.0.0.0/0").Contains(A("::1")));
  EXPECT_TRUE(S("0.0.0.0/0").Contains(A("1.2.3.4")));
  EXPECT_TRUE(S("10.0.0.0/8").Overlaps(S("10.3.0.0/16")));
  EXPECT_TRUE(S("10.3.0.0/16").Overlaps(S("10.0.0.0/8")));
  EXPECT_FALSE(S("10.0.0.0/24").Overlaps(S("10.0.1.0/24")));
  EXPECT_EQ(S("10.0.0.0/25").Last(), A("10.0.0.127"));
  EXPECT_EQ(S("fd00::/126").Last(), A("fd00::3"));
}

}  // namespace
}  // namespace bulwark::os
