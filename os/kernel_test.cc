#include "os/kernel.h"

#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace bulwark::os {
namespace {

using ::bulwark::testing::StatusIs;

TEST(KernelTest, WhenVersionHasASuffix_ReadsItsFirstTwoNumbers) {
  ASSERT_OK_AND_ASSIGN(KernelVersion v, ParseKernelVersion("6.1.0-18-amd64"));
  EXPECT_EQ(v.major, 6);
  EXPECT_EQ(v.minor, 1);
  ASSERT_OK_AND_ASSIGN(v, ParseKernelVersion("6.18-rc1"));
  EXPECT_EQ(v.minor, 18);
}

TEST(KernelTest, WhenTextIsNoVersion_IsInvalid) {
  for (const char* text : {"", "6", "six.one", "6.x", ".1"}) {
    EXPECT_THAT(ParseKernelVersion(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(KernelTest, WhenVersionsCompare_MajorCountsFirst) {
  EXPECT_TRUE((KernelVersion{6, 13}.AtLeast(6, 1)));
  EXPECT_FALSE((KernelVersion{6, 1}.AtLeast(6, 13)));
  EXPECT_TRUE((KernelVersion{7, 0}.AtLeast(6, 13)));
  EXPECT_FALSE((KernelVersion{5, 19}.AtLeast(6, 1)));
}

TEST(KernelTest, WhenBoundIsOlder_NewerFeaturesAreAbsent) {
  ASSERT_OK_AND_ASSIGN(KernelFeatures features, ProbeKernel("6.1"));
  EXPECT_FALSE(features.overlay_layer_fds);
  EXPECT_FALSE(features.tmpfs_noswap);
  EXPECT_THAT(ProbeKernel("new"), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace bulwark::os
