#include "base/capabilities.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

namespace bulwark {
namespace {

TEST(CapabilitiesTest, WhenNameIsKnown_IsItsBit) {
  EXPECT_EQ(CapabilityMask("NET_ADMIN"), uint64_t{1} << CAP_NET_ADMIN);
  EXPECT_EQ(CapabilityMask("CAP_NET_ADMIN"), uint64_t{1} << CAP_NET_ADMIN);
  EXPECT_EQ(CapabilityMask("cap_chown"), uint64_t{1} << CAP_CHOWN);
  EXPECT_EQ(CapabilityMask("BPF"), uint64_t{1} << CAP_BPF);
  EXPECT_EQ(CapabilityMask("all"), ~uint64_t{0});
}

TEST(CapabilitiesTest, WhenNameIsNone_IsNothing) {
  for (const char* name :
       {"", "CAP_", "NET", "CAP_CAP_CHOWN", "CAP_ALL", " "}) {
    EXPECT_EQ(CapabilityMask(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace bulwark
