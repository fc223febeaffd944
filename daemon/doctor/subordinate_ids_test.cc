#include "daemon/doctor/subordinate_ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulwark::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Overlaps(absl::string_view text) {
  return SubordinateOverlaps("/etc/subuid", text, 1000, 2000);
}

TEST(SubordinateOverlapsTest, WhenRangesMeetOurs_NamesThem) {
  EXPECT_THAT(Overlaps("a:999:1\nb:999:2\nc:1999:7\nd:2000:7\n"
                       "e:0:4294967295\n  1000:1500:1  "),
              ElementsAre("/etc/subuid gives b 999 to 1000",
                          "/etc/subuid gives c 1999 to 2005",
                          "/etc/subuid gives e 0 to 4294967294",
                          "/etc/subuid gives 1000 1500 to 1500"));
}

TEST(SubordinateOverlapsTest, WhenALineIsNone_ItIsLeftOut) {
  EXPECT_THAT(Overlaps(""), IsEmpty());
  EXPECT_THAT(Overlaps("#a:1000:5\n:1000:5\na:1000\na:1000:0\na:x:5\n"
                       "a:1000:5:6\na:-1:5000\na:1000:99999999999\n"),
              IsEmpty());
}

}  // namespace
}  // namespace bulwark::daemon
