// A proxy under load while parts are killed: what breaks, and for how long.
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/load/data_plane_fixture.h"
#include "tests/load/outage.h"

namespace bulwark::load {
namespace {

using bulwark::testing::IsOk;
using bulwark::testing::StatusIs;
using lb::testing::Eventually;

// As in --engine, and in the names of tests.
constexpr const char* kEngines[] = {"epoll", "io_uring"};

class KillTest : public DataPlaneFixture {};

class ProxyKillTest : public DataPlaneFixture,
                      public ::testing::WithParamInterface<const char*> {
 protected:
  ProxyKillTest() : DataPlaneFixture(GetParam()) {}
};

TEST_P(ProxyKillTest, WhenProxyIsKilledUnderLoad_OnlyItsConnectionsBreak) {
  BackendProcess a("a"), b("b");
  snapshot_.Ready("a", a.port()).Ready("b", b.port());
  Apply();
  StartLoad(Mode::kPerRequest);
  AwaitServed("a", 100);
  std::vector<Kill> kills;
  for (int i = 0; i < 3; ++i) {
    kills.push_back(KillProxy());
    AwaitServed("a", 200);
  }
  LoadReport report = StopLoad();
  ForgiveKilled(report, kills);
  std::printf("proxy killed 3 times: %s\n", ToJson(report).c_str());
  EXPECT_EQ(report.failed, 0u);
  // A kill meets each connection once.
  EXPECT_LE(report.in_flight_on_killed, kills.size() * options_.connections);
  EXPECT_LT(report.max_gap, absl::Seconds(1));
}

TEST_P(ProxyKillTest, WhenProxyIsKilled_ANewConnectionIsAnsweredSoon) {
  // Longer, and the keeper does not take a death for a quick one.
  constexpr absl::Duration kLife = absl::Milliseconds(2100);
  BackendProcess a("a");
  snapshot_.Ready("a", a.port());
  Apply();
  Outages outages;
  for (int round = 0; round < 3; ++round) {
    const absl::Duration began = clock_.Steady();
    ASSERT_TRUE(Eventually([&] { return clock_.Steady() > began + kLife; }));
    // After it so many quick deaths are free.
    for (int i = 0; i < 4; ++i) {
      outages.each.push_back(
          KillAndAsk(installation_.proxy_pid(), port_, clock_));
    }
  }
  std::printf("killed to answered: %s\n", outages.ToString().c_str());
  // A busy machine may delay some, but not half of them.
  EXPECT_LT(outages.Median(), absl::Milliseconds(100));
  EXPECT_LT(outages.Worst(), absl::Seconds(2));
}

INSTANTIATE_TEST_SUITE_P(Engines, ProxyKillTest, ::testing::ValuesIn(kEngines),
                         [](const auto& info) -> std::string {
                           return info.param;
                         });

class BackendKillTest
    : public DataPlaneFixture,
      public ::testing::WithParamInterface<std::tuple<const char*, Mode>> {
 protected:
  BackendKillTest() : DataPlaneFixture(std::get<0>(GetParam())) {}
};

TEST_P(BackendKillTest, WhenBackendsAreKilled_OnlyWhatTheyWereSentBreaks) {
  std::vector<std::unique_ptr<BackendProcess>> backends;
  const auto add = [&] {
    const std::string name = absl::StrCat("b", backends.size());
    backends.push_back(std::make_unique<BackendProcess>(name));
    snapshot_.Ready(name, backends.back()->port());
    Apply();
    return name;
  };
  std::string old = add();
  StartLoad(std::get<1>(GetParam()));
  AwaitAnswers(50);
  std::vector<Kill> kills;
  for (int i = 0; i < 5; ++i) {
    const std::string fresh = add();
    // A kept-alive connection comes to it only when the old one dies.
    if (std::get<1>(GetParam()) == Mode::kPerRequest) AwaitServed(fresh, 20);
    kills.push_back(KillProcess(backends[i]->pid(), old, clock_));
    AwaitAnswers(100);
    snapshot_.Remove(old);
    old = fresh;
  }
  LoadReport report = StopLoad();
  ForgiveKilled(report, kills);
  std::printf("5 of 6 backends killed: %s\n", ToJson(report).c_str());
  EXPECT_EQ(report.failed, 0u);
  EXPECT_LE(report.in_flight_on_killed, kills.size() * options_.connections);
  EXPECT_EQ(report.by_backend.size(), 6u);
}

INSTANTIATE_TEST_SUITE_P(
    Engines, BackendKillTest,
    ::testing::Combine(::testing::ValuesIn(kEngines),
                       ::testing::Values(Mode::kPerRequest, Mode::kKeepAlive)),
    [](const auto& info) {
      return absl::StrCat(std::get<0>(info.param),
                          std::get<1>(info.param) == Mode::kPerRequest
                              ? "_PerRequest"
                              : "_KeepAlive");
    });

TEST_F(KillTest, WhenKeeperIsKilled_NothingIsLost) {
  BackendProcess a("a");
  snapshot_.Ready("a", a.port());
  Apply();
  StartLoad(Mode::kPerRequest);
  AwaitServed("a", 100);
  const pid_t old = installation_.keeper_pid();
  kill(old, SIGKILL);
  AwaitServed("a", 100);
  // Any call looks after the keeper.
  EXPECT_TRUE(Eventually([&] {
    EXPECT_OK(proxy().Stats(kTimeout));
    const pid_t now = installation_.keeper_pid();
    return now > 0 && now != old;
  }));
  // The new keeper has the sockets once the proxy has found it, which a change
  // of the listeners waits for.
  Apply();
  EXPECT_EQ(StopLoad().failed, 0u) << ToJson(report_);
  // And so the next proxy gets them from it.
  StartLoad(Mode::kPerRequest);
  const Kill kill_of_proxy = KillProxy();
  AwaitServed("a", 100);
  LoadReport report = StopLoad();
  ForgiveKilled(report, {kill_of_proxy});
  EXPECT_EQ(report.failed, 0u) << ToJson(report);
}

TEST_F(KillTest, WhenSocketsAreRemoved_TheyAreThereAgainAndNothingIsLost) {
  BackendProcess a("a");
  snapshot_.Ready("a", a.port());
  Apply();
  StartLoad(Mode::kKeepAlive);
  AwaitAnswers(100);
  const pid_t keeper = installation_.keeper_pid();
  const pid_t proxy_pid = installation_.proxy_pid();
  const std::string& dir = installation_.config().runtime_dir;
  for (const char* name : {"/keeper.sock", "/proxy.sock"}) {
    ASSERT_EQ(unlink((dir + name).c_str()), 0);
  }
  EXPECT_TRUE(Eventually([&] {
    return access((dir + "/keeper.sock").c_str(), F_OK) == 0 &&
           access((dir + "/proxy.sock").c_str(), F_OK) == 0;
  }));
  // The next daemon finds both.
  lb::LocalProxy next(installation_.config(), clock_);
  EXPECT_OK(next.Start());
  ASSERT_OK_AND_ASSIGN(const auto stats, next.Stats(kTimeout));
  EXPECT_EQ(stats.version(), 1u);
  Apply();
  AwaitAnswers(100);
  EXPECT_EQ(StopLoad().failed, 0u) << ToJson(report_);
  EXPECT_EQ(installation_.keeper_pid(), keeper);
  EXPECT_EQ(installation_.proxy_pid(), proxy_pid);
  // A proxy that comes later takes the new socket over.
  KillProxy();
  EXPECT_OK(next.Stats(kTimeout));
}

TEST_F(KillTest, WhenBothAreKilled_ACallBringsBackTheLastSnapshot) {
  BackendProcess a("a");
  snapshot_.Ready("a", a.port());
  Apply();
  kill(installation_.keeper_pid(), SIGKILL);
  KillProxy();
  ASSERT_TRUE(Eventually([&] { return installation_.proxy_pid() == 0; }));
  ASSERT_OK_AND_ASSIGN(auto stats, proxy().Stats(kTimeout));
  EXPECT_EQ(stats.version(), 1u);
  EXPECT_TRUE(lb::testing::ConnectTo(port_).ok());
}

}  // namespace
}  // namespace bulwark::load

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (!bulwark::lb::testing::EnterOwnNamespaces()) return 1;
  return RUN_ALL_TESTS();
}
