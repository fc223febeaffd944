#include "engine/oci/cgroup/cgroup_path.h"

#include <gtest/gtest.h>

#include <string>

#include "base/testing/status_matchers.h"
#include "engine/oci/cgroup/cgroup.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(CgroupPathTest, WhenAPathIsGood_ThenItIsAbsoluteAndClean) {
  EXPECT_THAT(CgroupPath("", "web"), IsOkAndHolds("/bulwark-oci/web"));
  EXPECT_THAT(CgroupPath("/a/b", "web"), IsOkAndHolds("/a/b"));
  EXPECT_THAT(CgroupPath("a/b", "web"), IsOkAndHolds("/bulwark-oci/a/b"));
  EXPECT_THAT(CgroupPath("//a/.//b/", "web"), IsOkAndHolds("/a/b"));
  EXPECT_THAT(CgroupPath("/a/..b/...", "web"), IsOkAndHolds("/a/..b/..."));
}

TEST(CgroupPathTest, WhenAPathLeavesItsPlace_ThenItIsRefused) {
  for (const std::string& path :
       {std::string("/"), std::string("/."), std::string(".."),
        std::string("/a/../../b"), std::string("a/.."), std::string("/a\nb"),
        std::string("/a\0b", 4), "/" + std::string(256, 'x'), [] {
          std::string deep;
          for (int i = 0; i < 2000; ++i) deep += "/a";
          return deep;
        }()}) {
    EXPECT_THAT(CgroupPath(path, "web"),
                StatusIs(kInvalid, HasSubstr("linux.cgroupsPath")))
        << path;
  }
}

TEST(ScopeNameTest, WhenAllPartsAreGiven_ThenTheScopeIsInItsSlice) {
  EXPECT_THAT(ParseScopeName("user-1000.slice:libpod:1f", "web"),
              IsOkAndHolds(
                  AllOf(Field(&ScopeName::slice, "user-1000.slice"),
                        Field(&ScopeName::unit, "libpod-1f.scope"),
                        Field(&ScopeName::path,
                              "/user.slice/user-1000.slice/libpod-1f.scope"))));
}

TEST(ScopeNameTest, WhenPartsAreLeftOut_ThenTheyHaveDefaults) {
  const auto path = [](const char* text) {
    return ParseScopeName(text, "web")->path;
  };
  EXPECT_EQ(path(""), "/system.slice/bulwark-oci-web.scope");
  EXPECT_EQ(path("::"), "/system.slice/web.scope");
  EXPECT_EQ(path(":docker:1f"), "/system.slice/docker-1f.scope");
  EXPECT_EQ(path("machine.slice::1f"), "/machine.slice/1f.scope");
  EXPECT_EQ(path("-.slice:x:1f"), "/x-1f.scope");
  EXPECT_EQ(path("a-b-c.slice:x:1f"),
            "/a.slice/a-b.slice/a-b-c.slice/x-1f.scope");
}

TEST(ScopeNameTest, WhenAPartIsNoUnit_ThenItIsRefused) {
  for (const std::string& text :
       {std::string("/a/b"), std::string("a:b"), std::string("a:b:c:d"),
        std::string("system:x:1f"), std::string(".slice:x:1f"),
        std::string("a--b.slice:x:1f"), std::string("-a.slice:x:1f"),
        std::string("a-.slice:x:1f"), std::string("a/b.slice:x:1f"),
        std::string("system.slice:x y:1f"), std::string("system.slice:x:../1f"),
        "system.slice:x:" + std::string(250, 'f')}) {
    EXPECT_THAT(ParseScopeName(text, "web"),
                StatusIs(kInvalid, HasSubstr("linux.cgroupsPath")))
        << text;
  }
}

TEST(CgroupHostTest, WhenBothVersionsAreMounted_ThenBothAreFound) {
  EXPECT_THAT(
      ParseCgroupHost(
          "1 0 0:1 / /c/cpu,cpuacct rw shared:1 - cgroup cgroup "
          "rw,cpu,cpuacct\n"
          "3 0 0:3 / /c/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
          "5 0 0:9 /lxc/a /other rw - cgroup cgroup rw,memory\n"
          "2 0 0:2 / /c/memory rw - cgroup cgroup rw,memory\n"
          "6 0 0:2 /x /c/devices rw - cgroup cgroup rw,devices\n"
          "4 0 0:4 / /c/unified rw - cgroup2 cgroup2 rw"),
      IsOkAndHolds(
          AllOf(Field(&CgroupHost::unified, "/c/unified"),
                Field(&CgroupHost::v1,
                      ElementsAre(Pair("cpu", "/c/cpu,cpuacct"),
                                  Pair("cpuacct", "/c/cpu,cpuacct"),
                                  Pair("devices", "/c/devices"),
                                  Pair("memory", "/c/memory"),
                                  Pair("name=systemd", "/c/systemd"))))));
}

TEST(CgroupHostTest, WhenOneVersionIsMounted_ThenItIsFound) {
  EXPECT_THAT(ParseCgroupHost("4 0 0:4 / /c rw - cgroup2 cgroup2 rw"),
              IsOkAndHolds(AllOf(Field(&CgroupHost::unified, "/c"),
                                 Field(&CgroupHost::v1, IsEmpty()))));
  EXPECT_THAT(ParseCgroupHost("2 0 0:2 / /c/pids rw - cgroup cgroup rw,pids"),
              IsOkAndHolds(Field(&CgroupHost::unified, "")));
}

TEST(CgroupHostTest, WhenNoneIsMounted_ThenTheErrorSaysWhatToDo) {
  EXPECT_THAT(ParseCgroupHost("2 0 0:2 / /tmp rw - tmpfs tmpfs rw\nnonsense"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("mount -t cgroup2")));
}

}  // namespace
}  // namespace bulwark::engine::oci
