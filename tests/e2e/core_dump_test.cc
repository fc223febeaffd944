// Core files, as the kernel writes them, of everything that has to do with
// secrets: there is none, or the plaintext is not in it.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

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
  static pid_t ParentOf(pid_t pid) {
    const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
    int parent = 0;
    sscanf(stat.c_str() + stat.rfind(')') + 1, " %*c %d", &parent);
    return parent;
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
  const pid_t proxy = world().ProcessOf("bulwark-proxy");
  ASSERT_GT(proxy, 1);
  const std::string folder = FolderOf(proxy);
  ASSERT_FALSE(folder.empty());
  const std::set<std::string> before = CoresIn(folder);
  ASSERT_EQ(kill(proxy, SIGSEGV), 0);
  // Its core is written before it ends.
  ASSERT_TRUE(Eventually([&] { return HasEnded(proxy); }));
  int count = 0;
  EXPECT_THAT(NewCoresThatHold(folder, before, marker, &count), IsEmpty());
  ASSERT_TRUE(world().AwaitReady("reader", 1));
  Ctl({"delete", "service", "reader", "--wait"});
  Ctl({"secret", "delete", "token"});
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
