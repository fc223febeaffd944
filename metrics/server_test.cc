#include "metrics/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "metrics/samples.h"

namespace bulwark::metrics {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::StartsWith;

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// A socket that listens on a port of its own.
struct Taken {
  Taken() : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd.get(), generic, size), 0);
    EXPECT_EQ(listen(fd.get(), 1), 0);
    EXPECT_EQ(getsockname(fd.get(), generic, &size), 0);
    port = ntohs(address.sin_port);
  }
  UniqueFd fd;
  int port;
};

// The answer to a GET; "" if nobody listens.
std::string Get(int port, const std::string& path) {
  const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(port);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    return "";
  }
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(write(fd.get(), request.data(), request.size()), request.size());
  std::string answer;
  char buffer[4096];
  while (true) {
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n <= 0) return answer;
    answer.append(buffer, n);
  }
}

template <typename F>
bool Eventually(F&& condition) {
  RealClock clock;
  const absl::Duration deadline = clock.Steady() + absl::Seconds(30);
  while (!condition()) {
    if (clock.Steady() > deadline) return false;
    clock.Sleep(absl::Milliseconds(10));
  }
  return true;
}

std::vector<prometheus::MetricFamily> One() {
  Samples samples;
  samples.Add("bulwark_proxy_up", 1);
  return std::move(samples).Take();
}

TEST(ServerTest, WhenScraped_AsksAnewEachTime) {
  RealClock clock;
  const int port = Taken().port;
  std::atomic<int> scrapes = 0;
  Server server(absl::StrCat("127.0.0.1:", port), clock, [&] {
    ++scrapes;
    return One();
  });
  server.Start();
  ASSERT_TRUE(Eventually([&] { return !Get(port, "/metrics").empty(); }));
  EXPECT_OK(server.status());
  const int before = scrapes;
  const std::string answer = Get(port, "/metrics");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(answer, HasSubstr("\nbulwark_proxy_up 1\n"));
  EXPECT_EQ(scrapes, before + 1);
  EXPECT_THAT(Get(port, "/"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(Get(port, "/../../etc/passwd"), StartsWith("HTTP/1.1 4"));
  server.Stop();
  EXPECT_EQ(Get(port, "/metrics"), "");
}

// The library alone takes up to 2 s, and nearly all of that when it has just
// been scraped.
TEST(ServerTest, WhenIdle_StopsAtOnce) {
  RealClock clock;
  absl::Duration fastest = absl::InfiniteDuration();
  for (int i = 0; i < 3; ++i) {
    const int port = Taken().port;
    Server server(absl::StrCat("127.0.0.1:", port), clock, One);
    server.Start();
    ASSERT_TRUE(Eventually([&] { return !Get(port, "/metrics").empty(); }));
    const absl::Duration begin = clock.Steady();
    server.Stop();
    fastest = std::min(fastest, clock.Steady() - begin);
  }
  EXPECT_LT(fastest, absl::Seconds(1));
}

TEST(ServerTest, WhenThePortIsTaken_SaysSoAndTakesItOnceItIsFree) {
  RealClock clock;
  auto taken = std::make_unique<Taken>();
  const int port = taken->port;
  Server server(absl::StrCat("127.0.0.1:", port), clock, One);
  server.Start();
  ASSERT_TRUE(Eventually([&] { return !server.status().ok(); }));
  EXPECT_THAT(
      std::string(server.status().message()),
      HasSubstr(absl::StrCat("bind 127.0.0.1:", port, ": Address already in")));
  taken.reset();
  EXPECT_TRUE(Eventually([&] { return server.status().ok(); }));
  EXPECT_THAT(Get(port, "/metrics"), HasSubstr("bulwark_proxy_up 1"));
}

TEST(ServerTest, WhenClientsSayNothing_OthersAreServed) {
  RealClock clock;
  const int port = Taken().port;
  Server server(absl::StrCat("127.0.0.1:", port), clock, One);
  server.Start();
  ASSERT_TRUE(Eventually([&] { return !Get(port, "/metrics").empty(); }));
  std::vector<UniqueFd> idle;
  for (int i = 0; i < 8; ++i) {
    idle.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = Loopback(port);
    ASSERT_EQ(
        connect(idle.back().get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)),
        0);
  }
  EXPECT_THAT(Get(port, "/metrics"), HasSubstr("bulwark_proxy_up 1"));
}

TEST(CheckAddressesTest, WhenNotAnAddress_SaysWhatIs) {
  EXPECT_OK(CheckAddresses("127.0.0.1:9464"));
  EXPECT_OK(CheckAddresses("127.0.0.1:9464,10.0.0.7:80"));
  for (const char* bad :
       {"9464", ":9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999",
        "localhost:9464", "[::1]:9464", "127.0.0.1:9464,", "127.0.0.1:94s",
        "127.0.0.1:-1", "127.0.0.1: 9464"}) {
    SCOPED_TRACE(bad);
    EXPECT_THAT(
        CheckAddresses(bad),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("ADDRESS")));
  }
}

}  // namespace
}  // namespace bulwark::metrics
