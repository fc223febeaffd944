// A real Prometheus on a live daemon: each query of the dashboards and each
// alert answers, and moves when the fault that it is there for is made. The
// faults are of services of their own and made side by side.
#include "tests/e2e/prometheus.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tests/e2e/suite.h"
#include "tests/e2e/traffic.h"

namespace bulwark::e2e {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Values = Prometheus::Values;

constexpr absl::Duration kMoveTimeout = absl::Seconds(90);
// Of the baseline.
constexpr int kServices = 11;
constexpr int kSteadyPort = 18081;
constexpr int kIdlePort = 18082;
constexpr int kRefusePort = 18083;

// What a query must do once its fault is made.
struct Expectation {
  std::string where;
  std::string expr;
  std::string fault;
  std::string way;  // "up", "down", "change"; "data": have an answer
  Values before;
  absl::Time since;  // of `before`
};

double Sum(const Values& values) {
  double sum = 0;
  for (const auto& [labels, value] : values) {
    if (std::isfinite(value)) sum += value;
  }
  return sum;
}

// Series of what the daemon does not serve yet: nobody can ask for them.
constexpr const char* kNotServed[] = {"bulwark_volume_", "bulwark_job_",
                                      "bulwark_cron_job_"};

bool IsServed(const std::string& expr) {
  return std::none_of(
      std::begin(kNotServed), std::end(kNotServed),
      [&](const char* series) { return absl::StrContains(expr, series); });
}

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
    // Filled up later.
    ASSERT_EQ(mount("none", world_->Path("s").c_str(), "tmpfs", 0, "size=800m"),
              0);
    leaks_ = world_->LeakReport();  // the mount
    world_->StartRegistry();
    busybox_ = world_->PushBusybox("1");
    nginx_ = world_->PushNginx("1", "v1");
    world_->StartDaemon();
    prometheus_ = new Prometheus(*world_);
    queries_ = Json::parse(ReadFile(World::Runfile("dashboards/queries.json")));
  }

  static void TearDownTestSuite() {
    if (HasFailure()) {
      fprintf(stderr, "%s\n%s\n", world_->DaemonLog().c_str(),
              prometheus_->Log().c_str());
    }
    traffic_.clear();
    delete prometheus_;
    world_->Teardown();
    EXPECT_EQ(world_->Leaked(leaks_), "");
    EXPECT_EQ(umount(world_->Path("s").c_str()), 0);
    delete world_;
  }

  static World& world() { return *world_; }
  static Prometheus& prometheus() { return *prometheus_; }

  static std::string Service(const std::string& name,
                             const std::string& command,
                             const std::string& more = "") {
    return absl::StrCat("kind: Service\nname: ", name, "\nimage: ", busybox_,
                        "\ncommand: [sh, -c, '", command,
                        "']\nstop: {timeout: 1s}\n", more, "\n---\n");
  }
  static std::string Rollout(const std::string& more = "") {
    return absl::StrCat("rollout: {minHealthyTime: 100ms", more, "}\n");
  }
  static std::string Baseline();
  static void MakeFaults();
  // Runs a command in the first replica.
  static void Exec(const std::string& service, const std::string& command) {
    const Result result =
        world().Ctl({"exec", service, "--", "sh", "-c", command});
    EXPECT_TRUE(result.ok()) << result.ToString();
  }
  static void Apply(const std::string& manifest) {
    const Result result = world().Apply(manifest);
    EXPECT_TRUE(result.ok()) << result.ToString();
  }

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

  static inline World* world_ = nullptr;
  static inline Prometheus* prometheus_ = nullptr;
  static inline std::string leaks_, busybox_, nginx_;
  static inline Json queries_;
  static inline std::list<Traffic> traffic_;
  // Everything with what it said before its fault.
  static inline std::list<Expectation> expectations_;
};

constexpr char kServe[] =
    "mkdir -p /www; touch /www/ok; exec httpd -f -p 80 -h /www";
constexpr char kSleep[] = "exec sleep 100000";
constexpr char kProbe[] = "health: {http: \":80/ok\", period: 200ms}\n";

// Which service a fault is made to.
std::string VictimOf(const std::string& fault) {
  static const auto& victims = *new std::map<std::string, std::string>{
      {"load", "steady"},   {"scale", "wide"},  {"rollout", "roll"},
      {"kill", "victim"},   {"crash", "crash"}, {"rollback", "back"},
      {"oom", "oom"},       {"burn", "burn"},   {"no_backend", "idle"},
      {"refuse", "refuse"}, {"stuck", "stuck"}, {"no_image", "lost"},
      {"autoscale", "auto"}};
  auto it = victims.find(fault);
  return it == victims.end() ? ".*" : it->second;
}

std::string PrometheusTest::Baseline() {
  const std::string ports = "ports: [\"PORT:80\"]\n";
  const auto port = [&](int number) {
    return absl::StrReplaceAll(ports, {{"PORT", absl::StrCat(number)}});
  };
  return absl::StrCat(
      Service(
          "steady", kServe,
          absl::StrCat("replicas: 2\n", port(kSteadyPort), kProbe, Rollout())),
      Service("wide", kSleep, "replicas: 2\n" + Rollout()),
      Service("roll", kSleep, Rollout()), Service("victim", kSleep, Rollout()),
      Service("crash", kSleep, Rollout(", autoRollback: false")),
      Service("back", kSleep, Rollout()),
      Service("oom",
              "while [ ! -e /tmp/go ]; do sleep 0.1; done; exec tail /dev/zero",
              "resources: {memory: 32Mi}\n" + Rollout()),
      Service("burn",
              "while [ ! -e /tmp/go ]; do sleep 0.1; done; "
              "dd if=/dev/zero of=/dev/shm/fill bs=1M count=60; "
              "sleep 100000 & while true; do true; done & "
              "while true; do true; done",
              "resources: {cpu: 200m, memory: 64Mi}\n" + Rollout()),
      Service("auto",
              "while [ ! -e /tmp/go ]; do sleep 0.2; done; "
              "while true; do true; done",
              "resources: {cpu: 200m}\nautoscale: {minReplicas: 1, "
              "maxReplicas: 2, metrics: [{cpu: 30%}]}\n" +
                  Rollout()),
      Service("idle", kServe,
              absl::StrCat(port(kIdlePort), kProbe,
                           "loadBalancer: {holdTimeout: 1s}\n", Rollout())),
      Service("refuse",
              "httpd -f -p 80 & echo $$! > /tmp/pid; "
              "while true; do sleep 1; done",
              absl::StrCat("replicas: 2\n", port(kRefusePort),
                           "health: {exec: \"true\", period: 200ms}\n",
                           Rollout())));
}

void PrometheusTest::MakeFaults() {
  const std::string exits = "exit 3";
  Exec("oom", "touch /tmp/go");
  Exec("burn", "touch /tmp/go");
  Exec("auto", "touch /tmp/go");
  Exec("idle", "rm /www/ok");
  Exec("refuse", "kill $(cat /tmp/pid)");
  Apply(Service("crash", exits,
                Rollout(", autoRollback: false, maxUnavailable: 1")));
  Apply(Service("back", exits, Rollout(", progressDeadline: 3s")));
  Apply(Service("roll", kSleep, "env: {CHANGED: \"yes\"}\n" + Rollout()));
  Apply(Service("stuck", kSleep,
                "health: {exec: \"false\", period: 200ms}\n" +
                    Rollout(", autoRollback: false, progressDeadline: 2s")));
  Apply(absl::StrReplaceAll(Service("lost", kSleep, Rollout()),
                            {{busybox_, busybox_ + "none"}}));
  Apply(absl::StrReplaceAll(Service("fresh", kSleep, Rollout()),
                            {{busybox_, nginx_}}));
  EXPECT_TRUE(world().Ctl({"scale", "wide", "3"}).ok());
  const std::vector<ReplicaInfo> victims = world().Ready("victim");
  ASSERT_EQ(victims.size(), 1);
  EXPECT_EQ(kill(victims[0].pid, SIGKILL), 0);
  for (int port : {kSteadyPort, kIdlePort, kRefusePort}) {
    traffic_.emplace_back(port,
                          std::vector<load::Mode>{load::Mode::kPerRequest});
  }
  EXPECT_TRUE(
      e2e::Run({"fallocate", "-l", "725M", world().Path("s/fill")}).ok());
}

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
                                 VictimOf(e.fault), "\"")},
         {"WINDOW", "10s"}});
    if (IsServed(e.expr)) all.push_back(std::move(e));
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
    if (IsServed(e.expr)) all.push_back(std::move(e));
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

  Apply(Baseline());
  ASSERT_TRUE(Eventually(
      [] {
        return Number(
                   "sum(bulwark_service_rollout_state{state=\"complete\"})") ==
                   kServices &&
               Number(
                   "sum(bulwark_service_condition{condition=\"Available\"})") ==
                   kServices;
      },
      absl::Seconds(60)))
      << world().Ctl({"get", "services"}).out;
  EXPECT_EQ(AwaitMoves(applied), "");

  // Rates need a while of quiet.
  Pause(absl::Seconds(8));
  const absl::Time now = WallNow();
  for (Expectation e : Alerts()) {
    e.since = now;
    if (!e.fault.empty()) {
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
  MakeFaults();
  for (int i = 0; i < 20; ++i) world().Ctl({"version"});
  std::list<Expectation> now = expectations_;
  now.remove_if([](const Expectation& e) {
    return e.fault == "daemon_down" || e.fault == "proxy_stopped" ||
           e.fault == "descriptors";
  });
  EXPECT_EQ(AwaitMoves(now), "");
}

rlim_t OpenFiles(pid_t pid) {
  const std::filesystem::directory_iterator files(
      absl::StrCat("/proc/", pid, "/fd"));
  return static_cast<rlim_t>(std::distance(begin(files), end(files)));
}

TEST_F(PrometheusTest, WhenDescriptorsRunOut_AnAlertSaysSo) {
  traffic_.clear();
  std::filesystem::remove(world().Path("s/fill"));
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
  const std::string silent =
      AwaitMoves(WithFault(expectations_, "descriptors"));
  done = true;
  follower.join();
  EXPECT_EQ(prlimit(daemon, RLIMIT_NOFILE, &old, nullptr), 0);
  EXPECT_EQ(silent, "");
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

TEST_F(PrometheusTest, WhenProxyAndDaemonStop_AlertsSaySo) {
  const int proxy = world().ProcessOf("bulwark-proxy");
  ASSERT_GT(proxy, 0);
  ASSERT_EQ(kill(proxy, SIGSTOP), 0);
  const std::string stopped =
      AwaitMoves(WithFault(expectations_, "proxy_stopped"));
  EXPECT_EQ(kill(proxy, SIGCONT), 0);
  EXPECT_EQ(stopped, "");
  world().StopDaemon();
  EXPECT_EQ(AwaitMoves(WithFault(expectations_, "daemon_down")), "");
  world().StartDaemon();
  EXPECT_TRUE(Eventually([] { return Number("up") == 1; }));
}

}  // namespace
}  // namespace bulwark::e2e
