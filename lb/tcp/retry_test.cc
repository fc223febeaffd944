// Endpoints that refuse, do not answer, or end a connection early.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <vector>

#include "lb/tcp/data_plane_fixture.h"

namespace bulwark::lb {
namespace {

using testing::Backend;
using testing::ConnectTo;
using testing::End;
using testing::Eventually;
using testing::NextEvent;
using testing::ReadExactly;
using testing::WriteString;

namespace v1 = dataplane::v1;

class RetryTest : public testing::DataPlaneFixture {};

TEST_P(RetryTest, WhenOneEndpointRefuses_AnotherServes) {
  Backend backend;
  snapshot_.Ready("dead", testing::FreePort()).Ready("live", backend.port());
  Apply();
  for (int i = 0; i < 40; ++i) {
    Pair pair = Connect(backend);
    ASSERT_TRUE(WriteString(pair.client.get(), "x"));
    EXPECT_EQ(ReadExactly(pair.server.get(), 1), "x");
  }
  EXPECT_EQ(Pool().failed_total(), 0u);
  EXPECT_EQ(Pool().retried_total(),
            EndpointOf("dead").connect_failures_total());
  EXPECT_GE(Pool().retried_total(), 1u);
  EXPECT_TRUE(EndpointOf("dead").ejected());
  EXPECT_FALSE(EndpointOf("live").ejected());
}

TEST_P(RetryTest, WhenOneEndpointDoesNotAnswer_AnotherServes) {
  // Its queue is full: further connects get no answer.
  Backend stuck(0, 0);
  std::vector<UniqueFd> fill;
  for (int i = 0; i < 2; ++i) {
    fill.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(stuck.port());
    connect(fill.back().get(), reinterpret_cast<sockaddr*>(&address),
            sizeof(address));
  }
  Backend backend;
  snapshot_.Ready("stuck", stuck.port()).Ready("live", backend.port());
  snapshot_.pool().set_algorithm(v1::Pool::ROUND_ROBIN);
  Apply();
  Pair first = Connect(backend);
  Pair second = Connect(backend);
  EXPECT_GE(EndpointOf("stuck").connect_failures_total(), 1u);
  EXPECT_EQ(Pool().failed_total(), 0u);
}

TEST_P(RetryTest, WhenTheOnlyEndpointComesBackSoon_NothingFails) {
  const uint16_t port = testing::FreePort();
  snapshot_.Ready("a", port);
  Apply();
  UniqueFd client = ConnectTo(port_);
  ASSERT_TRUE(Eventually(
      [&] { return EndpointOf("a").connect_failures_total() >= 2; }));
  Backend backend(port);
  EXPECT_TRUE(backend.Accept().ok());
  EXPECT_EQ(Pool().failed_total(), 0u);
}

TEST_P(RetryTest, WhenEveryEndpointRefuses_ClientIsResetInTheEnd) {
  snapshot_.Ready("a", testing::FreePort()).Ready("b", testing::FreePort());
  Apply();
  UniqueFd client = ConnectTo(port_);
  EXPECT_EQ(NextEvent(client.get()), End::kReset);
  EXPECT_EQ(Pool().failed_total(), 1u);
}

WITH_EACH_ENGINE(RetryTest);

}  // namespace
}  // namespace bulwark::lb
