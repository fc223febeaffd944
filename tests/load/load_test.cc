// The load client must see what goes wrong: these are planted failures.
#include "tests/load/load.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "base/testing/status_matchers.h"
#include "lb/tcp/testing.h"
#include "tests/load/http_answer.h"
#include "tests/load/kill.h"
#include "tests/load/outage.h"

namespace bulwark::load {
namespace {

using bulwark::testing::IsOk;
using lb::testing::Backend;

constexpr char kAnswer[] =
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Backend: b1\r\n\r\nok";

// Serves connections one after the other with `serve`, until destroyed.
class Server {
 public:
  explicit Server(std::function<void(int fd)> serve)
      : thread_([this, serve] {
          while (!stop_) {
            UniqueFd fd = backend_.Accept(absl::Milliseconds(20));
            if (fd.ok()) serve(fd.get());
          }
        }) {}
  ~Server() {
    stop_ = true;
    thread_.join();
  }
  uint16_t port() const { return backend_.port(); }

 private:
  Backend backend_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

bool ReadRequest(int fd) {
  std::string text;
  while (text.find("\r\n\r\n") == std::string::npos) {
    const std::string byte = lb::testing::ReadExactly(fd, 1);
    if (byte.empty()) return false;
    text += byte;
  }
  return true;
}

LoadReport Measure(uint16_t port, Mode mode) {
  LoadOptions options;
  options.port = port;
  options.mode = mode;
  options.connections = 1;
  options.duration = absl::Milliseconds(100);
  options.timeout = absl::Seconds(5);
  RealClock clock;
  auto report = RunLoad(options, clock);
  EXPECT_THAT(report, IsOk());
  return *std::move(report);
}

TEST(LoadTest, WhenAllAnswer_NothingFails) {
  Server server([](int fd) {
    if (ReadRequest(fd)) lb::testing::WriteString(fd, kAnswer);
  });
  const LoadReport report = Measure(server.port(), Mode::kPerRequest);
  EXPECT_GT(report.requests, 0u);
  EXPECT_EQ(report.failed, 0u) << ToJson(report);
  EXPECT_EQ(report.by_backend.at("b1"), report.requests);
}

TEST(LoadTest, WhenConnectIsRefused_Fails) {
  const LoadReport report = Measure(lb::testing::FreePort(), Mode::kPerRequest);
  EXPECT_GT(report.failed, 0u);
  EXPECT_EQ(report.requests, 0u);
}

TEST(LoadTest, WhenServerClosesWithoutAnswer_Fails) {
  Server server([](int fd) { ReadRequest(fd); });
  for (Mode mode : {Mode::kPerRequest, Mode::kKeepAlive}) {
    const LoadReport report = Measure(server.port(), mode);
    EXPECT_GT(report.failed, 0u);
    EXPECT_EQ(report.retried, 0u);
  }
}

TEST(LoadTest, WhenAnswerIsCutShort_Fails) {
  Server server([](int fd) {
    ReadRequest(fd);
    lb::testing::WriteString(fd, std::string(kAnswer).substr(0, 54));
  });
  EXPECT_GT(Measure(server.port(), Mode::kPerRequest).failed, 0u);
}

TEST(LoadTest, WhenStatusIsAnError_Fails) {
  Server server([](int fd) {
    ReadRequest(fd);
    lb::testing::WriteString(fd,
                             "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
  });
  const LoadReport report = Measure(server.port(), Mode::kPerRequest);
  EXPECT_GT(report.errors.at("status 503"), 0u);
}

TEST(LoadTest, WhenReusedConnectionClosesBeforeTheAnswer_IsRetriedOnce) {
  // Two requests a connection; the second gets no answer.
  Server server([](int fd) {
    if (ReadRequest(fd)) lb::testing::WriteString(fd, kAnswer);
    ReadRequest(fd);
  });
  const LoadReport report = Measure(server.port(), Mode::kKeepAlive);
  EXPECT_EQ(report.failed, 0u) << ToJson(report);
  EXPECT_GT(report.retried, 0u);
}

TEST(LoadTest, WhenReusedConnectionClosesWithinTheAnswer_Fails) {
  Server server([](int fd) {
    if (ReadRequest(fd)) lb::testing::WriteString(fd, kAnswer);
    if (ReadRequest(fd)) lb::testing::WriteString(fd, "HTTP/1.1 200");
  });
  EXPECT_GT(Measure(server.port(), Mode::kKeepAlive).failed, 0u);
}

// One broken request, and whether the kill of backend "a", or of the proxy,
// from 100 to 110 ms excuses it.
TEST(ForgiveKilledTest, OnlyWhatNobodyCouldHaveSavedIsForgiven) {
  constexpr int kNever = -1;
  struct Case {
    const char* what;
    int began, sent, broke;  // ms
    const char* backend;
    bool by_backend, by_proxy;
  };
  const Case cases[] = {
      {"in flight, unanswered", 90, 95, 105, "", true, true},
      {"in flight, in its answer", 90, 95, 105, "a", true, true},
      {"broke long after", 90, 95, 900, "", true, true},
      {"sent while it died", 90, 108, 112, "", true, true},
      {"another backend's", 90, 95, 105, "b", false, true},
      {"broke before the signal", 80, 85, 99, "", false, false},
      {"sent after it was gone", 90, 111, 112, "", false, true},
      {"begun after it was gone", 111, 112, 113, "", false, false},
      {"not sent", 90, kNever, 105, "", false, true},
      {"not sent, begun after", 111, kNever, 112, "", false, false},
  };
  const auto at = [](int ms) {
    return ms == kNever ? absl::InfiniteDuration() : absl::Milliseconds(ms);
  };
  for (const Case& c : cases) {
    for (const bool of_proxy : {false, true}) {
      LoadReport report;
      report.failed = 1;
      report.broken = {{at(c.began), at(c.sent), at(c.broke), c.backend}};
      ForgiveKilled(report, {{at(100), at(110), of_proxy ? "" : "a"}});
      const bool forgiven = of_proxy ? c.by_proxy : c.by_backend;
      EXPECT_EQ(report.in_flight_on_killed, forgiven) << c.what << of_proxy;
      EXPECT_EQ(report.failed, !forgiven) << c.what << of_proxy;
      EXPECT_EQ(report.broken.empty(), forgiven);
    }
  }
}

TEST(ForgiveKilledTest, WhenThereAreSeveral_EachIsJudgedByItsOwnKill) {
  const auto at = [](int s) { return absl::Seconds(s); };
  LoadReport report;
  report.failed = 5;
  report.broken = {{at(9), at(10), at(12), "a"},
                   {at(9), at(10), at(12), "b"},
                   {at(19), at(20), at(22), "b"},
                   {at(19), at(20), at(22), "a"}};
  ForgiveKilled(report, {{at(11), at(11), "a"}, {at(21), at(21), "b"}});
  EXPECT_EQ(report.in_flight_on_killed, 2u);
  // With one that is not in the list: it was never connected.
  EXPECT_EQ(report.failed, 3u);
}

// What breaks before it is sent is told apart from what breaks later.
TEST(LoadTest, WhenServerResetsAtOnce_OnlySentRequestsAreForgiven) {
  Server server([](int fd) {
    const linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  });
  LoadReport report = Measure(server.port(), Mode::kPerRequest);
  EXPECT_GT(report.failed, 0u);
  uint64_t unsent = 0;
  for (const auto& [what, count] : report.errors) {
    if (what.find("connect:") == 0 || what.find("send:") == 0) unsent += count;
  }
  ForgiveKilled(report, {{absl::ZeroDuration(), absl::Hours(1'000'000), "a"}});
  EXPECT_EQ(report.failed, unsent) << ToJson(report);
}

TEST(KillProcessTest, WhenItReturns_TheProcessIsGone) {
  const pid_t pid = fork();
  if (pid == 0) {
    while (true) pause();
  }
  RealClock clock;
  const Kill kill = KillProcess(pid, "a", clock);
  EXPECT_LE(kill.at, kill.gone);
  EXPECT_EQ(kill.backend, "a");
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, WNOHANG), pid);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST(LoadTest, WhenAnswersAreWanted_EndsAfterThem) {
  Server server([](int fd) {
    if (ReadRequest(fd)) lb::testing::WriteString(fd, kAnswer);
  });
  LoadOptions options;
  options.port = server.port();
  options.connections = 1;
  options.duration = absl::Seconds(30);
  options.answers_wanted = 3;
  RealClock clock;
  auto report = RunLoad(options, clock);
  ASSERT_OK(report);
  EXPECT_EQ(report->requests, 3u);
  EXPECT_LT(report->elapsed, absl::Seconds(20));
}

TEST(OutagesTest, SaysTheMiddleAndTheWorst) {
  EXPECT_EQ(Outages{}.Median(), absl::ZeroDuration());
  const Outages outages = {{absl::Milliseconds(9), absl::Milliseconds(1),
                            absl::Milliseconds(300), absl::Milliseconds(4),
                            absl::Milliseconds(5)}};
  EXPECT_EQ(outages.Median(), absl::Milliseconds(5));
  EXPECT_EQ(outages.Worst(), absl::Milliseconds(300));
}

TEST(HttpAnswerTest, WhenFedByteByByte_IsCompleteAtTheEnd) {
  struct Case {
    const char* text;
    const char* backend;
  };
  const Case cases[] = {
      {kAnswer, "b1"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfrom b2\n", "from b2"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nb3\n\r\n1\r\n"
       "x\r\n0\r\n\r\n",
       "b3"},
      {"HTTP/1.1 204 No Content\r\nX-Backend: b4\r\n\r\n", "b4"},
  };
  for (const Case& c : cases) {
    HttpAnswer answer("X-Backend");
    const std::string text = c.text;
    for (size_t i = 0; i < text.size(); ++i) {
      const auto state = answer.Feed(text.substr(i, 1));
      EXPECT_EQ(state == HttpAnswer::State::kComplete, i + 1 == text.size())
          << text << i;
    }
    EXPECT_EQ(answer.backend(), c.backend);
  }
}

TEST(HistogramTest, WhenManyAreCounted_QuantilesAreClose) {
  Histogram h;
  for (uint64_t i = 1; i <= 100'000; ++i) h.Add(i);
  EXPECT_NEAR(h.Quantile(0.5), 50'000, 50'000 / 64);
  EXPECT_NEAR(h.Quantile(0.99), 99'000, 99'000 / 64);
}

}  // namespace
}  // namespace bulwark::load
