#include "engine/oci/mount_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/mount.h>

#include "base/testing/status_matchers.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(MountOptionsTest, WhenKindsAreMixed_EachGoesWhereItBelongs) {
  ASSERT_OK_AND_ASSIGN(
      const MountOptions options,
      ParseMountOptions({"rbind", "nosuid", "ro", "rprivate", "rnoexec",
                         "mode=755", "size=64k", "tmpcopyup"}));
  EXPECT_TRUE(options.bind);
  EXPECT_TRUE(options.recursive);
  EXPECT_EQ(options.set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY);
  EXPECT_EQ(options.recursive_set, MOUNT_ATTR_NOEXEC);
  EXPECT_EQ(options.propagation, MS_PRIVATE);
  EXPECT_TRUE(options.recursive_propagation);
  EXPECT_TRUE(options.copy_up);
  EXPECT_THAT(options.data, ElementsAre("mode=755", "size=64k"));
}

TEST(MountOptionsTest, WhenOptionsContradict_TheLaterOneWins) {
  ASSERT_OK_AND_ASSIGN(
      const MountOptions options,
      ParseMountOptions({"ro", "rw", "nodev", "dev", "noatime", "relatime"}));
  EXPECT_EQ(options.set, uint64_t{MOUNT_ATTR_RELATIME});
  EXPECT_EQ(options.clear,
            uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR__ATIME});
  EXPECT_THAT(ParseMountOptions({"shared", "rslave"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// "ro" is not "o" for all below, nor is "rw", "relatime" or "remount".
TEST(MountOptionsTest, WhenANameBeginsWithR_ItIsNotTakenForARecursiveOne) {
  ASSERT_OK_AND_ASSIGN(
      const MountOptions options,
      ParseMountOptions({"ro", "relatime", "remount", "defaults"}));
  EXPECT_EQ(options.recursive_set, 0u);
  EXPECT_EQ(options.recursive_clear, 0u);
  EXPECT_THAT(options.data, IsEmpty());
}

TEST(MountOptionsTest, EachNameThatIsToldIsKnown) {
  const std::vector<std::string> names = MountOptionNames();
  EXPECT_THAT(names, Contains("rro"));
  for (const std::string& name : names) {
    ASSERT_OK_AND_ASSIGN(const MountOptions options, ParseMountOptions({name}));
    EXPECT_THAT(options.data, IsEmpty()) << name;
  }
}

}  // namespace
}  // namespace bulwark::engine::oci
