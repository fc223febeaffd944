#include "scheduler/names.h"

#include <gtest/gtest.h>

#include <set>

namespace bulwark::scheduler {
namespace {

constexpr char kUid[] = "0123456789abcdev";

TEST(NamesTest, ContainerIdsAreDistinctAndShort) {
  EXPECT_EQ(ContainerId(kUid, "web", 0), "0123456789abcdev-web");
  EXPECT_EQ(ContainerId(kUid, "web", 2), "0123456789abcdev-web.2");
  const std::string a(63, 'a');
  const std::string b = std::string(62, 'a') + "b";
  EXPECT_LE(ContainerId(kUid, a, 999999).size(), 64u);
  EXPECT_NE(ContainerId(kUid, a, 0), ContainerId(kUid, b, 0));
  EXPECT_EQ(ReplicaUidOf(ContainerId(kUid, "a-b", 1)), kUid);
}

TEST(NamesTest, SandboxIdsAreDistinctShortAndPlain) {
  std::set<std::string> ids;
  for (const char* uid :
       {kUid, "0123456789abcde0", "a-much-longer-uid-indeed"}) {
    for (int slot : {0, 1, 9, 10, 35, 36, 1000, 1679615}) {
      const std::string id = SandboxId(uid, slot);
      EXPECT_LE(id.size(), 20u);
      for (char c : id) {
        EXPECT_TRUE((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) << id;
      }
      EXPECT_TRUE(ids.insert(id).second) << id;
    }
  }
}

TEST(NamesTest, ImagesArePinnedByDigest) {
  EXPECT_EQ(PinnedReference("nginx", "sha256:1"), "nginx@sha256:1");
  EXPECT_EQ(PinnedReference("nginx:1.27", "sha256:1"), "nginx@sha256:1");
  EXPECT_EQ(PinnedReference("host:5000/app", "sha256:1"),
            "host:5000/app@sha256:1");
  EXPECT_EQ(PinnedReference("host:5000/app:2", "sha256:1"),
            "host:5000/app@sha256:1");
  EXPECT_EQ(PinnedReference("app@sha256:0", "sha256:1"), "app@sha256:0");
}

}  // namespace
}  // namespace bulwark::scheduler
