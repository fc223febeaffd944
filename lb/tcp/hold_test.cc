// Connections that wait for an endpoint.
#include <gtest/gtest.h>

#include <vector>

#include "lb/tcp/data_plane_fixture.h"

namespace bulwark::lb {
namespace {

using testing::Backend;
using testing::ConnectTo;
using testing::End;
using testing::Eventually;
using testing::kQuiet;
using testing::NextEvent;
using testing::ReadExactly;
using testing::WriteString;

class HoldTest : public testing::DataPlaneFixture {};

TEST_P(HoldTest, WhenNoEndpointIsReady_ConnectionWaitsForOne) {
  Backend backend;
  Apply();
  UniqueFd client = ConnectTo(port_);
  ASSERT_TRUE(client.ok());
  ASSERT_TRUE(WriteString(client.get(), "early"));
  ASSERT_TRUE(Eventually([&] { return Pool().held() == 1; }));
  snapshot_.Ready("a", backend.port());
  Apply();
  UniqueFd server = backend.Accept();
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(ReadExactly(server.get(), 5), "early");
  EXPECT_EQ(Pool().held(), 0u);
  EXPECT_EQ(Pool().held_total(), 1u);
  EXPECT_EQ(Pool().failed_total(), 0u);
}

TEST_P(HoldTest, WhenPoolIsPaused_ConnectionsWaitUntilItIsResumed) {
  Backend backend;
  snapshot_.Ready("a", backend.port()).pool().set_paused(true);
  Apply();
  UniqueFd client = ConnectTo(port_);
  ASSERT_TRUE(Eventually([&] { return Pool().held() == 1; }));
  EXPECT_FALSE(backend.HasConnection(kQuiet));
  snapshot_.pool().set_paused(false);
  Apply();
  EXPECT_TRUE(backend.Accept().ok());
}

TEST_P(HoldTest, WhenHoldTimeEnds_ConnectionIsReset) {
  snapshot_.pool().mutable_hold_timeout()->set_nanos(20'000'000);
  Apply();
  UniqueFd client = ConnectTo(port_);
  EXPECT_EQ(NextEvent(client.get()), End::kReset);
  EXPECT_TRUE(Eventually([&] { return Pool().failed_total() == 1; }));
  EXPECT_EQ(Pool().held(), 0u);
}

TEST_P(HoldTest, WhenHoldIsFull_FurtherConnectionsAreReset) {
  snapshot_.pool().set_hold_limit(3);
  Apply();
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(ConnectTo(port_));
  ASSERT_TRUE(Eventually([&] { return Pool().held() == 3; }));
  UniqueFd extra = ConnectTo(port_);
  EXPECT_EQ(NextEvent(extra.get()), End::kReset);
  EXPECT_EQ(Pool().held(), 3u);
  clients.clear();
}

TEST_P(HoldTest, WhenHeldClientResets_ItsPlaceIsFree) {
  snapshot_.pool().set_hold_limit(1);
  Apply();
  UniqueFd client = ConnectTo(port_);
  ASSERT_TRUE(Eventually([&] { return Pool().held() == 1; }));
  testing::CloseWithReset(client);
  EXPECT_TRUE(Eventually([&] { return Pool().held() == 0; }));
}

WITH_EACH_ENGINE(HoldTest);

}  // namespace
}  // namespace bulwark::lb
