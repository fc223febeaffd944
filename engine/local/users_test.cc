// Containers in a user namespace of their own. Needs root and busybox-static.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"
#include "os/kernel.h"
#include "os/user_namespace.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LocalWorld;
using ::testing::Not;

constexpr IdRange kIds = {1879048192 + 9 * 65536, 65536};

class UsersTest : public ::testing::TestWithParam<const char*> {
 protected:
  UsersTest() { world_.SetIds(kIds); }

  void StartIdle(const std::function<void(ContainerSpec&)>& change = nullptr) {
    ContainerSpec spec = world_.Shell("a", "exec sleep 1000");
    if (change) change(spec);
    ASSERT_OK(world_.engine().Start(spec));
  }
  absl::Status StartFails(const std::function<void(ContainerSpec&)>& change) {
    ContainerSpec spec = world_.Shell("bad", "true");
    change(spec);
    return world_.engine().Start(spec).status();
  }
  std::string Shell(const std::string& script) {
    return world_.RunShell("a", script);
  }
  // "UID:GID" on the host.
  static std::string OwnerOf(const std::string& path) {
    struct stat st = {};
    if (lstat(path.c_str(), &st) != 0) return "missing";
    return absl::StrCat(st.st_uid, ":", st.st_gid);
  }

  // The scheduler's slice of a process, in ns; -1 if it does not tell.
  static int64_t SliceOf(int pid) {
    struct {
      uint32_t size, policy;
      uint64_t flags;
      int32_t nice;
      uint32_t priority;
      uint64_t runtime, deadline, period;
    } attributes = {};
    if (syscall(SYS_sched_getattr, pid, &attributes, sizeof(attributes), 0) !=
        0) {
      return -1;
    }
    return static_cast<int64_t>(attributes.runtime);
  }

  // With a file that has its own name in it, and that 5:6 owns.
  static void MakeLayer(const std::string& path, const std::string& file) {
    std::filesystem::create_directories(path);
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
    const std::string full = path + "/" + file;
    ASSERT_OK(os::WriteFileDurably(full, file + "\n", 0640));
    ASSERT_EQ(chown(full.c_str(), 5, 6), 0);
  }

  LocalWorld world_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Kernels, UsersTest, ::testing::Values("", "6.1"),
                         [](const auto& info) {
                           return *info.param == 0 ? "Newest" : "Linux61";
                         });

TEST_P(UsersTest, WhenStarted_ItsRootIsNobodyOnTheHost) {
  StartIdle();
  EXPECT_THAT(Shell("cat /proc/1/uid_map /proc/1/gid_map"),
              HasSubstr(absl::StrCat(kIds.first)));
  ASSERT_OK_AND_ASSIGN(const ContainerInfo info, world_.engine().Inspect("a"));
  EXPECT_EQ(OwnerOf(absl::StrCat("/proc/", info.pid)),
            absl::StrCat(kIds.first, ":", kIds.first));
  EXPECT_EQ(Shell("id -u; id -g"), "0\n0\n");
  // Every namespace belongs to it: the kernel lets its root see sysfs, and
  // change its own network.
  EXPECT_THAT(Shell("ls /sys/class/net"), HasSubstr("lo"));
}

TEST_P(UsersTest, WhenStarted_ItIsMadeFromABareMountNamespaceWhereItCanBe) {
  if (!os::ProbeKernel(GetParam())->overlay_detached_layers) {
    GTEST_SKIP() << "layers cannot be detached mounts here";
  }
  StartIdle();
  ASSERT_OK_AND_ASSIGN(const ContainerInfo info, world_.engine().Inspect("a"));
  ASSERT_OK_AND_ASSIGN(
      const std::string mounts,
      os::ReadFile(absl::StrCat("/proc/", info.pid, "/mountinfo"), 1 << 20));
  // What masks a file is its /dev/null.
  EXPECT_THAT(mounts, HasSubstr(" - tmpfs bare "));
}

TEST_P(UsersTest, WhenTheDaemonsUmaskIsStrict_ItStartsAllTheSame) {
  const mode_t before = umask(0077);
  {
    LocalWorld strict{GetParam()};
    strict.SetIds(kIds);
    EXPECT_OK(strict.engine().Start(strict.Shell("a", "exec sleep 1000")));
    EXPECT_THAT(strict.RunShell("a", "echo there"), HasSubstr("there"));
  }
  umask(before);
}

TEST_P(UsersTest, WhenStarted_ItsProgramHasTheUsualSlice) {
  StartIdle();
  ASSERT_OK_AND_ASSIGN(const ContainerInfo info, world_.engine().Inspect("a"));
  EXPECT_EQ(SliceOf(info.pid), SliceOf(0));
}

TEST_P(UsersTest, WhenFilesAreMade_TheDiskHoldsTheIdsOfTheInside) {
  const std::string upper = world_ / "upper";
  ASSERT_EQ(mkdir(upper.c_str(), 0755), 0);
  ASSERT_OK(os::WriteFileDurably(world_.Layer() + "/mine", "x\n", 0640));
  ASSERT_EQ(chown((world_.Layer() + "/mine").c_str(), 5, 6), 0);
  StartIdle([&](ContainerSpec& s) { s.upper_dir = upper; });
  EXPECT_THAT(Shell("ls -ln /mine /bin/busybox"),
              AllOf(HasSubstr(" 5        6 "), Not(HasSubstr("65534"))));
  EXPECT_EQ(Shell("echo more >> /mine; touch /new; chown 1000:1000 /new; "
                  "cat /mine; rm /etc/group; mkdir /etc/x"),
            "x\nmore\n");
  EXPECT_EQ(OwnerOf(upper + "/mine"), "5:6");
  EXPECT_EQ(OwnerOf(upper + "/new"), "1000:1000");
  EXPECT_EQ(OwnerOf(upper + "/etc"), "0:0");
  EXPECT_EQ(OwnerOf(world_.Layer() + "/mine"), "5:6");
}

// Layers below the state directory, some of which an administrator has put
// elsewhere.
TEST_P(UsersTest, WhenLayersAreOfTheState_EachIsMappedWhereverItLies) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  const std::string layers = world_ / "state/layers";
  MakeLayer(layers + "/plain", "plain");
  MakeLayer(layers + "/mounted", "covered");
  MakeLayer(world_ / "other/mounted", "mounted");
  MakeLayer(world_ / "other/linked", "linked");
  MakeLayer(world_ / "state/deep/within", "within");
  ASSERT_EQ(symlink("../deep", (layers + "/inner").c_str()), 0);
  ASSERT_EQ(mount((world_ / "other/mounted").c_str(),
                  (layers + "/mounted").c_str(), nullptr, MS_BIND, nullptr),
            0);
  ASSERT_EQ(symlink((world_ / "other").c_str(), (layers + "/link").c_str()), 0);
  const std::vector<std::vector<std::string>> starts = {
      {"plain"},
      {"plain", "mounted"},
      {"plain", "link/linked"},
      {"plain", "inner/within"},
      {"link/linked", "mounted", "plain"}};
  for (const std::vector<std::string>& names : starts) {
    StartIdle([&](ContainerSpec& s) {
      for (const std::string& name : names) {
        s.layers.insert(s.layers.begin(), layers + "/" + name);
      }
    });
    for (const std::string& name : names) {
      const std::string file = name.substr(name.find('/') + 1);
      EXPECT_EQ(Shell("cat /" + file), file + "\n");
      EXPECT_THAT(Shell("ls -ln /" + file), HasSubstr(" 5        6 "));
    }
    EXPECT_THAT(Shell("ls /"), Not(HasSubstr("covered")));
    EXPECT_EQ(Shell("touch /new; chown 7:8 /new"), "");
    EXPECT_EQ(OwnerOf(world_ / "state/containers/a/upper/new"), "7:8");
    ASSERT_OK(world_.engine().Kill("a"));
    ASSERT_OK(world_.engine().Remove("a"));
  }
  EXPECT_EQ(umount2((layers + "/mounted").c_str(), MNT_DETACH), 0);
}

TEST_P(UsersTest, WhenContainersAreOnAMountOfTheirOwn_TheyAreMappedThere) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  const std::string containers = world_ / "state/containers";
  ASSERT_EQ(mkdir((world_ / "other").c_str(), 0700), 0);
  ASSERT_EQ(mount((world_ / "other").c_str(), containers.c_str(), nullptr,
                  MS_BIND, nullptr),
            0);
  MakeLayer(world_ / "state/layers/plain", "plain");
  StartIdle([&](ContainerSpec& s) {
    s.layers.insert(s.layers.begin(), world_ / "state/layers/plain");
  });
  EXPECT_EQ(Shell("cat /plain; touch /new; chown 7:8 /new"), "plain\n");
  EXPECT_EQ(OwnerOf(world_ / "other/a/upper/new"), "7:8");
  ASSERT_OK(world_.engine().Kill("a"));
  ASSERT_OK(world_.engine().Remove("a"));
  EXPECT_EQ(umount2(containers.c_str(), MNT_DETACH), 0);
}

TEST_P(UsersTest, WhenTheStateIsReachedByALink_ItsLayersAreMapped) {
  MakeLayer(world_ / "state/layers/plain", "plain");
  ASSERT_EQ(symlink((world_ / "state").c_str(), (world_ / "alias").c_str()), 0);
  world_.config().state_dir = world_ / "alias";
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover([](absl::string_view) {}));
  StartIdle([&](ContainerSpec& s) {
    s.layers.insert(s.layers.begin(), world_ / "alias/layers/plain");
  });
  EXPECT_EQ(Shell("cat /plain; touch /new; chown 7:8 /new"), "plain\n");
  EXPECT_THAT(Shell("ls -ln /plain"), HasSubstr(" 5        6 "));
  EXPECT_EQ(OwnerOf(world_ / "state/containers/a/upper/new"), "7:8");
}

TEST_P(UsersTest, WhenADirectoryIsMounted_NumbersAreTheHosts) {
  const std::string data = world_ / "data";
  ASSERT_EQ(mkdir(data.c_str(), 0777), 0);
  ASSERT_EQ(chmod(data.c_str(), 0777), 0);
  ASSERT_OK(os::WriteFileDurably(data + "/root", "r\n", 0600));
  StartIdle([&](ContainerSpec& s) {
    s.mounts = {{Mount::Kind::kBind, data, "/data"},
                {Mount::Kind::kBind, data, "/fixed", true},
                {Mount::Kind::kTmpfs, "", "/memory"}};
  });
  EXPECT_EQ(Shell("cat /data/root; touch /data/r; touch /memory/m; "
                  "touch /fixed/no 2>/dev/null || echo read-only"),
            "r\nread-only\n");
  ExecSpec exec;
  exec.args = {"/bin/sh", "-c", "cat /data/root || touch /data/app"};
  exec.user = "app";
  ASSERT_OK_AND_ASSIGN(auto session, world_.engine().Exec("a", exec));
  ASSERT_OK(session->Wait());
  EXPECT_EQ(OwnerOf(data + "/r"), "0:0");
  EXPECT_EQ(OwnerOf(data + "/app"), "1000:1000");
}

TEST_P(UsersTest, WhenTheFileSystemCannotMapIds_SaysWhatToDo) {
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.mounts = {{Mount::Kind::kBind, "/proc/sys", "/x"}};
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("/proc/sys"), HasSubstr("hostUsers"))));
  EXPECT_TRUE(world_.engine().List().empty());
}

TEST_P(UsersTest, WhenTheUserIsAnother_ItsStreamsAndFilesAreItsOwn) {
  ContainerSpec spec = world_.Shell(
      "a",
      "echo one > /dev/stdout; echo two > /dev/stderr; "
      "touch /dev/shm/x && ls -ln /dev/shm; head -c 2 /dev/zero | wc -c");
  spec.user = "app";
  ASSERT_OK(world_.engine().Start(spec));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
  EXPECT_THAT(world_.Output("a"),
              AllOf(HasSubstr("one\n"), HasSubstr("two\n"),
                    HasSubstr(" 1000     1000 "), HasSubstr("2\n")));
}

TEST_P(UsersTest, WhenThereIsATerminal_ItIsTheUsers) {
  StartIdle([](ContainerSpec& s) {
    s.user = "app";
    s.terminal = true;
    s.args = {"/bin/sh", "-c",
              "tty; ls -ln $(tty); echo x > /dev/tty; exec sleep 1000"};
  });
  const absl::Duration deadline = world_.clock().Steady() + absl::Seconds(20);
  while (world_.Output("a").find("x\r") == std::string::npos) {
    ASSERT_LT(world_.clock().Steady(), deadline) << world_.Output("a");
    world_.clock().Sleep(absl::Milliseconds(5));
  }
  EXPECT_THAT(world_.Output("a"),
              AllOf(HasSubstr("/dev/pts/0"), HasSubstr(" 1000     5 ")));
  ExecSpec exec;
  exec.args = {"/bin/sh", "-c", "ls -ln $(tty)"};
  exec.terminal = true;
  ASSERT_OK_AND_ASSIGN(auto session, world_.engine().Exec("a", exec));
  char text[256] = {};
  ASSERT_GT(read(session->output(), text, sizeof(text) - 1), 0);
  EXPECT_THAT(std::string(text), HasSubstr(" 1000     5 "));
  ASSERT_OK(session->Wait());
}

TEST_P(UsersTest, WhenTheUserIsOutsideOfTheRange_SaysSo) {
  EXPECT_THAT(StartFails([](ContainerSpec& s) { s.user = "70000"; }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("70000"), HasSubstr("out of range"))));
}

TEST_P(UsersTest, WhenTheNetworkIsGiven_ItsUserNamespaceIsEntered) {
  ASSERT_OK_AND_ASSIGN(const os::UserNamespace made,
                       os::MakeUserNamespace({kIds.first, kIds.size}));
  const std::string path =
      absl::StrCat("/proc/", getpid(), "/fd/", made.network.get());
  for (const char* id : {"a", "b"}) {
    ContainerSpec spec = world_.Shell(id, "exec sleep 1000");
    spec.network_namespace = path;
    ASSERT_OK(world_.engine().Start(spec));
  }
  const std::string users = Shell("readlink /proc/1/ns/user /proc/1/ns/net");
  EXPECT_EQ(world_.RunShell("b", "readlink /proc/1/ns/user /proc/1/ns/net"),
            users);
  EXPECT_THAT(Shell("ls /sys/class/net"), HasSubstr("lo"));
}

TEST_P(UsersTest, WhenTheNetworkIsTheHosts_IsRefused) {
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.network_namespace = "/proc/self/ns/net";
              }),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(world_.engine().List().empty());
}

TEST_P(UsersTest, WhenTheEngineIsNew_ExecStillEntersTheSameUsers) {
  StartIdle();
  world_.Reopen();
  ASSERT_OK(world_.engine().Recover([](absl::string_view) {}));
  EXPECT_THAT(Shell("cat /proc/self/uid_map; touch /x; ls -ln /x"),
              AllOf(HasSubstr(absl::StrCat(kIds.first)), HasSubstr(" 0 ")));
}

TEST_P(UsersTest, WhenItEnds_NothingIsLeft) {
  const testing::Resources before = testing::CountResources();
  StartIdle();
  ASSERT_OK(world_.engine().Kill("a"));
  ASSERT_OK(world_.engine().Remove("a"));
  const testing::Resources after = testing::CountResources();
  EXPECT_EQ(after.mounts, before.mounts);
  EXPECT_EQ(after.open_files, before.open_files);
  EXPECT_EQ(after.children, before.children);
}

TEST_P(UsersTest, WhenCapabilitiesAreNamed_TheyComeAndGo) {
  StartIdle([](ContainerSpec& s) {
    s.add_capabilities = {"NET_RAW"};
    s.drop_capabilities = {"CAP_CHOWN", "KILL"};
  });
  for (const char* process : {"1", "self"}) {
    EXPECT_THAT(Shell(absl::StrCat("cat /proc/", process, "/status")),
                AllOf(HasSubstr("CapEff:\t00000000000025da"),
                      HasSubstr("CapBnd:\t00000000000025da")));
  }
  EXPECT_THAT(Shell("touch /x; chown 5 /x"), HasSubstr("not permitted"));
}

TEST_P(UsersTest, WhenRestricted_RootIsRefusedAndTheRootIsReadOnly) {
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.profile = SecurityProfile::kRestricted;
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("restricted"), HasSubstr("`user`"))));
  StartIdle([](ContainerSpec& s) {
    s.profile = SecurityProfile::kRestricted;
    s.user = "app";
  });
  EXPECT_THAT(Shell("cat /proc/1/status"),
              AllOf(HasSubstr("CapBnd:\t0000000000000000"),
                    HasSubstr("NoNewPrivs:\t1"), HasSubstr("Seccomp:\t2")));
  EXPECT_THAT(Shell("touch /home-is-mine"), HasSubstr("Read-only"));
  ExecSpec exec;
  exec.args = {"/bin/true"};
  exec.user = "root";
  EXPECT_THAT(
      world_.engine().Exec("a", exec).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("restricted")));
}

}  // namespace
}  // namespace bulwark::engine
