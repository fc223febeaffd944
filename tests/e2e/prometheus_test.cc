// A real Prometheus on a live daemon: each query of the dashboards and each
// alert answers, and moves when the fault that it is there for is made. The
// faults are of services of their own and made side by side, as far as they
// harm nobody else.
#include "tests/e2e/prometheus.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <iterator>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "store/objects.h"
#include "tests/e2e/disk.h"
#include "tests/e2e/prometheus_faults.h"
#include "tests/e2e/prometheus_records.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Values = Prometheus::Values;

constexpr absl::Duration kMoveTimeout = absl::Seconds(90);
constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kDisk = 1200 * kMiB;
// Less than an alert wants, and more than what new objects need.
constexpr int64_t kLittle = 90 * kMiB;

// Made one after another, each by a test of its own.
const std::set<std::string>& AloneFaults() {
  static const auto& faults = *new std::set<std::string>{
      "descriptors", "slow_disk",     "no_space",   "grow_disk",
      "busy_pulls",  "bad_record",    "old_backup", "lost_zone",
      "daemon_down", "proxy_stopped", "sealed"};
  return faults;
}

// Whoever else works on this host may make them fire at any time.
bool IsOfTheHost(const std::string& alert) {
  return alert == "BulwarkNodePressure" || alert == "BulwarkStoreSlow" ||
         alert == "BulwarkNodeMemoryLow";
}

// What a query must do once its fault is made.
struct Expectation {
  std::string where;
  std::string expr;
  std::string fault;
  std::string way;  // "up", "down", "change"; "data": have an answer
  Values before;
  absl::Time since;  // of `before`
};

bool HasMoved(const Expectation& e, const Values& now) {
  constexpr double kSmall = 1e-9;
  if (e.way == "up") return Sum(now) > Sum(e.before) + kSmall;
  if (e.way == "down") return Sum(now) < Sum(e.before) - kSmall;
  if (e.way == "change") return !now.empty() && now != e.before;
  return !now.empty();
}

class PrometheusTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = new World("e2eprom");
    std::filesystem::create_directories(world_->Path("s"));
    disk_ = new LoopDisk(world_->Path("disk"), world_->Path("s"), kDisk);
    ballast_ = new Ballast(world_->Path("s"));
    leaks_ = world_->LeakReport();  // the mount
    world_->StartRegistry();
    const std::string busybox = world_->PushBusybox("1");
    faults_ = new Faults(*world_, busybox, world_->PushNginx("1", "v1"));
    world_->StartDaemon();
    TakeProcessors();
    prometheus_ = new Prometheus(*world_);
    queries_ = Json::parse(ReadFile(World::Runfile("dashboards/queries.json")));
  }

  static void TearDownTestSuite() {
    if (::testing::UnitTest::GetInstance()->current_test_suite()->Failed()) {
      fprintf(stderr, "%s\n%s\n", world_->DaemonLog().c_str(),
              prometheus_->Log().c_str());
    }
    delete faults_;
    delete ballast_;
    delete prometheus_;
    world_->Teardown();
    EXPECT_EQ(world_->Leaked(leaks_), "");
    delete disk_;
    delete world_;
  }

  // Who shall burn time has to get some, whoever else works on this host.
  static void TakeProcessors() {
    const std::string cgroups = "/sys/fs/cgroup/";
    for (const auto& [file, value] :
         {std::pair("cpu/e2eprom/cpu.shares", "100000"),
          std::pair("e2eprom/cpu.weight", "10000")}) {
      if (access((cgroups + file).c_str(), F_OK) == 0) {
        WriteFile(cgroups + file, value);
      }
    }
  }

  static World& world() { return *world_; }
  static Prometheus& prometheus() { return *prometheus_; }

  static Values Ask(const std::string& expr) {
    const absl::StatusOr<Values> values = prometheus().Query(expr);
    EXPECT_TRUE(values.ok()) << values.status();
    return values.ok() ? *values : Values();
  }
  static double Number(const std::string& expr) { return Sum(Ask(expr)); }

  // Whether it has at any time since its fault.
  static bool HasMovedSince(const Expectation& e) {
    const auto history = prometheus().History(e.expr, e.since);
    EXPECT_TRUE(history.ok()) << history.status();
    return history.ok() && std::any_of(history->begin(), history->end(),
                                       [&](const Values& values) {
                                         return HasMoved(e, values);
                                       });
  }

  // The panels' queries for the service of their fault.
  static std::list<Expectation> Panels();
  static std::list<Expectation> Alerts();
  // Asks all until each has moved at any time since its fault; returns those
  // that have not, a line each.
  static std::string AwaitMoves(std::list<Expectation> pending,
                                absl::Duration timeout = kMoveTimeout);
  static std::list<Expectation> WithFault(const std::list<Expectation>& all,
                                          const std::string& fault) {
    std::list<Expectation> some;
    for (const Expectation& e : all) {
      if (e.fault == fault) some.push_back(e);
    }
    return some;
  }

  // As of now.
  static std::list<Expectation> Alone(const std::string& fault) {
    std::list<Expectation> some = WithFault(expectations_, fault);
    EXPECT_FALSE(some.empty()) << fault;
    for (Expectation& e : some) {
      e.before = Ask(e.expr);
      e.since = WallNow();
    }
    return some;
  }

  static inline World* world_ = nullptr;
  static inline LoopDisk* disk_ = nullptr;
  static inline Ballast* ballast_ = nullptr;
  static inline Faults* faults_ = nullptr;
  static inline Prometheus* prometheus_ = nullptr;
  static inline std::string leaks_;
  static inline Json queries_;
  // Everything with what it said before its fault.
  static inline std::list<Expectation> expectations_;
};

std::list<Expectation> PrometheusTest::Panels() {
  std::list<Expectation> all;
  for (const Json& query : queries_["panels"]) {
    Expectation e;
    e.where = query["where"];
    e.fault = query["fault"];
    e.way = e.fault.empty() ? "data" : query["way"].get<std::string>();
    e.expr = absl::StrReplaceAll(
        query["expr"].get<std::string>(),
        {{"SELECT", absl::StrCat("project=~\"default\",service=~\"",
                                 Faults::VictimOf(e.fault), "\"")},
         {"WINDOW", "10s"}});
    all.push_back(std::move(e));
  }
  return all;
}

std::list<Expectation> PrometheusTest::Alerts() {
  std::list<Expectation> all;
  for (const Json& alert : queries_["alerts"]) {
    Expectation e;
    e.where = alert["name"];
    e.fault = alert["fault"];
    e.way = "data";
    e.expr = e.fault.empty() ? alert["data"] : alert["expr"];
    // As the panels: what was a while ago counts no more.
    e.expr = std::regex_replace(e.expr, std::regex("\\[[0-9]+m\\]"), "[10s]");
    all.push_back(std::move(e));
  }
  return all;
}

std::string PrometheusTest::AwaitMoves(std::list<Expectation> pending,
                                       absl::Duration timeout) {
  Eventually(
      [&] {
        pending.remove_if(
            [](const Expectation& e) { return HasMovedSince(e); });
        if (!pending.empty()) Pause(absl::Milliseconds(500));
        return pending.empty();
      },
      timeout);
  std::vector<std::string> left;
  for (const Expectation& e : pending) {
    left.push_back(absl::StrCat(e.where, " [", e.fault, " ", e.way, "] ",
                                e.expr, ": ", Sum(e.before), " -> ",
                                Sum(Ask(e.expr))));
  }
  return absl::StrJoin(left, "\n");
}

TEST_F(PrometheusTest, WhenServicesRun_EachQueryAnswersAndNoAlertFires) {
  ASSERT_TRUE(Eventually([] { return Number("up") == 1; }));
  const std::list<Expectation> panels = Panels();
  std::list<Expectation> applied = WithFault(panels, "apply");
  for (Expectation& e : applied) {
    e.before = Ask(e.expr);
    e.since = WallNow();
  }

  faults_->DeclareBaseline();
  ASSERT_TRUE(Eventually(
      [] {
        return Number(
                   "sum(bulwark_service_rollout_state{state=\"complete\"})") ==
                   Faults::kServices &&
               Number(
                   "sum(bulwark_service_condition{condition=\"Available\"})") ==
                   Faults::kServices &&
               Number("count(bulwark_volume_used_bytes)") == 1 &&
               Number("count(bulwark_autoscaler_metric_target)") == 2 &&
               Number("count(bulwark_cron_job_next_schedule_time_seconds)") ==
                   1;
      },
      absl::Seconds(60)))
      << world().Ctl({"get", "services"}).out;
  EXPECT_EQ(AwaitMoves(applied), "");

  // Rates need a while of quiet.
  Pause(absl::Seconds(8));
  const absl::Time now = WallNow();
  for (Expectation e : Alerts()) {
    e.since = now;
    if (!e.fault.empty() && !IsOfTheHost(e.where)) {
      EXPECT_THAT(Ask(e.expr), IsEmpty()) << e.where;
    }
    expectations_.push_back(std::move(e));
  }
  for (Expectation e : panels) {
    if (e.fault == "apply") continue;
    e.before = Ask(e.expr);
    e.since = now;
    expectations_.push_back(std::move(e));
  }
}

TEST_F(PrometheusTest, WhenFaultsAreMade_EachQueryMovesAndEachAlertFires) {
  ASSERT_FALSE(expectations_.empty());
  faults_->MakeAll();
  ballast_->Leave(kLittle);
  std::list<Expectation> now = expectations_;
  now.remove_if(
      [](const Expectation& e) { return AloneFaults().count(e.fault) > 0; });
  // Cron jobs whose minute has come.
  for (const char* each :
       {"sum(bulwark_cron_job_last_success_time_seconds{cron_job=\"tick\"})",
        "sum(bulwark_job_succeeded{job_name=~\"tick-.*\"})",
        "sum(bulwark_job_failed{job_name=~\"trips-.*\"})"}) {
    now.push_back({each, each, "cron", "up", {}, WallNow()});
  }
  EXPECT_EQ(AwaitMoves(now), "");
  faults_->EndLoad();
  ballast_->Free();
}

rlim_t OpenFiles(pid_t pid) {
  const std::filesystem::directory_iterator files(
      absl::StrCat("/proc/", pid, "/fd"));
  return static_cast<rlim_t>(std::distance(begin(files), end(files)));
}

TEST_F(PrometheusTest, WhenDescriptorsRunOut_AnAlertSaysSo) {
  const std::list<Expectation> scarce = Alone("descriptors");
  const pid_t daemon = world().daemon_pid();
  rlimit old{};
  ASSERT_EQ(prlimit(daemon, RLIMIT_NOFILE, nullptr, &old), 0);
  // What it has open still changes after the faults: the limit follows it.
  std::atomic<bool> done = false;
  std::thread follower([&] {
    while (!done) {
      rlimit low = old;
      low.rlim_cur = OpenFiles(daemon) * 23 / 20;
      prlimit(daemon, RLIMIT_NOFILE, &low, nullptr);
      Pause(absl::Milliseconds(500));
    }
  });
  const std::string silent = AwaitMoves(scarce);
  done = true;
  follower.join();
  EXPECT_EQ(prlimit(daemon, RLIMIT_NOFILE, &old, nullptr), 0);
  EXPECT_EQ(silent, "");
}

TEST_F(PrometheusTest, WhenTheDiskIsSlow_AnAlertSaysSo) {
  std::string silent;
  const std::list<Expectation> slow = Alone("slow_disk");
  // Those that wait for the disk write something in between.
  for (int i = 0; i < 15; ++i) {
    disk_->Freeze(absl::Seconds(1));
    silent = AwaitMoves(slow, absl::Milliseconds(300));
    if (silent.empty()) break;
  }
  EXPECT_EQ(silent, "");
}

TEST_F(PrometheusTest, WhenTheDiskTakesNoMoreFiles_AnAlertSaysSo) {
  const std::list<Expectation> full = Alone("no_space");
  ballast_->TakeInodes();
  std::string silent = "nothing was asked";
  // The store needs a new file now and then.
  for (int i = 0; i < 200 && !silent.empty(); ++i) {
    if (faults_->WriteMuch()) continue;
    silent = AwaitMoves(full, absl::Seconds(1));
  }
  EXPECT_EQ(silent, "");
  ballast_->Free();
  EXPECT_TRUE(Eventually([] { return faults_->WriteMuch(); }));
}

TEST_F(PrometheusTest, WhenTheDiskGrows_TheHostHasMore) {
  const std::list<Expectation> larger = Alone("grow_disk");
  disk_->Grow();
  EXPECT_EQ(AwaitMoves(larger), "");
}

TEST_F(PrometheusTest, WhenPullsHang_OthersWait) {
  const std::list<Expectation> waiting = Alone("busy_pulls");
  faults_->HoldPulls();
  EXPECT_EQ(AwaitMoves(waiting), "");
  faults_->ReleasePulls();
}

// What cannot be moved without harm to others: its value is right, and an alert
// compares it with its threshold.
TEST_F(PrometheusTest, WhenNothingCanMoveIt_IsWhatTheKernelSays) {
  struct sysinfo host {};
  ASSERT_EQ(sysinfo(&host), 0);
  EXPECT_EQ(Number("bulwark_node_memory_size_bytes"),
            static_cast<double>(host.totalram) * host.mem_unit);
  for (const Json& alert : queries_["alerts"]) {
    if (!alert["fault"].get<std::string>().empty()) continue;
    const std::string expr = alert["expr"], data = alert["data"];
    ASSERT_TRUE(absl::StartsWith(expr, data + " < ")) << expr;
    const double now = Number(data);
    EXPECT_THAT(Ask(absl::StrCat(data, " < ", now * 1.5)), Not(IsEmpty()));
    EXPECT_THAT(Ask(absl::StrCat(data, " < ", now / 1.5)), IsEmpty());
  }
}

TEST_F(PrometheusTest, WhenScraped_PromtoolFindsNothingWrong) {
  const std::string address =
      absl::StrCat("http://127.0.0.1:", Prometheus::kTargetPort, "/metrics");
  const Result metrics = e2e::Run({"curl", "-sf", address});
  ASSERT_TRUE(metrics.ok());
  const Result checked = e2e::Run({"promtool", "check", "metrics"},
                                  absl::Seconds(30), metrics.out);
  EXPECT_TRUE(checked.ok()) << checked.ToString();
  EXPECT_EQ(checked.out + checked.err, "");
  for (const char* console : {"overview", "service", "node", "proxy"}) {
    EXPECT_THAT(prometheus().Get(absl::StrCat("/consoles/", console, ".html")),
                HasSubstr("<option value=\"steady\">steady</option>"));
  }
}

// Records that are spoiled, old or strange, for want of days to wait for them.
TEST_F(PrometheusTest, WhenProxyAndDaemonStop_AlertsSaySo) {
  const std::vector<ReplicaInfo> steady = world().Ready("steady");
  ASSERT_FALSE(steady.empty());
  const int proxy = world().ProcessOf("bulwark-proxy");
  ASSERT_GT(proxy, 0);
  const std::list<Expectation> held = Alone("proxy_stopped");
  const std::list<Expectation> down = Alone("daemon_down");
  ASSERT_EQ(kill(proxy, SIGSTOP), 0);
  const std::string stopped = AwaitMoves(held);
  EXPECT_EQ(kill(proxy, SIGCONT), 0);
  EXPECT_EQ(stopped, "");
  world().StopDaemon();
  EXPECT_EQ(AwaitMoves(down), "");

  ChangedRecords records(world());
  records.Spoil(store::ObjectKey("service", "default", "roll"));
  records.Spoil(store::ObjectKey("replica", "default", steady[0].name));
  records.AgeBackup(Faults::kVolume, absl::Hours(72));
  records.LoseTimeZone(Faults::kCronJob, absl::Hours(1));
  records.HideKey();
  world().StartDaemon();
  std::string silent;
  for (int i = 0; i < 60; ++i) {
    EXPECT_FALSE(world().Ctl({"get", "service", "roll"}).ok());
    silent = "";
    for (const char* fault :
         {"bad_record", "old_backup", "lost_zone", "sealed"}) {
      silent +=
          AwaitMoves(WithFault(expectations_, fault), absl::Milliseconds(300));
    }
    if (silent.empty()) break;
  }
  EXPECT_EQ(silent, "");

  world().StopDaemon();
  records.PutBack();
  world().StartDaemon();
  EXPECT_TRUE(Eventually([] {
    return Number("up - bulwark_daemon_degraded - bulwark_secrets_sealed") == 1;
  }));
}

}  // namespace
}  // namespace bulwark::e2e
