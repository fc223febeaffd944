// config.md and config-linux.md: what mounts pass on to each other, options
// that reach below a mount, mapped mounts, and the root's propagation.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>

#include "tests/conformance/mountinfo.h"
#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;

CONFORMANCE_SUITE_OF(PropagationTest, MountSuite);
CONFORMANCE_SUITE_OF(RecursiveOptionTest, MountSuite);
CONFORMANCE_SUITE_OF(MappedMountTest, MountSuite);
CONFORMANCE_SUITE_OF(RootPropagationTest, MountSuite);

TEST_P(PropagationTest, WhenAMountHasAKind_ThenTheKernelHasIt) {
  Source("src");
  MakeShared("src");
  for (const char* kind : {"private", "rprivate", "slave", "rslave", "shared",
                           "rshared", "unbindable", "runbindable"}) {
    bundle().AddMount(std::string("/mnt/") + kind, "bind", scratch() + "/src",
                      {"rbind", kind});
  }
  const auto mounts = Inside();
  for (const char* kind : {"private", "rprivate"}) {
    const std::string at = std::string("/mnt/") + kind;
    ASSERT_EQ(mounts.count(at), 1u) << at;
    EXPECT_TRUE(mounts.at(at).propagation.empty()) << at;
  }
  const std::map<std::string, std::string> kinds = {
      {"/mnt/slave", "master:"},         {"/mnt/rslave", "master:"},
      {"/mnt/shared", "shared:"},        {"/mnt/rshared", "shared:"},
      {"/mnt/unbindable", "unbindable"}, {"/mnt/runbindable", "unbindable"}};
  for (const auto& [at, shown] : kinds) {
    ASSERT_EQ(mounts.count(at), 1u) << at;
    EXPECT_TRUE(mounts.at(at).Propagates(shown)) << at;
  }
}

TEST_P(PropagationTest, WhenAMountIsASlave_ThenTheHostsMountsArrive) {
  Source("src");
  MakeShared("src");
  std::filesystem::create_directory(scratch() + "/src/late");
  bundle().AddMount("/in", "bind", scratch() + "/src", {"rbind", "rslave"});
  // The root itself must let them pass.
  bundle().os()["rootfsPropagation"] = "rslave";
  StartScript(
      "echo up; while ! [ -e /in/late/mark ]; do sleep 0.02; done;"
      "echo arrived");
  ASSERT_TRUE(container().AwaitPrinted("up"));
  const std::string late = scratch() + "/src/late";
  ASSERT_EQ(mount("late", late.c_str(), "tmpfs", 0, nullptr), 0);
  WriteFile(late + "/mark", "");
  EXPECT_TRUE(container().AwaitPrinted("arrived"));
  umount2(late.c_str(), MNT_DETACH);
}

TEST_P(PropagationTest, WhenAMountIsPrivate_ThenTheHostsMountsDoNotArrive) {
  Source("src");
  MakeShared("src");
  std::filesystem::create_directory(scratch() + "/src/late");
  bundle().AddMount("/in", "bind", scratch() + "/src", {"rbind", "rprivate"});
  StartScript("echo up; exec sleep 1000");
  ASSERT_TRUE(container().AwaitPrinted("up"));
  const std::string late = scratch() + "/src/late";
  ASSERT_EQ(mount("late", late.c_str(), "tmpfs", 0, nullptr), 0);
  const auto mounts = ParseMountInfo(
      ReadFile("/proc/" + std::to_string(container().Pid()) + "/mountinfo"));
  EXPECT_EQ(mounts.count("/in"), 1u);
  EXPECT_EQ(mounts.count("/in/late"), 0u);
  umount2(late.c_str(), MNT_DETACH);
}

TEST_P(RecursiveOptionTest, WhenReadOnlyIsRecursive_ThenMountsBelowAreToo) {
  Source("src");
  MountBelow("src");
  bundle().AddMount("/flat", "bind", scratch() + "/src", {"rbind", "ro"});
  bundle().AddMount("/all", "bind", scratch() + "/src", {"rbind", "rro"});
  const auto mounts = Inside();
  EXPECT_TRUE(mounts.at("/flat").Has("ro"));
  EXPECT_TRUE(mounts.at("/flat/sub").Has("rw"));
  EXPECT_TRUE(mounts.at("/all").Has("ro"));
  EXPECT_TRUE(mounts.at("/all/sub").Has("ro"));
}

TEST_P(RecursiveOptionTest, WhenOthersAreRecursive_ThenMountsBelowHaveThem) {
  Source("src");
  MountBelow("src");
  const std::map<std::string, std::string> options = {
      {"rnosuid", "nosuid"},         {"rnodev", "nodev"},
      {"rnoexec", "noexec"},         {"rnoatime", "noatime"},
      {"rnodiratime", "nodiratime"}, {"rnosymfollow", "nosymfollow"}};
  for (const auto& [option, shown] : options) {
    bundle().AddMount("/mnt/" + option, "bind", scratch() + "/src",
                      {"rbind", option});
  }
  const auto mounts = Inside();
  for (const auto& [option, shown] : options) {
    for (const char* below : {"", "/sub"}) {
      const std::string at = "/mnt/" + option + below;
      ASSERT_EQ(mounts.count(at), 1u) << at;
      EXPECT_TRUE(mounts.at(at).Has(shown)) << at;
    }
  }
}

TEST_P(RecursiveOptionTest, WhenSymlinksAreNotFollowed_ThenTheKernelSaysSo) {
  Source("src");
  bundle().AddMount("/mnt/n", "bind", scratch() + "/src",
                    {"bind", "nosymfollow"});
  bundle().AddMount("/mnt/y", "bind", scratch() + "/src",
                    {"bind", "symfollow"});
  const auto mounts = Inside();
  EXPECT_TRUE(mounts.at("/mnt/n").Has("nosymfollow"));
  EXPECT_FALSE(mounts.at("/mnt/y").Has("nosymfollow"));
}

// Mapped tmpfs needs Linux 6.3.
bool MapsTmpfs() {
  utsname names;
  int major = 0, minor = 0;
  return uname(&names) == 0 &&
         sscanf(names.release, "%d.%d", &major, &minor) == 2 &&
         (major > 6 || (major == 6 && minor >= 3));
}

TEST_P(MappedMountTest, WhenMapped_ThenOwnersAreOthersInside) {
  if (!MapsTmpfs()) GTEST_SKIP() << "no mapped tmpfs before Linux 6.3";
  Source("src");
  ASSERT_EQ(chown((scratch() + "/src/name").c_str(), 1000, 1000), 0);
  bundle().AddMount("/in", "bind", scratch() + "/src", {"bind", "idmap"});
  const Json mapping =
      Json::array({{{"containerID", 0}, {"hostID", 0}, {"size", 1}},
                   {{"containerID", 1000}, {"hostID", 2000}, {"size", 10}}});
  config()["mounts"].back()["uidMappings"] = mapping;
  config()["mounts"].back()["gidMappings"] = mapping;
  EXPECT_THAT(container().RunScript("stat -c '%u %g' /in/name"),
              Prints("2000 2000"));
}

TEST_P(MappedMountTest, WhenThereIsNothingToMapBy_ThenCreateFails) {
  Source("src");
  bundle().AddMount("/in", "bind", scratch() + "/src", {"bind", "idmap"});
  ExpectCreateRefused();
}

TEST_P(MappedMountTest, WhenOnlyOneMappingIsGiven_ThenCreateFails) {
  Source("src");
  bundle().AddMount("/in", "bind", scratch() + "/src", {"bind", "idmap"});
  config()["mounts"].back()["uidMappings"] =
      Json::array({{{"containerID", 0}, {"hostID", 0}, {"size", 1}}});
  ExpectCreateRefused();
}

TEST_P(RootPropagationTest, WhenAKindIsGiven_ThenTheRootHasIt) {
  for (const char* kind : {"private", "rprivate"}) {
    bundle().os()["rootfsPropagation"] = kind;
    EXPECT_TRUE(Inside().at("/").propagation.empty()) << kind;
  }
  bundle().os()["rootfsPropagation"] = "unbindable";
  EXPECT_TRUE(Inside().at("/").Propagates("unbindable"));
}

TEST_P(RootPropagationTest, WhenShared_ThenTheRootIsInAPeerGroup) {
  bundle().os()["rootfsPropagation"] = "shared";
  EXPECT_TRUE(Inside().at("/").Propagates("shared:"));
}

TEST_P(RootPropagationTest, WhenARecursiveSlave_ThenTheRootIsOneOfTheHosts) {
  std::filesystem::rename(bundle().rootfs(), scratch() + "/root");
  MakeShared("root");
  config()["root"]["path"] = scratch() + "/root";
  bundle().os()["rootfsPropagation"] = "rslave";
  EXPECT_TRUE(Inside().at("/").Propagates("master:"));
}

TEST_P(RootPropagationTest, WhenASlave_ThenTheRootIsOneOfTheHosts) {
  std::filesystem::rename(bundle().rootfs(), scratch() + "/root");
  MakeShared("root");
  config()["root"]["path"] = scratch() + "/root";
  bundle().os()["rootfsPropagation"] = "slave";
  EXPECT_TRUE(Inside().at("/").Propagates("master:"));
}

TEST_P(RootPropagationTest, WhenTheKindIsUnknown_ThenCreateFails) {
  bundle().os()["rootfsPropagation"] = "everywhere";
  ExpectCreateRefused();
}

}  // namespace
}  // namespace bulwark::conformance
