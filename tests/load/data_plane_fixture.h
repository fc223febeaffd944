// Keeper, proxy and backends in namespaces of a test's own, under load.
#ifndef TESTS_LOAD_DATA_PLANE_FIXTURE_H_
#define TESTS_LOAD_DATA_PLANE_FIXTURE_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/testing/status_matchers.h"
#include "lb/local/testing.h"
#include "lb/tcp/testing.h"
#include "tests/load/kill.h"
#include "tests/load/load.h"

namespace bulwark::load {

// An echo_backend in the data-plane namespace.
class BackendProcess {
 public:
  explicit BackendProcess(const std::string& name) {
    lb::testing::InDataplane([&] {
      port_ = lb::testing::FreePort();
      const std::string port = absl::StrCat(port_);
      const char* program = getenv("BACKEND");
      const char* argv[] = {program,  "--name",     name.c_str(),
                            "--port", port.c_str(), nullptr};
      CHECK(posix_spawn(&pid_, program, nullptr, nullptr,
                        const_cast<char* const*>(argv), environ) == 0);
      CHECK(lb::testing::Eventually(
          [&] { return lb::testing::ConnectTo(port_).ok(); }));
    });
  }
  ~BackendProcess() { End(SIGKILL); }

  uint16_t port() const { return port_; }
  pid_t pid() const { return pid_; }
  void End(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
  uint16_t port_ = 0;
};

class DataPlaneFixture : public ::testing::Test {
 protected:
  // `engine` as in --engine.
  explicit DataPlaneFixture(const std::string& engine = "auto")
      : installation_(engine),
        port_(lb::testing::FreePort()),
        snapshot_(port_) {
    EXPECT_THAT(proxy().Start(), bulwark::testing::IsOk());
  }

  static constexpr absl::Duration kTimeout = absl::Seconds(10);

  lb::LocalProxy& proxy() { return installation_.proxy(); }
  void Apply() {
    auto applied = proxy().Apply(snapshot_.Next(), kTimeout);
    ASSERT_THAT(applied, bulwark::testing::IsOk());
    EXPECT_EQ(applied->errors_size(), 0) << applied->ShortDebugString();
  }
  dataplane::v1::EndpointStats StatsOf(const std::string& id) {
    auto stats = proxy().Stats(kTimeout);
    EXPECT_THAT(stats, bulwark::testing::IsOk());
    if (!stats.ok()) return {};
    for (const auto& pool : stats->pools()) {
      for (const auto& e : pool.endpoints()) {
        if (e.id() == id) return e;
      }
    }
    return {};
  }

  void StartLoad(Mode mode) {
    options_.port = port_;
    options_.mode = mode;
    options_.connections = 8;
    options_.duration = absl::Seconds(50);
    options_.rate = 2000;
    stop_ = false;
    options_.stop = &stop_;
    options_.answers = &answers_;
    load_ = std::thread([this] {
      auto report = RunLoad(options_, clock_);
      ASSERT_THAT(report, bulwark::testing::IsOk());
      report_ = *std::move(report);
    });
  }
  const LoadReport& StopLoad() {
    stop_ = true;
    load_.join();
    return report_;
  }
  // Returns after the proxy has served `n` more connections of `id`.
  void AwaitServed(const std::string& id, uint64_t n) {
    const uint64_t before = StatsOf(id).connections_total();
    EXPECT_TRUE(lb::testing::Eventually(
        [&] { return StatsOf(id).connections_total() >= before + n; }));
  }
  // Returns after the load has got `n` more answers.
  void AwaitAnswers(uint64_t n) {
    const uint64_t before = answers_;
    EXPECT_TRUE(
        lb::testing::Eventually([&] { return answers_ >= before + n; }));
  }
  Kill KillProxy() {
    return KillProcess(installation_.proxy_pid(), /*backend=*/"", clock_);
  }

  RealClock clock_;
  lb::testing::Installation installation_;
  const uint16_t port_;
  lb::testing::SnapshotBuilder snapshot_;
  LoadOptions options_;
  std::atomic<bool> stop_ = false;
  std::atomic<uint64_t> answers_ = 0;
  std::thread load_;
  LoadReport report_;
};

}  // namespace bulwark::load

#endif  // TESTS_LOAD_DATA_PLANE_FIXTURE_H_
