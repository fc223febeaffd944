// Escapes by a path of the container that somebody changes while, or before, a
// runtime follows it. What defends against all of them: engine/child/paths.cc
// resolves such paths by openat2 inside the container's root, and what was
// found is used as a descriptor, never by its name again.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "tests/escapes/escape_suite.h"

namespace bulwark::escapes {
namespace {

namespace fs = std::filesystem;
using conformance::WriteFile;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// What the container printed last.
std::string LastLine(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  if (end == text.npos) return "";
  const size_t start = text.rfind('\n', end);
  return text.substr(start + 1, end - start);
}
MATCHER_P(OutputEnds, line, "prints the line last") {
  return LastLine(arg.out) == line;
}

// runc checked a mount's destination and then mounted on it by name: a
// neighbour that swapped it for a link got mounts anywhere on the host.
// Here it is mounted onto the descriptor that was found inside of the root.
TEST_P(EscapeTest, Cve2021_30465_MountOnASwappedDestination) {
  const std::string volume = AddSharedVolume();
  const std::string payload = scratch() + "/payload";
  ASSERT_EQ(mkdir(payload.c_str(), 0755), 0);
  WriteFile(payload + "/sentinel", "of the payload\n");
  for (const std::string& target : {host(), WayUp()}) {
    fs::remove_all(volume);
    ASSERT_EQ(mkdir(volume.c_str(), 0755), 0);
    ASSERT_EQ(mkdir((volume + "/inner").c_str(), 0755), 0);
    fs::create_symlink(target, volume + "/link");
    bundle().Script(absl::StrCat("cat /shared/inner/sentinel ", host(),
                                 "/sentinel; grep -c . /proc/self/mountinfo"));
    conformance::Json& mounts = config()["mounts"];
    const size_t kept = mounts.size();
    Bind(payload, "/shared/inner");
    // Would be bound from what the first one was mounted over.
    Bind(host(), "/second");
    bundle().AddMount("/shared/inner", "tmpfs", "tmpfs", {"size=64k"});
    const std::string count = LastLine(container().Run().out);
    const Swapper swapper(volume + "/inner", volume + "/link");
    RunAgainst(swapper, [&](const Outcome& outcome) {
      EXPECT_THAT(outcome.out, Not(HasSubstr(kUntouched)));
      // All are in sight, so none was mounted outside.
      EXPECT_THAT(outcome, AnyOf(IsRefused(), OutputEnds(count)));
      EXPECT_EQ(conformance::ReadFile(host() + "/sentinel"), kUntouched);
    });
    mounts.erase(mounts.begin() + static_cast<int>(kept), mounts.end());
  }
}

// runc made missing parts of a mount's destination by name (MkdirAll): a
// neighbour that swapped a part for a link got empty files and directories
// made on the host. Here each part is made relative to a descriptor.
TEST_P(EscapeTest, Cve2024_45310_DirectoriesOnASwappedPath) {
  const std::string volume = AddSharedVolume();
  ASSERT_EQ(mkdir((volume + "/a").c_str(), 0755), 0);
  fs::create_symlink(WayUp(), volume + "/link");
  const std::string file = scratch() + "/file";
  WriteFile(file, "x");
  conformance::Json& mounts = config()["mounts"];
  const size_t kept = mounts.size();
  // Other names each time, so that there is something to make.
  int round = 0;
  const auto name_mounts = [&] {
    mounts.erase(mounts.begin() + static_cast<int>(kept), mounts.end());
    ++round;
    for (const char* name : {"b", "c", "d"}) {
      const std::string path = absl::StrCat("/shared/a/", name, round);
      bundle().AddMount(path + "/e/f", "tmpfs", "tmpfs", {"size=64k"});
      Bind(file, path + "-file");
    }
  };
  name_mounts();
  const Swapper swapper(volume + "/a", volume + "/link");
  RunAgainst(swapper, [&](const Outcome&) {
    EXPECT_THAT(Tree(host()), ::testing::SizeIs(1));
    name_mounts();
  });
}

// Without a race: the links lie in the image.
TEST_P(EscapeTest, Cve2024_45310_DirectoriesBehindALinkOfTheImage) {
  fs::create_symlink(WayUp(), Inside("/mnt/up"));
  fs::create_symlink(host() + "/none", Inside("/mnt/none"));
  fs::create_symlink("../../../../../../../..", Inside("/mnt/root"));
  for (const std::string& path :
       {std::string("/mnt/up/new/deep"), std::string("/mnt/none/deep"),
        absl::StrCat("/mnt/root", host(), "/by-root"),
        absl::StrCat("/tmp/../../../../../../..", host(), "/by-dots")}) {
    bundle().AddMount(path, "tmpfs", "tmpfs", {"size=64k"});
  }
  container().RunScript("true");
  EXPECT_THAT(Tree(host()), ::testing::SizeIs(1));
}

// runc wrote its security labels through the container's /proc, which an image
// could replace (VOLUME /proc, a link): they were never set. Here what the
// runtime itself writes goes through a procfs of its own, and proc is not
// mounted through a link.
TEST_P(EscapeTest, Cve2019_16884_ProcIsALinkOfTheImage) {
  for (const std::string& target :
       {std::string("tmp"), WayUp(), host(), std::string("sys")}) {
    fs::remove_all(Inside("/proc"));
    fs::create_symlink(target, Inside("/proc"));
    EXPECT_THAT(container().RunScript("echo started"), IsRefused()) << target;
  }
  fs::remove_all(Inside("/proc"));
  WriteFile(Inside("/proc"), "a file");
  EXPECT_THAT(container().RunScript("echo started"), IsRefused());
}

TEST_P(EscapeTest, Cve2019_16884_ProcIsSwappedForALink) {
  fs::create_symlink("tmp", Inside("/link"));
  bundle().Script(
      "test -e /tmp/self/exe && echo through; test -e /proc/self/exe && echo "
      "mounted; true");
  const Swapper swapper(Inside("/proc"), Inside("/link"));
  RunAgainst(swapper, [&](const Outcome& outcome) {
    // Or it is on /link by now.
    EXPECT_THAT(outcome, AnyOf(IsRefused(), Prints("mounted"), Prints("")));
  });
}

// A volume on /proc: nothing that the runtime hides is looked for behind the
// links in it, and no link of it leads anything out.
TEST_P(EscapeTest, Cve2019_16884_ProcIsAVolume) {
  const std::string volume = scratch() + "/proc";
  fs::create_directories(volume + "/self/attr");
  WriteFile(volume + "/self/attr/exec", "not written");
  WriteFile(volume + "/self/attr/current", "not written");
  fs::create_directories(volume + "/thread-self/attr/apparmor");
  WriteFile(volume + "/thread-self/attr/apparmor/exec", "not written");
  fs::create_symlink(WayUp() + "/sentinel", volume + "/kcore");
  bundle().AddMount("/proc", "bind", volume, {"bind"});
  config()["linux"]["maskedPaths"] = {"/proc/kcore"};
  EXPECT_THAT(container().RunScript("echo started"), IsRefused());
  const auto before = Tree(volume);
  config()["linux"].erase("maskedPaths");
  // A host without AppArmor must say so, and not run without the label.
  bundle().process()["apparmorProfile"] = "bulwark-no-such-profile";
  EXPECT_THAT(container().RunScript("echo started"), IsRefused());
  EXPECT_EQ(Tree(volume), before);
}

// `docker cp` followed links in the container as the host would, and could be
// raced: files of the host were read and written. There is no copying by
// bulwark-oci; what is nearest is its tmpcopyup, which reads a directory of the
// root into a tmpfs. (COPY and layers: engine_test.cc.)
TEST_P(EscapeTest, Cve2018_15664_CopyUpOfASwappedDirectory) {
  if (Is("runc")) GTEST_SKIP() << "runc copies by name after a check";
  ASSERT_EQ(mkdir(Inside("/data").c_str(), 0755), 0);
  ASSERT_EQ(mkdir(Inside("/data/dir").c_str(), 0755), 0);
  WriteFile(Inside("/data/dir/own"), "of the image");
  fs::create_symlink(WayUp(), Inside("/data/link"));
  bundle().AddMount("/data/dir", "tmpfs", "tmpfs", {"size=1m", "tmpcopyup"});
  bundle().Script(
      "cat /data/dir/*; for m in $(cut -d' ' -f5 /proc/self/mountinfo); do "
      "cat $m/sentinel; done 2>&1");
  const Swapper swapper(Inside("/data/dir"), Inside("/data/link"));
  RunAgainst(swapper, [&](const Outcome& outcome) {
    EXPECT_THAT(outcome.out, Not(HasSubstr(kUntouched))) << outcome.ToString();
  });
}

// And of a directory that holds links: they are copied as links.
TEST_P(EscapeTest, Cve2018_15664_CopyUpOfLinks) {
  ASSERT_EQ(mkdir(Inside("/data").c_str(), 0755), 0);
  fs::create_symlink(WayUp(), Inside("/data/up"));
  fs::create_symlink(host() + "/sentinel", Inside("/data/file"));
  bundle().AddMount("/data", "tmpfs", "tmpfs", {"size=1m", "tmpcopyup"});
  const Outcome outcome =
      container().RunScript("cat /data/up/* /data/file; ls /data; true");
  EXPECT_THAT(outcome.out, Not(HasSubstr(kUntouched)));
  EXPECT_THAT(outcome, Prints("file\nup"));
}

}  // namespace
}  // namespace bulwark::escapes
