// The same escapes, tried on the daemon's engine. What an image or a
// neighbour controls there is less: the layers, the program, the working
// directory, and volumes that are shared.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"
#include "tests/escapes/swapper.h"

namespace bulwark::escapes {
namespace {

namespace fs = std::filesystem;
using bulwark::testing::IsOkAndHolds;
using bulwark::testing::StatusIs;
using engine::ContainerInfo;
using engine::ContainerSpec;
using engine::Mount;
using engine::testing::LocalWorld;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kUntouched[] = "untouched by all containers";
constexpr int kLastNumber = 40;  // of descriptors that are tried

// An archive with the file "planted".
engine::TarSource OneFile() {
  auto archive = std::make_shared<std::string>(
      engine::image::testing::TarBuilder().File("planted", "evil").Build());
  return [archive]() -> absl::StatusOr<std::string> {
    return std::exchange(*archive, "");
  };
}

class EngineEscapeTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_EQ(mkdir(host().c_str(), 0755), 0);
    ASSERT_EQ(mkdir(evil().c_str(), 0755), 0);
    ASSERT_OK(os::WriteFileDurably(host() + "/sentinel", kUntouched, 0644));
    ASSERT_OK_AND_ASSIGN(mounts_,
                         os::ReadFile("/proc/self/mountinfo", 1 << 20));
    ASSERT_OK_AND_ASSIGN(shim_, Shim());
  }

  void TearDown() override {
    EXPECT_THAT(os::ListDir(host()), IsOkAndHolds(ElementsAre("sentinel")));
    EXPECT_THAT(os::ReadFile(host() + "/sentinel", 100),
                IsOkAndHolds(kUntouched));
    EXPECT_THAT(os::ReadFile("/proc/self/mountinfo", 1 << 20),
                IsOkAndHolds(mounts_));
    EXPECT_THAT(Shim(), IsOkAndHolds(shim_)) << "the shim was overwritten";
  }

  absl::StatusOr<std::string> Shim() {
    return os::ReadFile(world_.config().shim_path, 64 << 20);
  }
  std::string host() { return world_ / "host"; }
  // A layer that lies over the ordinary one.
  std::string evil() { return world_ / "evil"; }
  void AddAttacker(const std::string& path) {
    fs::copy_file(absl::StrCat(std::getenv("TEST_SRCDIR"),
                               "/bulwark/tests/escapes/attacker"),
                  path);
  }

  ContainerSpec Hostile(const std::string& script) {
    ContainerSpec spec = world_.Shell("a", script);
    spec.layers.push_back(evil());
    return spec;
  }
  // What the container prints, or why it does not start.
  std::string Try(const ContainerSpec& spec) {
    const auto started = world_.engine().Start(spec);
    if (!started.ok()) return started.status().ToString();
    world_.AwaitExit(spec.id);
    const std::string output = world_.Output(spec.id);
    EXPECT_OK(world_.engine().Remove(spec.id));
    return output;
  }
  template <typename F>
  bool Eventually(F&& condition) {
    const absl::Duration end = world_.clock().Steady() + absl::Seconds(30);
    while (!condition()) {
      if (world_.clock().Steady() > end) return false;
      world_.clock().Sleep(absl::Milliseconds(5));
    }
    return true;
  }

  LocalWorld world_{GetParam()};
  std::string mounts_;
  std::string shim_;
};
INSTANTIATE_TEST_SUITE_P(Kernels, EngineEscapeTest,
                         ::testing::Values("", "6.1"), [](const auto& info) {
                           return *info.param == 0 ? "Newest" : "Linux61";
                         });

// /proc/self/exe as a program: the shim's sealed copy is what it is.
TEST_P(EngineEscapeTest, Cve2019_5736_ExecOfTheShimItself) {
  ASSERT_EQ(mkdir((evil() + "/bin").c_str(), 0755), 0);
  AddAttacker(evil() + "/bin/attacker");
  ASSERT_OK(os::WriteFileDurably(evil() + "/evil", "#!/proc/self/exe\n", 0755));
  ContainerSpec spec = Hostile("");
  spec.args = {"/bin/attacker", "overwrite", "/stop"};
  ASSERT_OK(world_.engine().Start(spec));
  EXPECT_TRUE(Eventually([&] {
    world_.Run("a", {"/evil"});
    world_.Run("a", {"/proc/self/exe"});
    return absl::StrContains(world_.Output("a"), "seen");
  }));
  EXPECT_EQ(world_.RunShell("a", "touch /stop"), "");
  world_.AwaitExit("a");
  EXPECT_THAT(world_.Output("a"), HasSubstr("wrote 0"));
}

// A mount's destination in a shared volume is swapped for a link.
TEST_P(EngineEscapeTest, Cve2021_30465_MountOnASwappedDestination) {
  const std::string volume = world_ / "volume";
  fs::create_directories(volume + "/inner");
  fs::create_symlink("../../../../../../../../.." + host(), volume + "/link");
  ContainerSpec spec =
      Hostile(absl::StrCat("cat /shared/inner/sentinel ", host(),
                           "/sentinel /second/shared/inner/sentinel"));
  spec.mounts = {{Mount::Kind::kBind, volume, "/shared"},
                 {Mount::Kind::kTmpfs, "", "/shared/inner"},
                 {Mount::Kind::kTmpfs, "", "/shared/inner/x/y"}};
  const Swapper swapper(volume + "/inner", volume + "/link");
  const absl::Duration end = world_.clock().Steady() + absl::Seconds(5);
  for (int i = 0; i < 5 || world_.clock().Steady() < end; ++i) {
    const int64_t before = swapper.swaps();
    EXPECT_THAT(Try(spec), Not(HasSubstr(kUntouched)));
    ASSERT_TRUE(Eventually([&] { return swapper.swaps() > before; }));
    if (HasFailure()) break;
  }
}

// Missing parts of a destination, on a path that is swapped for a link.
TEST_P(EngineEscapeTest, Cve2024_45310_DirectoriesOnASwappedPath) {
  const std::string volume = world_ / "volume";
  fs::create_directories(volume + "/a");
  fs::create_symlink("../../../../../../../../.." + host(), volume + "/link");
  ContainerSpec spec = Hostile("true");
  spec.mounts = {{Mount::Kind::kBind, volume, "/shared"}};
  const Swapper swapper(volume + "/a", volume + "/link");
  const absl::Duration end = world_.clock().Steady() + absl::Seconds(5);
  for (int i = 0; i < 5 || world_.clock().Steady() < end; ++i) {
    const int64_t before = swapper.swaps();
    spec.mounts.resize(1);
    spec.mounts.push_back(
        {Mount::Kind::kTmpfs, "", absl::StrCat("/shared/a/deep", i, "/dir")});
    spec.mounts.push_back({Mount::Kind::kBind, host() + "/sentinel",
                           absl::StrCat("/shared/a/file", i), true});
    Try(spec);
    EXPECT_THAT(os::ListDir(host()), IsOkAndHolds(ElementsAre("sentinel")));
    ASSERT_TRUE(Eventually([&] { return swapper.swaps() > before; }));
    if (HasFailure()) break;
  }
}

// /proc of the image is a link or a file: refused.
TEST_P(EngineEscapeTest, Cve2019_16884_ProcIsNoDirectory) {
  fs::create_symlink("../../../../../../../.." + host(), evil() + "/proc");
  EXPECT_THAT(world_.engine().Start(Hostile("true")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/proc")));
  fs::remove(evil() + "/proc");
  ASSERT_OK(os::WriteFileDurably(evil() + "/proc", "a file", 0644));
  EXPECT_THAT(world_.engine().Start(Hostile("true")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/proc")));
}

// A volume on /proc is over the real one: what the engine hides or makes
// read-only is still looked for without following a link.
TEST_P(EngineEscapeTest, Cve2019_16884_ProcIsAVolume) {
  const std::string volume = world_ / "proc";
  fs::create_directories(volume);
  fs::create_symlink(host() + "/sentinel", volume + "/kcore");
  fs::create_symlink(host(), volume + "/sys");
  ContainerSpec spec = Hostile("true");
  spec.mounts = {{Mount::Kind::kBind, volume, "/proc"}};
  EXPECT_THAT(Try(spec), HasSubstr("hide /proc/kcore"));
}

// The kernel lets nobody but the host's root write it; the container does not
// even see it, and may not unshare or mount.
TEST_P(EngineEscapeTest, Cve2022_0492_ReleaseAgent) {
  const std::string output = Try(Hostile(
      "busybox find /sys/fs/cgroup -name release_agent; "
      "busybox unshare -U -r -m sh -c 'mount -t cgroup -o rdma x /mnt && "
      "echo mounted'; busybox unshare -m sh -c 'echo unshared'; echo end"));
  EXPECT_THAT(output, HasSubstr("end\n"));
  EXPECT_THAT(output, Not(HasSubstr("release_agent\n")));
  EXPECT_THAT(output, Not(HasSubstr("mounted\n")));
  EXPECT_THAT(output, Not(HasSubstr("unshared\n")));
}

// Working directory and program come from the image; layers of the host are
// open while the container is made.
TEST_P(EngineEscapeTest, Cve2024_21626_WorkingDirectoryBehindADescriptor) {
  ContainerSpec spec =
      Hostile("cat sentinel host/sentinel ../host/sentinel; ls; true");
  for (int n = 3; n < kLastNumber; ++n) {
    for (const char* end : {"", "/.."}) {
      spec.cwd = absl::StrCat("/proc/self/fd/", n, end);
      const std::string output = Try(spec);
      EXPECT_THAT(output, Not(HasSubstr(kUntouched))) << spec.cwd;
      EXPECT_THAT(output, Not(HasSubstr("evil"))) << spec.cwd;
    }
  }
}

TEST_P(EngineEscapeTest, Cve2024_21626_ProgramBehindADescriptor) {
  AddAttacker(world_ / "escape");
  ContainerSpec spec = Hostile("");
  for (int n = 3; n < kLastNumber; ++n) {
    const std::string path = absl::StrCat("/proc/self/fd/", n, "/../escape");
    spec.args = {path};
    EXPECT_THAT(Try(spec), Not(HasSubstr("ESCAPED"))) << n;
    const std::string script = absl::StrCat("/script", n);
    ASSERT_OK(os::WriteFileDurably(evil() + script,
                                   absl::StrCat("#!", path, "\n"), 0755));
    spec.args = {script};
    EXPECT_THAT(Try(spec), Not(HasSubstr("ESCAPED"))) << n;
  }
}

TEST_P(EngineEscapeTest, Cve2024_21626_ProgramOfAnExecBehindADescriptor) {
  AddAttacker(world_ / "escape");
  ASSERT_OK(world_.engine().Start(Hostile("exec sleep 1000")));
  for (int n = 3; n < kLastNumber; ++n) {
    const std::string fd = absl::StrCat("/proc/self/fd/", n);
    EXPECT_THAT(world_.Run("a", {fd + "/../escape"}),
                Not(HasSubstr("ESCAPED")));
    EXPECT_THAT(world_.Run("a", {absl::StrCat(fd, world_ / "escape")}),
                Not(HasSubstr("ESCAPED")));
  }
}

// /dev is ours, whatever the image has there: what hides is the host's null.
TEST_P(EngineEscapeTest, Cve2025_31133_NullOfTheImageIsALink) {
  fs::create_directories(evil() + "/dev");
  fs::create_symlink("/proc/sys/kernel/core_pattern", evil() + "/dev/null");
  const std::string output =
      Try(Hostile("busybox stat -c '%F %t:%T' /proc/interrupts /dev/null; "
                  "wc -c < /proc/interrupts"));
  EXPECT_EQ(output,
            "character special file 1:3\ncharacter special file 1:3\n0\n");
}

// The terminal comes from our devpts, before the image's root is anywhere.
TEST_P(EngineEscapeTest, Cve2025_52565_ConsoleOfTheImageIsALink) {
  fs::create_directories(evil() + "/dev");
  for (const char* name : {"/dev/console", "/dev/ptmx", "/dev/pts"}) {
    fs::create_symlink(host() + "/sentinel", evil() + name);
  }
  ContainerSpec spec = Hostile("tty; ls /dev/console");
  spec.terminal = true;
  const std::string output = Try(spec);
  EXPECT_THAT(output, HasSubstr("/dev/pts/0"));
  EXPECT_THAT(output, HasSubstr("No such file"));
}

// A fake /proc in the image: what the engine writes for itself, such as the
// score of the out-of-memory killer, does not end up in it.
TEST_P(EngineEscapeTest, Cve2025_52881_ProcOfTheImage) {
  fs::create_directories(evil() + "/proc/self");
  for (const char* name :
       {"/proc/self/oom_score_adj", "/proc/self/setgroups"}) {
    ASSERT_OK(os::WriteFileDurably(evil() + name, "swallowed", 0666));
  }
  EXPECT_EQ(Try(Hostile("cat /proc/self/oom_score_adj")), "0\n");
  for (const char* name :
       {"/proc/self/oom_score_adj", "/proc/self/setgroups"}) {
    EXPECT_THAT(os::ReadFile(evil() + name, 100), IsOkAndHolds("swallowed"));
  }
}

// Users are looked up by our own reader in regular files of the root: links
// stay inside, and no library of the container is loaded.
TEST_P(EngineEscapeTest, Cve2019_14271_NoLibraryOfTheContainerIsOpened) {
  const UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  fs::create_directories(evil() + "/lib/x86_64-linux-gnu");
  fs::create_directories(evil() + "/etc");
  constexpr const char* kFiles[] = {"/etc/nsswitch.conf", "/etc/ld.so.preload",
                                    "/etc/ld.so.cache", "/lib/libc.so.6",
                                    "/lib/x86_64-linux-gnu/libnss_files.so.2"};
  const auto watch_in = [&](const std::string& root) {
    for (const char* file : kFiles) {
      ASSERT_GE(inotify_add_watch(watch.get(), (root + file).c_str(), IN_OPEN),
                0)
          << root << file << ": " << strerror(errno);
    }
  };
  for (const char* file : kFiles) {
    ASSERT_OK(os::WriteFileDurably(evil() + file, "hostile", 0755));
  }
  watch_in(evil());
  ContainerSpec spec = Hostile("exec sleep 1000");
  spec.user = "app";
  ASSERT_OK(world_.engine().Start(spec));
  // On older kernels an overlay does not tell those who watch its layers.
  ASSERT_OK_AND_ASSIGN(const auto processes, world_.engine().Processes("a"));
  ASSERT_FALSE(processes.empty());
  watch_in(absl::StrCat("/proc/", processes[0].pid, "/root"));
  EXPECT_EQ(world_.Run("a", {"/bin/true"}), "");
  // Nor by a copy: the archive is made and taken apart by us.
  const auto ignore = [](absl::string_view) { return absl::OkStatus(); };
  EXPECT_OK(world_.engine().CopyFrom("a", "/bin/busybox", false, ignore));
  EXPECT_OK(world_.engine().CopyTo("a", "/", true, OneFile()).status());
  EXPECT_OK(world_.engine().Processes("a").status());
  char events[1024];
  EXPECT_LT(read(watch.get(), events, sizeof(events)), 0);
  // The watch sees what happens in the container.
  EXPECT_EQ(world_.Run("a", {"/bin/cat", "/etc/ld.so.cache"}), "hostile");
  EXPECT_GT(read(watch.get(), events, sizeof(events)), 0);
}

// `docker cp` looked at a path, and used it later: in between a container put a
// link in the place of a folder, and the host's files were read and written.
TEST_P(EngineEscapeTest, Cve2018_15664_CopyRacedThroughALink) {
  const std::string volume = world_ / "volume";
  fs::create_directories(volume + "/folder");
  ASSERT_OK(os::WriteFileDurably(volume + "/folder/sentinel", "inside", 0644));
  fs::create_symlink(host(), volume + "/link");
  ContainerSpec spec = Hostile("exec sleep 1000");
  spec.mounts.push_back({Mount::Kind::kBind, volume, "/volume"});
  ASSERT_OK(world_.engine().Start(spec));
  const Swapper swapper(volume + "/folder", volume + "/link");
  // Where two seconds give too few rounds, as on an emulated processor, longer.
  const absl::Duration start = world_.clock().Steady();
  int read = 0, written = 0;
  const auto enough = [&] {
    const absl::Duration passed = world_.clock().Steady() - start;
    if (passed > absl::Seconds(60)) return true;
    return passed > absl::Seconds(2) && read > 10 && written > 10 &&
           swapper.swaps() > 100;
  };
  while (!enough()) {
    for (const char* path : {"/volume/folder/sentinel", "/volume/folder"}) {
      std::string out;
      const absl::Status status = world_.engine().CopyFrom(
          "a", path, true, [&](absl::string_view data) {
            out.append(data.data(), data.size());
            return absl::OkStatus();
          });
      read += status.ok() ? 1 : 0;
      ASSERT_THAT(out, Not(HasSubstr(kUntouched)));
    }
    written +=
        world_.engine().CopyTo("a", "/volume/folder", false, OneFile()).ok()
            ? 1
            : 0;
  }
  EXPECT_GT(read, 10);
  EXPECT_GT(written, 10);
  EXPECT_GT(swapper.swaps(), 100);
}

TEST_P(EngineEscapeTest, Cve2018_15664_AccountsBehindALink) {
  fs::create_directories(evil() + "/etc");
  ASSERT_OK(os::WriteFileDurably(world_ / "passwd",
                                 "outside:x:0:0::/:/bin/sh\n", 0644));
  fs::create_symlink("../../../../../../../.." + (world_ / "passwd"),
                     evil() + "/etc/passwd");
  ContainerSpec spec = Hostile("id -u");
  spec.user = "outside";
  EXPECT_THAT(
      world_.engine().Start(spec),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no such user")));
}

// Daemon and shim speak over what is inherited or has a path, which is not in
// the container: there is no abstract socket, which would be for everybody who
// is in the host's network.
TEST_P(EngineEscapeTest, Cve2020_15257_NoAbstractSocket) {
  const UniqueFd before(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  ContainerSpec spec = Hostile("cat /proc/net/unix; exec sleep 1000");
  spec.network_namespace = absl::StrCat("/proc/", getpid(), "/ns/net");
  ASSERT_OK(world_.engine().Start(spec));
  // Seen by an exec, whose shim waits for it.
  const std::string seen = world_.RunShell("a", "cat /proc/net/unix");
  EXPECT_THAT(seen, HasSubstr("Inode"));
  EXPECT_THAT(seen, Not(HasSubstr(" @")));
  EXPECT_THAT(world_.Output("a"), Not(HasSubstr(" @")));
  EXPECT_EQ(setns(before.get(), CLONE_NEWNET), 0);
}

}  // namespace
}  // namespace bulwark::escapes
