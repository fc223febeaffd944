// The load client must see what goes wrong: these are planted failures.
#include "tests/load/load.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "base/testing/status_matchers.h"
#include "lb/tcp/testing.h"
#include "tests/load/http_answer.h"

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

TEST(LoadTest, WhenBackendWasKilledMeanwhile_OnlyItsRequestsAreForgiven) {
  const auto at = [](int s) { return absl::Seconds(s); };
  LoadReport report;
  report.failed = 4;
  report.broken = {{at(10), at(12), "a"},
                   {at(10), at(12), "b"},
                   {at(10), at(12), ""},
                   {at(20), at(22), "a"}};
  ForgiveKilled(report, {{at(11), "a"}});
  EXPECT_EQ(report.in_flight_on_killed, 2u);
  EXPECT_EQ(report.failed, 2u);
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
