// config.md: mounts, their order, options and destinations.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/conformance/mountinfo.h"
#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

CONFORMANCE_SUITE_OF(MountsTest, MountSuite);

TEST_P(MountsTest, WhenThereAreSeveral_ThenTheyAreMadeInOrder) {
  Source("one");
  Source("two");
  bundle().AddMount("/data", "bind", scratch() + "/one", {"bind"});
  bundle().AddMount("/data", "bind", scratch() + "/two", {"bind"});
  bundle().AddMount("/tmp", "tmpfs", "tmpfs", {});
  bundle().AddMount("/tmp/deep", "bind", scratch() + "/one", {"bind"});
  EXPECT_THAT(container().RunScript("cat /data/name /tmp/deep/name"),
              Prints("two\none"));
}

TEST_P(MountsTest, WhenTheyCoverEachOther_ThenTheLaterOneIsSeen) {
  Source("one");
  bundle().AddMount("/mnt/deep", "bind", scratch() + "/one", {"bind"});
  bundle().AddMount("/mnt", "tmpfs", "tmpfs", {});
  EXPECT_THAT(container().RunScript("ls -A /mnt | wc -l"), Prints("0"));
}

TEST_P(MountsTest, WhenTheUsualOnesAreListed_ThenTheirTypesAreThere) {
  const auto mounts = Inside();
  const std::map<std::string, std::string> types = {
      {"/proc", "proc"},     {"/dev", "tmpfs"},         {"/dev/pts", "devpts"},
      {"/dev/shm", "tmpfs"}, {"/dev/mqueue", "mqueue"}, {"/sys", "sysfs"}};
  for (const auto& [at, type] : types) {
    ASSERT_EQ(mounts.count(at), 1u) << at;
    EXPECT_EQ(mounts.at(at).type, type) << at;
  }
  EXPECT_TRUE(mounts.at("/proc").Has("nosuid"));
  EXPECT_TRUE(mounts.at("/sys").Has("ro"));
}

// The option, what mountinfo shows of it, what it does not.
struct Option {
  const char* name;
  const char* shown;
  const char* hidden;
};

constexpr Option kFlags[] = {
    {"ro", "ro", "rw"},
    {"nosuid", "nosuid", ""},
    {"nodev", "nodev", ""},
    {"noexec", "noexec", ""},
    {"noatime", "noatime", ""},
    {"relatime", "relatime", ""},
    {"strictatime", "", "relatime"},
    {"nodiratime", "nodiratime", ""},
    {"sync", "sync", ""},
    {"dirsync", "dirsync", ""},
};
constexpr Option kOpposites[] = {
    {"rw", "rw", "ro"},
    {"suid", "", "nosuid"},
    {"dev", "", "nodev"},
    {"exec", "", "noexec"},
    {"atime", "", "noatime"},
    {"diratime", "", "nodiratime"},
    {"norelatime", "", "noatime"},
    {"nostrictatime", "", "noatime"},
    {"async", "", "sync"},
};
constexpr Option kRareOnes[] = {
    {"defaults", "rw", "ro"},
    {"silent", "rw", ""},
    {"loud", "rw", ""},
    {"iversion", "rw", ""},
    {"noiversion", "rw", ""},
    {"lazytime", "lazytime", ""},
    {"nolazytime", "", "lazytime"},
};

class OptionSuite : public MountSuite {
 protected:
  // A tmpfs with each of them is as the table says.
  template <size_t N>
  void Expect(const Option (&options)[N]) {
    for (const Option& o : options) {
      bundle().AddMount(std::string("/mnt/") + o.name, "tmpfs", "tmpfs",
                        {o.name});
    }
    const auto mounts = Inside();
    for (const Option& o : options) {
      SCOPED_TRACE(o.name);
      ASSERT_EQ(mounts.count(std::string("/mnt/") + o.name), 1u);
      const MountEntry& entry = mounts.at(std::string("/mnt/") + o.name);
      EXPECT_TRUE(*o.shown == '\0' || entry.Has(o.shown));
      EXPECT_FALSE(*o.hidden != '\0' && entry.Has(o.hidden));
    }
  }
};

CONFORMANCE_SUITE_OF(MountOptionTest, OptionSuite);

TEST_P(MountOptionTest, WhenAFlagIsGiven_ThenTheKernelHasIt) { Expect(kFlags); }

TEST_P(MountOptionTest, WhenTheOppositeOfAFlagIsGiven_ThenItIsNotThere) {
  Expect(kOpposites);
}

TEST_P(MountOptionTest, WhenAMandatoryOptionIsRare_ThenItIsKnownAllTheSame) {
  Expect(kRareOnes);
}

TEST_P(MountsTest, WhenTheyContradict_ThenTheLastOneHolds) {
  bundle().AddMount("/mnt/a", "tmpfs", "tmpfs", {"ro", "noexec", "rw", "exec"});
  bundle().AddMount("/mnt/b", "tmpfs", "tmpfs", {"exec", "noexec"});
  const auto mounts = Inside();
  EXPECT_TRUE(mounts.at("/mnt/a").Has("rw"));
  EXPECT_FALSE(mounts.at("/mnt/a").Has("noexec"));
  EXPECT_TRUE(mounts.at("/mnt/b").Has("noexec"));
}

TEST_P(MountsTest, WhenAnOptionIsTheFileSystems_ThenItGetsIt) {
  bundle().AddMount("/mnt/t", "tmpfs", "tmpfs",
                    {"size=64k", "mode=0710", "uid=5", "nr_inodes=10"});
  EXPECT_THAT(container().RunScript(
                  "stat -c '%a %u' /mnt/t; df -k /mnt/t | tail -1 | tr -s ' ' "
                  "| cut -d' ' -f2"),
              Prints("710 5\n64"));
}

TEST_P(MountsTest, WhenAnOptionIsNobodys_ThenCreateFails) {
  bundle().AddMount("/mnt/t", "tmpfs", "tmpfs", {"no-such-option=1"});
  ExpectCreateRefused();
}

TEST_P(MountsTest, WhenABindIsMade_ThenItIsTheSourceAndNotWhatIsMountedInIt) {
  Source("src");
  MountBelow("src");
  bundle().AddMount("/flat", "bind", scratch() + "/src", {"bind"});
  bundle().AddMount("/deep", "bind", scratch() + "/src", {"rbind"});
  bundle().AddMount("/typeless", "none", scratch() + "/src", {"rbind"});
  EXPECT_THAT(container().RunScript(
                  "cat /flat/name; ls /flat/sub; cat /deep/sub/below;"
                  "cat /typeless/sub/below; echo new > /deep/written"),
              Prints("src\nbelow\nbelow"));
  EXPECT_EQ(ReadFile(scratch() + "/src/written"), "new\n");
}

TEST_P(MountsTest, WhenAFileIsBound_ThenTheFileIsThere) {
  WriteFile(scratch() + "/file", "text");
  bundle().AddMount("/etc/new-file", "bind", scratch() + "/file",
                    {"bind", "ro"});
  bundle().AddMount("/etc/passwd", "bind", scratch() + "/file", {"bind"});
  EXPECT_THAT(container().RunScript(
                  "cat /etc/new-file /etc/passwd; echo x > /etc/new-file || "
                  "echo refused"),
              Prints("texttextrefused"));
}

TEST_P(MountsTest, WhenABindHasOptions_ThenTheKernelHasThem) {
  Source("src");
  for (const char* option :
       {"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"}) {
    bundle().AddMount(std::string("/mnt/") + option, "bind", scratch() + "/src",
                      {"rbind", option});
  }
  const auto mounts = Inside();
  for (const char* option :
       {"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"}) {
    const std::string at = std::string("/mnt/") + option;
    ASSERT_EQ(mounts.count(at), 1u) << at;
    EXPECT_TRUE(mounts.at(at).Has(option)) << at;
  }
}

TEST_P(MountsTest, WhenABindsSourceIsRelative_ThenItIsOfTheBundle) {
  std::filesystem::create_directory(bundle().path() + "/data");
  WriteFile(bundle().path() + "/data/name", "of the bundle");
  bundle().AddMount("/data", "bind", "data", {"bind"});
  EXPECT_THAT(container().RunScript("cat /data/name"), Prints("of the bundle"));
}

TEST_P(MountsTest, WhenABindsSourceIsMissing_ThenCreateFails) {
  bundle().AddMount("/data", "bind", scratch() + "/none", {"bind"});
  ExpectCreateRefused();
}

TEST_P(MountsTest, WhenTheDestinationIsRelative_ThenItIsOfTheRoot) {
  bundle().process()["cwd"] = "/tmp";
  bundle().AddMount("mnt/data", "tmpfs", "tmpfs", {});
  EXPECT_EQ(Inside().count("/mnt/data"), 1u);
}

TEST_P(MountsTest, WhenTheDestinationIsMissing_ThenItIsMade) {
  bundle().AddMount("/a/b/c", "tmpfs", "tmpfs", {});
  EXPECT_EQ(Inside().at("/a/b/c").type, "tmpfs");
}

TEST_P(MountsTest, WhenTheDestinationLeadsOut_ThenItStaysInTheRoot) {
  const std::string outside = scratch() + "/outside";
  std::filesystem::create_directory(outside);
  std::filesystem::create_symlink(outside, bundle().rootfs() + "/link");
  std::filesystem::create_symlink("../../../../../../" + outside,
                                  bundle().rootfs() + "/dots");
  Source("src");
  bundle().AddMount("/link/a", "bind", scratch() + "/src", {"bind"});
  bundle().AddMount("/dots/b", "bind", scratch() + "/src", {"bind"});
  const Outcome outcome =
      container().RunScript("cat /link/a/name /dots/b/name");
  EXPECT_TRUE(outcome.code > 0 || outcome.out == "src\nsrc\n")
      << outcome.ToString();
  EXPECT_TRUE(std::filesystem::is_empty(outside));
}

TEST_P(MountsTest, WhenTheDestinationHasDots_ThenItStaysInTheRoot) {
  bundle().AddMount("/../../mnt/up", "tmpfs", "tmpfs", {});
  const auto mounts = Inside();
  EXPECT_EQ(mounts.count("/mnt/up"), 1u);
}

TEST_P(MountsTest, WhenCgroupsAreMounted_ThenTheContainersAreSeen) {
  bundle().AddMount("/sys/fs/cgroup", "cgroup", "cgroup",
                    {"nosuid", "noexec", "nodev", "relatime", "ro"});
  const Outcome outcome = container().RunScript(
      "find /sys/fs/cgroup -name cgroup.procs | head -3;"
      "grep ' /sys/fs/cgroup' /proc/self/mountinfo;"
      "mkdir $(dirname $(find /sys/fs/cgroup -name cgroup.procs | head -1))/x "
      "2>/dev/null && echo made");
  EXPECT_THAT(outcome.out, HasSubstr("cgroup.procs"));
  EXPECT_THAT(outcome.out, HasSubstr(" - cgroup"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("made")));
}

TEST_P(MountsTest, WhenThereAreVeryMany_ThenAllAreMade) {
  for (int i = 0; i < 200; ++i) {
    bundle().AddMount("/mnt/" + std::to_string(i), "tmpfs", "tmpfs",
                      {"size=4k"});
  }
  EXPECT_THAT(container().RunScript("grep -c ' /mnt/' /proc/self/mountinfo"),
              Prints("200"));
}

}  // namespace
}  // namespace bulwark::conformance
