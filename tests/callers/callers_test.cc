// Podman and Docker, as Debian ships them, run containers with bulwark-oci.
//
// In a mount and a network namespace of the test's own: what they keep below
// /run and /var/lib goes with it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/unique_fd.h"
#include "tests/e2e/process.h"

namespace bulwark::callers {
namespace {

using e2e::Background;
using e2e::Eventually;
using e2e::Result;
using e2e::Run;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

constexpr char kPort[] = "18080";

std::string Runfile(const std::string& path) {
  const char* base = std::getenv("TEST_SRCDIR");
  CHECK(base != nullptr);
  return absl::StrCat(base, "/bulwark/", path);
}

void LoopbackUp() {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM, 0));
  ifreq request = {};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  CHECK(ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0);
}

// Before any thread.
void EnterNamespaces() {
  CHECK(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0);
  CHECK(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  for (const char* path : {"/run", "/var/lib", "/dev/shm", "/var/tmp"}) {
    CHECK(mount("none", path, "tmpfs", 0, "mode=755") == 0);
  }
  // A place for what is written into /etc, and the ids that Docker's user
  // namespace has.
  std::filesystem::create_directories("/run/etc/upper");
  std::filesystem::create_directories("/run/etc/work");
  CHECK(mount("none", "/etc", "overlay", 0,
              "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work") ==
        0);
  e2e::WriteFile("/etc/subuid", "remapped:100000:65536\n");
  e2e::WriteFile("/etc/subgid", "remapped:100000:65536\n");
  for (const char* file : {"/etc/passwd", "/etc/group"}) {
    const bool user = std::string(file) == "/etc/passwd";
    e2e::WriteFile(file, absl::StrCat(e2e::ReadFile(file), "remapped:x:64000:",
                                      user ? "64000::/:/bin/false\n" : "\n"));
  }
  LoopbackUp();
  std::filesystem::create_directories("/run/rootfs/bin");
  std::filesystem::create_directories("/run/rootfs/www");
  std::filesystem::copy_file("/bin/busybox", "/run/rootfs/bin/busybox");
  for (const char* applet : {"sh", "sleep"}) {
    std::filesystem::create_symlink("busybox",
                                    absl::StrCat("/run/rootfs/bin/", applet));
  }
  e2e::WriteFile("/run/rootfs/www/index.html", "served\n");
  std::filesystem::create_directories("/run/bin");
  // A copy: what the runtime's file is called ends up in records.
  std::filesystem::copy_file(Runfile("engine/oci/bulwark-oci"),
                             "/run/bin/bulwark-oci");
  std::filesystem::create_directories("/run/shared");
}

// One of the two, ready to run the image "box:1".
class Caller {
 public:
  virtual ~Caller() = default;
  // The words before "run", "exec", ….
  virtual Words Prefix() const = 0;
  // Flags of `run` that choose the runtime.
  virtual Words RunFlags() const = 0;
  virtual Words UserNamespaceFlags() const = 0;
  virtual std::string Log() const { return ""; }

  Result Do(const Words& words) const { return Run(All(words)); }
  Result RunBox(const Words& flags, const Words& program) const {
    return Do(RunWords(flags, program));
  }
  // With a terminal, which script(1) makes.
  Result OnTerminal(const Words& words) const {
    std::vector<std::string> quoted;
    for (const std::string& word : All(words)) {
      quoted.push_back(absl::StrCat("'", word, "'"));
    }
    return Run({"script", "-qec", absl::StrJoin(quoted, " "), "/dev/null"});
  }
  Words RunWords(const Words& flags, const Words& program) const {
    Words words = {"run", "--ulimit", "nofile=512:512"};
    const Words mine = RunFlags();
    words.insert(words.end(), mine.begin(), mine.end());
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back("box:1");
    words.insert(words.end(), program.begin(), program.end());
    return words;
  }

 private:
  Words All(const Words& words) const {
    Words all = Prefix();
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
};

void Import(const Caller& caller) {
  const Result tar =
      Run({"tar", "-C", "/run/rootfs", "-cf", "/run/rootfs.tar", "."});
  CHECK(tar.ok());
  const Result imported = caller.Do({"import", "/run/rootfs.tar", "box:1"});
  if (imported.ok()) return;
  fprintf(stderr, "%s%s\n", imported.ToString().c_str(), caller.Log().c_str());
  CHECK(imported.ok());
}

class Podman final : public Caller {
 public:
  Podman() { Import(*this); }
  Words Prefix() const override {
    return {"podman",
            "--root",
            "/var/lib/podman",
            "--runroot",
            "/run/podman",
            "--tmpdir",
            "/run/podman-tmp",
            "--network-config-dir",
            "/run/podman-net",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
            "--storage-driver",
            "vfs",
            "--runtime",
            "/run/bin/bulwark-oci"};
  }
  // Where systemd runs, its default is the journal, whose socket is not in our
  // own /run.
  Words RunFlags() const override {
    return {"--ulimit", "nproc=512:512", "--log-driver", "k8s-file"};
  }
  Words UserNamespaceFlags() const override {
    return {"--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"};
  }
};

class Docker final : public Caller {
 public:
  Docker() {
    daemon_ = std::make_unique<Background>(
        Words{"dockerd", "--data-root", "/var/lib/docker-test", "--exec-root",
              "/run/docker-test", "--pidfile", "/run/docker-test.pid", "-H",
              kHost, "--storage-driver", "vfs", "--add-runtime",
              "bulwark=/run/bin/bulwark-oci", "--default-runtime", "bulwark",
              "--userns-remap", "remapped"},
        kLog);
    const bool up = Eventually([&] { return Do({"version"}).ok(); });
    if (!up) fprintf(stderr, "%s\n", Log().c_str());
    CHECK(up);
    Import(*this);
  }
  ~Docker() override {
    daemon_->Signal(SIGTERM);
    daemon_->Wait(absl::Seconds(30));
  }
  Words Prefix() const override { return {"docker", "-H", kHost}; }
  Words RunFlags() const override { return {}; }
  // All of this daemon's are in one.
  Words UserNamespaceFlags() const override { return {}; }
  std::string Log() const override { return e2e::ReadFile(kLog); }

 private:
  static constexpr char kHost[] = "unix:///run/docker-test.sock";
  static constexpr char kLog[] = "/run/docker-test.log";
  std::unique_ptr<Background> daemon_;
};

class CallersTest : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() { callers_ = new Callers(); }
  static void TearDownTestSuite() { delete callers_; }

  const Caller& caller() { return callers_->Get(GetParam()); }

 private:
  // Each is started when it is first asked for.
  class Callers {
   public:
    const Caller& Get(const std::string& name) {
      std::unique_ptr<Caller>& caller = callers_[name];
      if (caller == nullptr && name == "podman") {
        caller = std::make_unique<Podman>();
      } else if (caller == nullptr) {
        caller = std::make_unique<Docker>();
      }
      return *caller;
    }

   private:
    std::map<std::string, std::unique_ptr<Caller>> callers_;
  };
  static Callers* callers_;
};

CallersTest::Callers* CallersTest::callers_ = nullptr;

TEST_P(CallersTest, WhenAProgramEnds_ItsOutputAndStatusArrive) {
  const Result said = caller().RunBox({"--rm"}, {"sh", "-c", "echo said; id"});
  EXPECT_TRUE(said.ok()) << said.ToString() << caller().Log();
  EXPECT_THAT(said.out, HasSubstr("said\nuid=0"));
  EXPECT_EQ(caller().RunBox({"--rm"}, {"sh", "-c", "exit 7"}).code, 7);
  const Result missing = caller().RunBox({"--rm"}, {"nosuchprogram"});
  EXPECT_EQ(missing.code, 127) << missing.ToString();
  EXPECT_THAT(missing.err, HasSubstr("nosuchprogram"));
  const Result directory = caller().RunBox({"--rm"}, {"/bin"});
  EXPECT_EQ(directory.code, 126) << directory.ToString();
}

TEST_P(CallersTest, WhenATerminalIsWanted_TheProgramHasOne) {
  const Result result = caller().OnTerminal(
      caller().RunWords({"--rm", "-it"}, {"sh", "-c", "tty; echo ends"}));
  EXPECT_TRUE(result.ok()) << result.ToString() << caller().Log();
  EXPECT_THAT(result.out, HasSubstr("/dev/pts/0"));
  EXPECT_THAT(result.out, HasSubstr("ends"));
}

TEST_P(CallersTest, WhenLimitsAndMountsAreSet_TheyHold) {
  e2e::WriteFile("/run/shared/file", "from the host\n");
  const Result result = caller().RunBox(
      {"--rm", "--read-only", "--memory", "32m", "-v",
       "/run/shared:/shared:ro"},
      {"sh", "-c",
       "cat /shared/file; touch /x || echo root is sealed; touch /shared/x || "
       "echo mount is sealed; cat /sys/fs/cgroup/memory/"
       "memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"});
  EXPECT_TRUE(result.ok()) << result.ToString() << caller().Log();
  for (const char* part :
       {"from the host", "root is sealed", "mount is sealed", "33554432"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST_P(CallersTest, WhenInAUserNamespace_RootIsNobodyOutside) {
  Words flags = {"--rm"};
  const Words more = caller().UserNamespaceFlags();
  flags.insert(flags.end(), more.begin(), more.end());
  const Result result = caller().RunBox(
      flags, {"sh", "-c", "cat /proc/self/uid_map; touch /x && ls -ln /x"});
  EXPECT_TRUE(result.ok()) << result.ToString() << caller().Log();
  EXPECT_THAT(result.out, HasSubstr(" 100000 "));
  EXPECT_FALSE(absl::StrContains(result.out, "4294967295"));
}

TEST_P(CallersTest, WhenAPortIsPublished_ItIsReached) {
  const Result started =
      caller().RunBox({"-d", "--name", "web", "-p", absl::StrCat(kPort, ":80")},
                      {"busybox", "httpd", "-f", "-h", "/www"});
  ASSERT_TRUE(started.ok()) << started.ToString() << caller().Log();
  Result got;
  EXPECT_TRUE(Eventually([&] {
    got = e2e::Run({"curl", "-s", "--max-time", "2",
                    absl::StrCat("http://127.0.0.1:", kPort, "/")});
    return got.out == "served\n";
  })) << got.ToString();
  EXPECT_TRUE(caller().Do({"rm", "-f", "web"}).ok());
}

TEST_P(CallersTest, WhenAContainerRuns_ItCanBeDrivenInEveryWay) {
  const auto run = [&](const Words& words) {
    Result result = caller().Do(words);
    EXPECT_TRUE(result.ok()) << absl::StrJoin(words, " ") << ": "
                             << result.ToString() << caller().Log();
    return result;
  };
  const Result started =
      caller().RunBox({"-d", "--name", "box"}, {"sleep", "600"});
  ASSERT_TRUE(started.ok()) << started.ToString() << caller().Log();
  EXPECT_EQ(run({"exec", "box", "sh", "-c", "echo in $0"}).out, "in sh\n");
  EXPECT_EQ(caller().Do({"exec", "box", "sh", "-c", "exit 9"}).code, 9);
  const Result terminal =
      caller().OnTerminal({"exec", "-it", "box", "sh", "-c", "tty"});
  EXPECT_THAT(terminal.out, HasSubstr("/dev/pts/")) << terminal.ToString();
  run({"pause", "box"});
  EXPECT_THAT(caller().Do({"ps", "-a"}).out,
              ::testing::ContainsRegex("[Pp]aused"));
  run({"unpause", "box"});
  EXPECT_THAT(run({"top", "box"}).out, HasSubstr("sleep"));
  run({"update", "--memory", "64m", "--memory-swap", "64m", "box"});
  run({"stop", "-t", "1", "box"});
  run({"start", "box"});
  run({"kill", "box"});
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(caller().Do({"ps", "-a"}).out, "Exited (137)");
  }));
  run({"rm", "-f", "box"});
}

TEST_P(CallersTest, WhenMemoryRunsOut_ItIsToldFromAKill) {
  const Result result = caller().RunBox(
      {"--name", "oom", "--memory", "16m", "--memory-swap", "16m"},
      {"sh", "-c", "x=a; while true; do x=$x$x; done"});
  EXPECT_EQ(result.code, 137) << result.ToString();
  // Podman's conmon finds that out by itself, and not where version 1 has the
  // memory controller beside a version 2 hierarchy, with any runtime.
  if (GetParam() != std::string("podman")) {
    const Result told =
        caller().Do({"inspect", "--format", "{{.State.OOMKilled}}", "oom"});
    EXPECT_EQ(told.out, "true\n");
  }
  EXPECT_TRUE(caller().Do({"rm", "-f", "oom"}).ok());
}

INSTANTIATE_TEST_SUITE_P(All, CallersTest,
                         ::testing::Values("podman", "docker"),
                         [](const auto& info) {
                           return std::string(info.param);
                         });

}  // namespace
}  // namespace bulwark::callers

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  bulwark::callers::EnterNamespaces();
  return RUN_ALL_TESTS();
}
