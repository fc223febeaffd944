// Core files, as the kernel writes them, of everything that has to do with
// secrets: there is none, or the plaintext is not in it.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "tests/e2e/plaintext_search.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Names of core files are relative here; a test must not change that.
std::string WhyNoCores() {
  const std::string pattern = ReadFile("/proc/sys/kernel/core_pattern");
  if (!absl::StartsWith(pattern, "core")) {
    return absl::StrCat("this host sends core files elsewhere: ", pattern);
  }
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_max == 0 ? "the hard limit of core files is 0" : "";
}

class CoreDumpTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    // What is started from here on may dump core, into a folder of ours.
    folder_ = new testing::TempDir();
    ASSERT_EQ(chdir((*folder_ / "").c_str()), 0);
    rlimit limit{};
    getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_CORE, &limit), 0);
    Open("e2ecore");
  }
  static void TearDownTestSuite() {
    Close();
    ASSERT_EQ(chdir("/"), 0);
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override {
    Suite::SetUp();
    if (const std::string why = WhyNoCores(); !why.empty()) GTEST_SKIP() << why;
  }

  static std::string Marker(const char* prefix) {
    RealEntropy entropy;
    return absl::StrCat(prefix, "-", NewUid(entropy), "-text");
  }
  static std::string FolderOf(pid_t pid) {
    std::error_code error;
    return std::filesystem::read_symlink(absl::StrCat("/proc/", pid, "/cwd"),
                                         error);
  }
  // Gone, or waiting for its parent to notice.
  static bool HasEnded(pid_t pid) {
    const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
    char state = 'X';
    sscanf(stat.c_str() + stat.rfind(')') + 1, " %c", &state);
    return stat.empty() || state == 'Z' || state == 'X';
  }
  static std::set<std::string> CoresIn(const std::string& folder) {
    std::set<std::string> cores;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename();
      if (absl::StartsWith(name, "core") && entry.is_regular_file()) {
        cores.insert(entry.path());
      }
    }
    return cores;
  }
  // Of the core files that came since `before`, those that hold `text`. All of
  // them are removed.
  static std::vector<std::string> NewCoresThatHold(
      const std::string& folder, const std::set<std::string>& before,
      const std::string& text, int* count) {
    std::vector<std::string> found;
    *count = 0;
    for (const std::string& core : CoresIn(folder)) {
      if (before.contains(core)) continue;
      ++*count;
      if (FileHolds(core, text)) found.push_back(core);
      unlink(core.c_str());
    }
    return found;
  }

  // Crashes the process of the world's that runs `program`: it leaves one core
  // file, without `text`, and another takes its place.
  static void CrashOnce(const std::string& program, const std::string& text) {
    const pid_t pid = world().ProcessOf(program);
    ASSERT_GT(pid, 1);
    const std::string folder = FolderOf(pid);
    ASSERT_FALSE(folder.empty());
    const std::set<std::string> before = CoresIn(folder);
    ASSERT_EQ(kill(pid, SIGSEGV), 0);
    // Its core is written before it ends.
    ASSERT_TRUE(Eventually([&] { return HasEnded(pid); }));
    int count = 0;
    EXPECT_THAT(NewCoresThatHold(folder, before, text, &count), IsEmpty());
    EXPECT_EQ(count, 1) << "of " << folder;
    EXPECT_TRUE(Eventually([&] {
      const pid_t next = world().ProcessOf(program);
      return next > 1 && next != pid;
    }));
  }
  // The child of the daemon that runs restic; 0 if there is none.
  static pid_t ResticOf(pid_t daemon) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string exe =
          std::filesystem::read_symlink(entry.path() / "exe", error);
      if (error || !absl::EndsWith(exe, "/restic")) continue;
      const pid_t pid = std::atoi(entry.path().filename().c_str());
      if (pid > 0 && ParentOf(pid) == daemon) return pid;
    }
    return 0;
  }

  static testing::TempDir* folder_;
};

testing::TempDir* CoreDumpTest::folder_ = nullptr;

// Without this the others would show nothing.
TEST_F(CoreDumpTest, WhenAProgramIsNotProtected_ItsCoreHoldsItsMemory) {
  const std::string planted = Marker("plant");
  const std::string folder = *folder_ / "";
  Background plant({"sh", "-c", absl::StrCat("x=", planted, "; sleep 1000")},
                   world().Path("plant.log"));
  ASSERT_TRUE(
      Eventually([&] { return DumpableMemoryHolds(plant.pid(), planted); }));
  plant.Signal(SIGSEGV);
  ASSERT_EQ(plant.Wait(absl::Seconds(30)), 128 + SIGSEGV);
  EXPECT_TRUE(plant.dumped_core());
  int count = 0;
  EXPECT_FALSE(NewCoresThatHold(folder, {}, planted, &count).empty());
  EXPECT_EQ(count, 1);
}

TEST_F(CoreDumpTest, WhenTheDaemonCrashes_ThereIsNoCore) {
  const std::string marker = Marker("plain");
  Ctl({"secret", "create", "token", "-"}, marker);
  world().Apply(Manifest("reader",
                         "x=$(cat /run/secrets/token); exec sleep 100000",
                         "secrets: [token]\n"));
  ASSERT_TRUE(world().AwaitReady("reader", 1));
  const std::string hex = ReadFile(world().Path("s.key")).substr(0, 64);
  const std::string root_key = absl::HexStringToBytes(hex);
  for (const int signal : {SIGSEGV, SIGABRT}) {
    // It holds keys all the time, in memory that no core file would hold.
    EXPECT_TRUE(MemoryHolds(world().daemon_pid(), root_key));
    EXPECT_FALSE(DumpableMemoryHolds(world().daemon_pid(), root_key));
    EXPECT_FALSE(DumpableMemoryHolds(world().daemon_pid(), hex));
    EXPECT_FALSE(DumpableMemoryHolds(world().daemon_pid(), marker));
    const std::string folder = FolderOf(world().daemon_pid());
    ASSERT_FALSE(folder.empty());
    const std::set<std::string> before = CoresIn(folder);
    world().EndDaemon(signal);
    EXPECT_FALSE(world().daemon_dumped_core());
    EXPECT_EQ(CoresIn(folder), before);
    world().StartDaemon();
  }
  Ctl({"delete", "service", "reader", "--wait"});
  Ctl({"secret", "delete", "token"});
}

// Shims carry the values to their containers; keeper and proxy never see any.
TEST_F(CoreDumpTest, WhenAnotherProcessCrashes_ThePlaintextIsInNoCore) {
  const std::string marker = Marker("plain");
  Ctl({"secret", "create", "token", "-"}, marker);
  world().Apply(Manifest("reader", "exec sleep 100000", "secrets: [token]\n"));
  ASSERT_TRUE(world().AwaitReady("reader", 1));
  const auto ready = world().Ready("reader");
  ASSERT_EQ(ready.size(), 1u);
  // A shim blocks every signal: what it does not hold can be in no core of it.
  const pid_t shim = ParentOf(ready[0].pid);
  ASSERT_GT(shim, 1);
  EXPECT_FALSE(MemoryHolds(shim, marker));
  for (const char* program : {"bulwark-proxy", "bulwark-keeper"}) {
    SCOPED_TRACE(program);
    CrashOnce(program, marker);
  }
  // The container has not noticed any of it.
  ASSERT_TRUE(world().AwaitReady("reader", 1));
  EXPECT_EQ(world().Ready("reader").at(0).pid, ready[0].pid);
  Ctl({"delete", "service", "reader", "--wait"});
  Ctl({"secret", "delete", "token"});
}

// restic has the repository's password for as long as it runs. Go catches most
// signals, so that the limit is what shows that nothing could be written.
TEST_F(CoreDumpTest, WhenResticCrashes_ThereIsNoCore) {
  const std::string marker = Marker("repository");
  Ctl({"secret", "create", "repository", "-"}, marker);
  world().Apply("kind: Volume\nname: data\n");
  Ctl({"run", "-v", "data:/data", busybox(), "sh", "-c", "echo x > /data/x"});
  const std::vector<std::string> backup = {
      "volume",       "backup",          "data",
      "--repository", world().Path("b"), "--password-secret",
      "repository"};
  Ctl(backup);

  Session crashed(world(), backup);
  pid_t restic = 0;
  ASSERT_TRUE(Eventually([&] {
    restic = ResticOf(world().daemon_pid());
    if (restic == 0) return false;
    kill(restic, SIGSTOP);
    if (MemoryHolds(restic, marker)) return true;
    kill(restic, SIGCONT);
    return false;
  })) << crashed.ToString();
  EXPECT_THAT(ReadFile(absl::StrCat("/proc/", restic, "/limits")),
              ::testing::ContainsRegex("Max core file size +0 +0 "));
  const std::string folder = FolderOf(restic);
  ASSERT_FALSE(folder.empty());
  const std::set<std::string> before = CoresIn(folder);
  kill(restic, SIGSEGV);
  kill(restic, SIGCONT);
  EXPECT_EQ(crashed.Wait(), 1) << crashed.ToString();
  EXPECT_EQ(CoresIn(folder), before);
  // What it said of its end has no word of it either.
  EXPECT_THAT(crashed.ToString(), ::testing::Not(HasSubstr(marker)));
  EXPECT_FALSE(FileHolds(world().Path("daemon.log"), marker));

  Ctl(backup);
  Ctl({"volume", "delete", "data", "--wait"});
  Ctl({"secret", "delete", "repository"});
}

// ctl may dump core, but without the value that it has been given.
TEST_F(CoreDumpTest, WhenCtlCrashesWithAValue_ItIsNotInTheCore) {
  const std::string marker = Marker("typed");
  const std::string folder = *folder_ / "";
  const std::string fifo = world().Path("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::string command = "exec";
  for (const std::string& word :
       CtlCommand(world(), {"secret", "create", "typed", "-"})) {
    absl::StrAppend(&command, " '", word, "'");
  }
  Background ctl({"sh", "-c", absl::StrCat(command, " < ", fifo)},
                 world().Path("ctl.log"));
  const UniqueFd in(open(fifo.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(in.ok());
  ASSERT_EQ(write(in.get(), marker.data(), marker.size()),
            static_cast<ssize_t>(marker.size()));
  // It waits for more.
  ASSERT_TRUE(Eventually([&] { return MemoryHolds(ctl.pid(), marker); }));
  EXPECT_FALSE(DumpableMemoryHolds(ctl.pid(), marker));
  const std::set<std::string> before = CoresIn(folder);
  ctl.Signal(SIGSEGV);
  ASSERT_EQ(ctl.Wait(absl::Seconds(30)), 128 + SIGSEGV);
  EXPECT_TRUE(ctl.dumped_core());
  int count = 0;
  EXPECT_THAT(NewCoresThatHold(folder, before, marker, &count), IsEmpty());
  EXPECT_EQ(count, 1);
}

}  // namespace
}  // namespace bulwark::e2e
