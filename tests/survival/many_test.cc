// Very many containers at once: started, listed, measured, taken over by the
// next daemon, and stopped, in a memory that is bounded.
//
// CONTAINERS sets how many (default 100, 1000 at most; `CONTAINERS=1000
// tools/test survival`). Times are printed, not judged. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "tests/e2e/suite.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {
namespace {

constexpr int kMiB = 1024;                    // in kB
constexpr int64_t kDaemonFloor = 160 * kMiB;  // what it has without any
constexpr int64_t kDaemonEach = 128;          // kB
constexpr absl::Duration kLongest = absl::Minutes(4);

int Count() {
  const char* text = std::getenv("CONTAINERS");
  int value = 100;
  if (text != nullptr && !absl::SimpleAtoi(text, &value)) value = 100;
  return std::min(value, 1000);
}

int64_t ResidentKb(pid_t pid) {
  const std::string status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  const size_t at = status.find("VmRSS:");
  return at == std::string::npos ? 0 : std::atoll(status.c_str() + at + 6);
}

class ManyTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("many"); }
  static void TearDownTestSuite() { Close(); }

  // Prints how long `action` takes.
  template <typename Action>
  static void Timed(const std::string& what, Action action) {
    RealClock clock;
    const absl::Duration begin = clock.Steady();
    action();
    const double ms = absl::ToDoubleMilliseconds(clock.Steady() - begin);
    printf("%s: %.0f ms, %.2f ms for each of %d\n", what.c_str(), ms,
           ms / Count(), Count());
    fflush(stdout);
  }
  static void ExpectBounded() {
    const int64_t resident = ResidentKb(world().daemon_pid());
    printf("bulwarkd: %lld kB\n", static_cast<long long>(resident));
    EXPECT_LT(resident, kDaemonFloor + kDaemonEach * Count());
  }
  static std::set<int> Pids() {
    std::set<int> pids;
    for (const ReplicaInfo& r : world().Ready("many")) pids.insert(r.pid);
    return pids;
  }
};

TEST_F(ManyTest, WhenThereAreVeryMany_TheyStartAreTakenOverAndStop) {
  Timed("start", [] {
    ASSERT_TRUE(world()
                    .Apply(Manifest("many", "exec sleep 7317001",
                                    absl::StrCat("replicas: ", Count(), "\n")))
                    .ok());
    ASSERT_TRUE(world().AwaitReady("many", Count(), kLongest))
        << world().Ready("many").size() << " are ready";
  });
  const std::set<int> pids = Pids();
  ASSERT_EQ(static_cast<int>(pids.size()), Count());
  ExpectBounded();
  Timed("list", [] { Ctl({"ps"}); });
  Timed("stats", [] {
    const Result stats = Ctl({"top"});
    EXPECT_NE(stats.out.find("many"), std::string::npos);
  });

  world().KillDaemon();
  Timed("take over", [] {
    world().LaunchDaemon();
    world().AwaitDaemon();
  });
  ASSERT_TRUE(world().AwaitReady("many", Count(), kLongest));
  EXPECT_EQ(Pids(), pids);
  ExpectBounded();

  Timed("stop", [] {
    const Result result =
        world().Ctl({"delete", "service", "many", "--wait"}, kLongest);
    EXPECT_TRUE(result.ok()) << result.ToString();
  });
  for (const int pid : pids) {
    EXPECT_NE(kill(pid, 0), 0) << pid << " runs";
  }
}

}  // namespace
}  // namespace bulwark::e2e
