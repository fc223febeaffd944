// What a container can see and do. Needs root and busybox-static.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::LocalWorld;
using ::testing::Not;

struct Where {
  const char* name;
  const char* max_kernel;
  bool users;  // in a user namespace of its own
};
void PrintTo(const Where& where, std::ostream* out) { *out << where.name; }

constexpr IdRange kIds = {1879048192 + 7 * 65536, 65536};

class IsolationTest : public ::testing::TestWithParam<Where> {
 protected:
  IsolationTest() {
    if (!GetParam().users) return;
    world_.SetIds(kIds);
    first_ = kIds.first;
  }
  void StartIdle(const std::function<void(ContainerSpec&)>& change = nullptr) {
    ContainerSpec spec = world_.Shell("a", "exec sleep 1000");
    if (change) change(spec);
    ASSERT_OK(world_.engine().Start(spec));
  }
  std::string Shell(const std::string& script) {
    return world_.RunShell("a", script);
  }
  absl::Status StartFails(const std::function<void(ContainerSpec&)>& change) {
    ContainerSpec spec = world_.Shell("bad", "true");
    change(spec);
    return world_.engine().Start(spec).status();
  }

  LocalWorld world_{GetParam().max_kernel};
  uint32_t first_ = 0;  // the host's number of the container's root
};
INSTANTIATE_TEST_SUITE_P(Kernels, IsolationTest,
                         ::testing::Values(Where{"Newest", "", false},
                                           Where{"NewestUsers", "", true},
                                           Where{"Linux61", "6.1", false},
                                           Where{"Linux61Users", "6.1", true}),
                         [](const auto& info) { return info.param.name; });

TEST_P(IsolationTest, WhenStarted_HasNamespacesOfItsOwn) {
  StartIdle([](ContainerSpec& s) { s.hostname = "box"; });
  EXPECT_EQ(Shell("readlink /proc/1/exe"), "/bin/busybox\n");
  EXPECT_EQ(Shell("hostname; cat /etc/hostname"), "box\nbox\n");
  for (const char* ns : {"pid", "mnt", "ipc", "uts", "net", "cgroup"}) {
    char ours[64] = {};
    ASSERT_GT(readlink(absl::StrCat("/proc/self/ns/", ns).c_str(), ours, 63),
              0);
    EXPECT_THAT(Shell(absl::StrCat("readlink /proc/1/ns/", ns)),
                AllOf(HasSubstr(ns), Not(HasSubstr(ours))));
  }
  EXPECT_THAT(Shell("ip link show up"),
              AllOf(HasSubstr("lo:"), Not(HasSubstr("2:"))));
  // Its own group is the root of what it sees.
  EXPECT_THAT(Shell("cat /proc/1/cgroup"), Not(HasSubstr("bwtest")));
}

TEST_P(IsolationTest, WhenStarted_SeesOnlyItsOwnMounts) {
  StartIdle();
  EXPECT_THAT(Shell("cat /proc/mounts"),
              AllOf(HasSubstr("overlay / overlay"), Not(HasSubstr(" /mnt")),
                    Not(HasSubstr("/root "))));
  // And the host sees none of them.
  EXPECT_THAT(os::ReadFile("/proc/self/mountinfo", 1 << 20).value_or("?"),
              Not(HasSubstr(world_.config().state_dir)));
}

TEST_P(IsolationTest, WhenStarted_HasFewRights) {
  StartIdle();
  const std::string status = Shell("cat /proc/self/status");
  // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP
  // NET_BIND_SERVICE.
  EXPECT_THAT(status, HasSubstr("CapEff:\t00000000000005fb"));
  EXPECT_THAT(status, HasSubstr("CapBnd:\t00000000000005fb"));
  EXPECT_THAT(status, HasSubstr("CapInh:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("CapAmb:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
  // The first process has the same.
  EXPECT_THAT(
      Shell("grep -E 'CapEff|Seccomp:|NoNew|SigBlk|SigIgn' "
            "/proc/1/status"),
      AllOf(HasSubstr("CapEff:\t00000000000005fb"), HasSubstr("NoNewPrivs:\t1"),
            HasSubstr("Seccomp:\t2"), HasSubstr("SigBlk:\t0000000000000000"),
            HasSubstr("SigIgn:\t0000000000000000")));
}

// The daemon's protection from the out-of-memory killer is its own.
TEST_P(IsolationTest, WhenWeAreSparedOfOom_TheContainerIsNot) {
  const std::string path = "/proc/self/oom_score_adj";
  ASSERT_OK_AND_ASSIGN(const std::string before, os::ReadFile(path, 100));
  UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (write(file.get(), "-500", 4) != 4) {
    GTEST_SKIP() << "needs CAP_SYS_RESOURCE";
  }
  StartIdle();
  EXPECT_EQ(Shell("cat /proc/1/oom_score_adj /proc/self/oom_score_adj"),
            "0\n0\n");
  ASSERT_OK(os::WriteAll(file.get(), before, path));
}

TEST_P(IsolationTest, WhenStarted_KernelInterfacesAreHiddenOrReadOnly) {
  StartIdle();
  EXPECT_EQ(Shell("wc -c < /proc/interrupts"), "0\n");
  EXPECT_EQ(Shell("ls /sys/firmware"), "");
  EXPECT_THAT(Shell("echo 1 > /proc/sys/kernel/panic"), HasSubstr("Read-only"));
  EXPECT_THAT(Shell("echo 1 > /sys/kernel/mm/ksm/run"), HasSubstr("Read-only"));
  EXPECT_THAT(Shell("mount -t tmpfs x /mnt"), HasSubstr("exit"));
  EXPECT_THAT(Shell("mknod /tmp-disk b 254 0"), HasSubstr("exit"));
}

TEST_P(IsolationTest, WhenStarted_DevicesWorkAndNothingElseIsThere) {
  StartIdle();
  EXPECT_EQ(Shell("ls /dev"),
            "fd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\n"
            "stdout\ntty\nurandom\nzero\n");
  EXPECT_EQ(Shell("head -c 4 /dev/zero | wc -c; echo x > /dev/null; "
                  "head -c 4 /dev/urandom | wc -c; touch /dev/shm/x"),
            "4\n4\n");
}

TEST_P(IsolationTest, WhenStarted_InheritsNoDescriptor) {
  StartIdle();
  // The last is the listing's own.
  EXPECT_EQ(Shell("ls /proc/1/fd"), "0\n1\n2\n");
  EXPECT_EQ(Shell("ls /proc/self/fd"), "0\n1\n2\n3\n");
}

TEST_P(IsolationTest, WhenBuilding_HasDockersRights) {
  StartIdle([](ContainerSpec& s) { s.profile = SecurityProfile::kBuild; });
  EXPECT_THAT(Shell("cat /proc/self/status"),
              AllOf(HasSubstr("CapEff:\t00000000a80425fb"),
                    HasSubstr("NoNewPrivs:\t0"), HasSubstr("Seccomp:\t2")));
  // A node can be made, but the host's disk cannot be read through it; a root
  // of its own cannot even make it.
  if (GetParam().users) {
    EXPECT_THAT(Shell("mknod /disk b 254 0"), HasSubstr("not permitted"));
    return;
  }
  EXPECT_THAT(Shell("mknod /disk b 254 0; head -c 1 /disk"),
              HasSubstr("Permission denied"));
  EXPECT_THAT(Shell("mknod /dev/disk b 254 0; head -c 1 /dev/disk"),
              HasSubstr("Permission denied"));
  EXPECT_EQ(Shell("echo x > /dev/null; head -c 2 /dev/zero | wc -c"), "2\n");
  EXPECT_EQ(Shell("chroot / /bin/echo ok"), "ok\n");
}

TEST_P(IsolationTest, WhenPrivileged_MayMount) {
  world_.SetIds({});
  StartIdle([](ContainerSpec& s) { s.profile = SecurityProfile::kPrivileged; });
  EXPECT_EQ(Shell("mount -t tmpfs x /mnt 2>&1; mount -t tmpfs x /etc; "
                  "ls /etc; grep Seccomp: /proc/self/status")
                .substr(0, 5),
            "mount");
  EXPECT_THAT(Shell("grep Seccomp: /proc/self/status"), HasSubstr("\t0"));
}

TEST_P(IsolationTest, WhenUserIsNamed_RunsWithItsIdsAndHome) {
  StartIdle([](ContainerSpec& s) {
    s.user = "app";
    s.cwd = "/srv/work";
  });
  EXPECT_EQ(Shell("id -u; id -g; id -G; echo $HOME; pwd"),
            "1000\n1000\n1000 44\n/home/app\n/srv/work\n");
  EXPECT_THAT(Shell("grep CapEff /proc/self/status"),
              HasSubstr("0000000000000000"));
  EXPECT_THAT(StartFails([](ContainerSpec& s) { s.user = "nobody"; }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("nobody"), HasSubstr("no such user"))));
  EXPECT_THAT(StartFails([](ContainerSpec& s) { s.user = "4294967296"; }),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(IsolationTest, WhenRootIsReadOnly_OnlyMountsAreWritable) {
  StartIdle([](ContainerSpec& s) {
    s.read_only_root = true;
    s.mounts = {{Mount::Kind::kTmpfs, "", "/tmp"}};
  });
  EXPECT_THAT(Shell("touch /x"), HasSubstr("Read-only"));
  EXPECT_EQ(Shell("touch /tmp/x"), "");
}

TEST_P(IsolationTest, WhenRootIsReadOnly_TheDirectoryIsMadeAllTheSame) {
  StartIdle([](ContainerSpec& s) {
    s.read_only_root = true;
    s.cwd = "/made/for/it";
  });
  EXPECT_EQ(Shell("pwd"), "/made/for/it\n");
  EXPECT_THAT(Shell("touch x"), HasSubstr("Read-only"));
}

TEST_P(IsolationTest, WhenMountsAreGiven_AreThere) {
  const std::string data = world_ / "data";
  mkdir(data.c_str(), 0777);
  ASSERT_OK(os::WriteFileDurably(data + "/f", "text\n", 0644));
  StartIdle([&](ContainerSpec& s) {
    s.mounts = {
        {Mount::Kind::kBind, data, "/data/rw"},
        {Mount::Kind::kBind, data, "/data/ro", true},
        {Mount::Kind::kBind, data + "/f", "/etc/one-file"},
        {Mount::Kind::kTmpfs, "", "/scratch", false, false, 1 << 20, 0700}};
    s.nameservers = {"10.0.0.1"};
    s.search_domains = {"svc.local"};
    s.hosts = {{"db", "10.0.0.9"}};
  });
  EXPECT_EQ(Shell("cat /data/rw/f /data/ro/f /etc/one-file"),
            "text\ntext\ntext\n");
  EXPECT_EQ(Shell("touch /data/rw/new"), "");
  EXPECT_EQ(access((data + "/new").c_str(), F_OK), 0);
  EXPECT_THAT(Shell("touch /data/ro/new2"), HasSubstr("Read-only"));
  EXPECT_THAT(Shell("dd if=/dev/zero of=/scratch/x bs=1M count=2"),
              HasSubstr("No space"));
  EXPECT_EQ(Shell("cat /etc/resolv.conf"),
            "nameserver 10.0.0.1\nsearch svc.local\n");
  EXPECT_THAT(Shell("cat /etc/hosts"), HasSubstr("10.0.0.9\tdb"));
}

TEST_P(IsolationTest, WhenAMountIsTheUsers_EverythingInItIsToo) {
  namespace fs = std::filesystem;
  const std::string data = world_ / "owned";
  fs::create_directories(data + "/..1");
  for (int i = 0; i < 100; ++i) {  // more than one read of the directory
    ASSERT_OK(os::WriteFileDurably(absl::StrCat(data, "/..1/secret-", i),
                                   "text\n", 0400));
  }
  const std::string outside = world_ / "not-owned";
  ASSERT_OK(os::WriteFileDurably(outside, "text\n", 0600));
  fs::create_symlink("..1", data + "/..data");
  fs::create_symlink(outside, data + "/..1/link");
  StartIdle([&](ContainerSpec& s) {
    s.user = "app";
    s.mounts = {{Mount::Kind::kBind, data, "/run/secrets", true},
                {Mount::Kind::kBind, data + "/..1/secret-0", "/one", true}};
    s.mounts[0].owned_by_user = s.mounts[1].owned_by_user = true;
  });
  EXPECT_EQ(Shell("cat /run/secrets/..data/secret-99 /one"), "text\ntext\n");
  struct stat info {};
  for (const std::string& path :
       {data, data + "/..1", data + "/..1/secret-0", data + "/..1/secret-99"}) {
    ASSERT_EQ(lstat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, first_ + 1000u) << path;
    EXPECT_EQ(info.st_gid, first_ + 1000u) << path;
  }
  ASSERT_EQ(lstat(outside.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 0u);
  EXPECT_THAT(Shell("echo x > /one"), HasSubstr("Read-only"));
}

TEST_P(IsolationTest, WhenSomethingOfTheHostIsMissing_SaysWhat) {
  EXPECT_THAT(
      StartFails([](ContainerSpec& s) {
        s.mounts = {{Mount::Kind::kBind, "/no/such/dir", "/x"}};
      }),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/no/such/dir")));
  EXPECT_THAT(StartFails([](ContainerSpec& s) {
                s.network_namespace = "/no/such/netns";
              }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/no/such/netns")));
  EXPECT_THAT(
      StartFails([](ContainerSpec& s) { s.layers = {"/no/such/layer"}; }),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("layer")));
  EXPECT_TRUE(world_.engine().List().empty());
}

TEST_P(IsolationTest, WhenCommandIsNoProgram_SaysWhy) {
  EXPECT_THAT(StartFails([](ContainerSpec& s) { s.args = {"nothing"}; }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("nothing"), HasSubstr("no such file"))));
  EXPECT_THAT(StartFails([](ContainerSpec& s) { s.args = {"/etc/passwd"}; }),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("Permission denied")));
  EXPECT_THAT(StartFails([](ContainerSpec& s) { s.args = {"/bin"}; }),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

// Links of the image must not lead a mount or a file out of the root.
TEST_P(IsolationTest, WhenImageIsHostile_LinksStayInside) {
  const std::string evil = world_ / "evil";
  std::filesystem::create_directories(evil + "/etc");
  const std::string outside = world_ / "outside";
  ASSERT_OK(os::WriteFileDurably(outside, "untouched\n"));
  std::filesystem::create_symlink(outside, evil + "/etc/hosts");
  std::filesystem::create_symlink("../../../../../..", evil + "/data");
  // A link to nowhere, as distributions ship it.
  std::filesystem::create_symlink("../run/resolve/stub.conf",
                                  evil + "/etc/resolv.conf");
  std::filesystem::create_directories(evil + "/var");
  std::filesystem::create_symlink("../../none", evil + "/var/lost");
  std::filesystem::create_symlink("loop", evil + "/loop");
  ContainerSpec spec = world_.Shell("a", "exec sleep 1000");
  spec.layers.push_back(evil);
  spec.nameservers = {"10.0.0.1"};
  spec.mounts = {{Mount::Kind::kTmpfs, "", "/data/deep/dir"},
                 {Mount::Kind::kTmpfs, "", "/var/lost/dir"}};
  ASSERT_OK(world_.engine().Start(spec));
  EXPECT_THAT(os::ReadFile(outside, 100), IsOkAndHolds("untouched\n"));
  EXPECT_EQ(Shell("ls -d /deep/dir /none/dir"), "/deep/dir\n/none/dir\n");
  EXPECT_EQ(Shell("cat /run/resolve/stub.conf"), "nameserver 10.0.0.1\n");
  EXPECT_THAT(StartFails([&](ContainerSpec& s) {
                s.layers.push_back(evil);
                s.mounts = {{Mount::Kind::kTmpfs, "", "/loop/dir"}};
              }),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/loop")));

  for (const char* path : {"/proc", "/sys", "/dev"}) {
    const std::string layer = absl::StrCat(world_ / "link", path);
    std::filesystem::create_directories(std::filesystem::path(layer));
    std::filesystem::create_symlink("/etc", layer + path);
    EXPECT_THAT(
        StartFails([&](ContainerSpec& s) { s.layers.push_back(layer); }),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path)));
  }
}

TEST_P(IsolationTest, WhenUpperIsGiven_OutlivesTheContainer) {
  const std::string upper = world_ / "upper";
  mkdir(upper.c_str(), 0755);
  ContainerSpec spec = world_.Shell("a", "echo built > /result; rm /bin/yes");
  spec.args[2] = "echo built > /result";
  spec.upper_dir = upper;
  ASSERT_OK(world_.engine().Start(spec));
  EXPECT_EQ(world_.AwaitExit("a").exit.code, 0);
  ASSERT_OK(world_.engine().Remove("a"));
  EXPECT_THAT(os::ReadFile(upper + "/result", 100), IsOkAndHolds("built\n"));
  EXPECT_NE(access((upper + ".work").c_str(), F_OK), 0);
}

TEST_P(IsolationTest, WhenThereAreNoLayers_TheRootIsEmpty) {
  EXPECT_THAT(
      StartFails([](ContainerSpec& s) { s.layers.clear(); }),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no such file")));
}

TEST_P(IsolationTest, WhenThereAreManyLayers_TheHighestWins) {
  ContainerSpec spec = world_.Shell("a", "exec cat /which");
  for (int i = 0; i < 100; ++i) {
    const std::string layer = absl::StrCat(world_ / "many", i);
    mkdir(layer.c_str(), 0755);
    ASSERT_OK(
        os::WriteFileDurably(layer + "/which", absl::StrCat(i, "\n"), 0644));
    spec.layers.push_back(layer);
  }
  ASSERT_OK(world_.engine().Start(spec));
  world_.AwaitExit("a");
  EXPECT_EQ(world_.Output("a"), "99\n");
}

}  // namespace
}  // namespace bulwark::engine
