#include "lb/probe/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "lb/tcp/testing.h"

namespace bulwark::lb {
namespace {

using testing::Backend;
using ::testing::HasSubstr;

constexpr absl::Duration kTimeout = absl::Seconds(10);
constexpr absl::Duration kShort = absl::Milliseconds(30);

class ProbeTest : public ::testing::Test {
 protected:
  // Probes a server that answers with `answer` and closes.
  ProbeResult Http(const std::string& answer, std::string* request = nullptr) {
    Backend backend;
    std::thread server([&] {
      UniqueFd fd = backend.Accept();
      std::string got;
      while (got.find("\r\n\r\n") == std::string::npos) {
        const std::string byte = testing::ReadExactly(fd.get(), 1);
        if (byte.empty()) break;
        got += byte;
      }
      if (request != nullptr) *request = got;
      testing::WriteString(fd.get(), answer);
    });
    ProbeResult result = ProbeHttp(OpenSocket, "127.0.0.1", backend.port(),
                                   "/healthz?x=1", kTimeout, clock_);
    server.join();
    return result;
  }

  RealClock clock_;
};

TEST_F(ProbeTest, WhenServerAnswers_StatusDecides) {
  struct Case {
    const char* answer;
    bool success;
    const char* reason;
  };
  const Case cases[] = {
      {"HTTP/1.1 200 OK\r\n\r\n", true, ""},
      {"HTTP/1.0 204 No Content\r\n\r\n", true, ""},
      {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", true, ""},
      {"HTTP/1.1 399 x\r\n\r\n", true, ""},
      {"HTTP/1.1 404 Not Found\r\n\r\n", false, "404 Not Found"},
      {"HTTP/1.1 503 Service Unavailable\r\n\r\n", false, "503"},
      {"HTTP/1.1 100 Continue\r\n\r\n", false, "100"},
      {"SSH-2.0-OpenSSH\r\n", false, "not HTTP"},
      {"", false, "closed"},
      {"HTTP/1.1 20", false, "cut short"},
      {"HTTP/1.1 abc\r\n", false, "not HTTP"},
  };
  for (const Case& c : cases) {
    const ProbeResult result = Http(c.answer);
    EXPECT_EQ(result.success, c.success) << c.answer;
    EXPECT_THAT(result.reason, HasSubstr(c.reason)) << c.answer;
  }
}

TEST_F(ProbeTest, WhenAnswerNeverEndsItsLine_ReadingIsBounded) {
  EXPECT_FALSE(Http(std::string(100'000, 'x')).success);
}

TEST_F(ProbeTest, WhenProbed_ServerSeesAPlainRequest) {
  std::string request;
  ASSERT_TRUE(Http("HTTP/1.1 200 OK\r\n\r\n", &request).success);
  EXPECT_THAT(request, HasSubstr("GET /healthz?x=1 HTTP/1.1\r\nHost: 127"));
}

TEST_F(ProbeTest, WhenPathWouldSplitTheRequest_IsRefused) {
  for (const char* path : {"", "healthz", "/a b", "/a\r\nX: y"}) {
    const ProbeResult result =
        ProbeHttp(OpenSocket, "127.0.0.1", 1, path, kShort, clock_);
    EXPECT_FALSE(result.success);
    EXPECT_THAT(result.reason, HasSubstr("path"));
  }
}

TEST_F(ProbeTest, WhenNobodyListens_ReasonSaysSo) {
  const uint16_t port = testing::FreePort();
  const ProbeResult result =
      ProbeTcp(OpenSocket, "127.0.0.1", port, kTimeout, clock_);
  EXPECT_FALSE(result.success);
  EXPECT_THAT(result.reason, HasSubstr("Connection refused"));
}

TEST_F(ProbeTest, WhenSomebodyListens_TcpSucceeds) {
  Backend backend;
  EXPECT_TRUE(
      ProbeTcp(OpenSocket, "127.0.0.1", backend.port(), kTimeout, clock_)
          .success);
}

TEST_F(ProbeTest, WhenServerIsSilent_TimeoutEndsIt) {
  Backend backend;
  const ProbeResult result =
      ProbeHttp(OpenSocket, "127.0.0.1", backend.port(), "/", kShort, clock_);
  EXPECT_FALSE(result.success);
  EXPECT_THAT(result.reason, HasSubstr("nothing within 30ms"));
}

TEST_F(ProbeTest, WhenFactoryFails_ReasonIsPassedOn) {
  const SocketFactory broken = [](int, int, int) -> absl::StatusOr<UniqueFd> {
    return absl::NotFoundError("open netns x: gone");
  };
  const ProbeResult result =
      ProbeTcp(broken, "127.0.0.1", 80, kTimeout, clock_);
  EXPECT_FALSE(result.success);
  EXPECT_EQ(result.reason, "open netns x: gone");
}

}  // namespace
}  // namespace bulwark::lb
