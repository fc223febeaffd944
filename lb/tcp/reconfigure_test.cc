// What a new snapshot does to connections, old and new.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "lb/tcp/data_plane_fixture.h"

namespace bulwark::lb {
namespace {

using bulwark::testing::IsOk;
using bulwark::testing::StatusIs;
using testing::Backend;
using testing::ConnectTo;
using testing::End;
using testing::Eventually;
using testing::kQuiet;
using testing::NextEvent;
using testing::ReadExactly;
using testing::WriteString;

namespace v1 = dataplane::v1;

class ReconfigureTest : public testing::DataPlaneFixture {};

TEST_P(ReconfigureTest,
       WhenEndpointDrains_OldConnectionsGoOnNewOnesGoElsewhere) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair old = Establish(a);
  snapshot_.Set("a", a.port(), v1::Endpoint::DRAINING).Ready("b", b.port());
  Apply();
  for (int i = 0; i < 10; ++i) Connect(b);
  EXPECT_FALSE(a.HasConnection(kQuiet));
  ASSERT_TRUE(WriteString(old.client.get(), "still"));
  EXPECT_EQ(ReadExactly(old.server.get(), 5), "still");
  EXPECT_EQ(EndpointOf("a").active(), 1u);
}

TEST_P(ReconfigureTest, WhenEndpointIsClosed_ItsConnectionsAreReset) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair old = Establish(a);
  snapshot_.Set("a", a.port(), v1::Endpoint::CLOSED).Ready("b", b.port());
  Apply();
  EXPECT_EQ(NextEvent(old.client.get()), End::kReset);
  EXPECT_EQ(NextEvent(old.server.get()), End::kReset);
  EXPECT_EQ(EndpointOf("a").active(), 0u);
}

TEST_P(ReconfigureTest, WhenEndpointIsClosed_UnusedConnectionsGoElsewhere) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair pair = Connect(a);
  ASSERT_TRUE(
      Eventually([&] { return EndpointOf("a").connections_total() == 1; }));
  snapshot_.Set("a", a.port(), v1::Endpoint::CLOSED).Ready("b", b.port());
  Apply();
  EXPECT_EQ(NextEvent(pair.server.get()), End::kReset);
  pair.server = b.Accept();
  ASSERT_TRUE(WriteString(pair.client.get(), "first"));
  EXPECT_EQ(ReadExactly(pair.server.get(), 5), "first");
  EXPECT_EQ(EndpointOf("a").active(), 0u);
}

TEST_P(ReconfigureTest, WhenEndpointIsRemoved_OldConnectionsGoOn) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair old = Establish(a);
  snapshot_.Remove("a").Ready("b", b.port());
  Apply();
  Connect(b);
  ASSERT_TRUE(WriteString(old.client.get(), "still"));
  EXPECT_EQ(ReadExactly(old.server.get(), 5), "still");
}

TEST_P(ReconfigureTest, WhenListenerIsRemoved_ConnectsAreRefused) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair old = Establish(backend);
  snapshot_.raw().clear_listeners();
  Apply();
  EXPECT_FALSE(ConnectTo(port_).ok());
  EXPECT_EQ(sockets_.open_count(), 0u);
  ASSERT_TRUE(WriteString(old.client.get(), "still"));
  EXPECT_EQ(ReadExactly(old.server.get(), 5), "still");
}

TEST_P(ReconfigureTest, WhenListenerGetsAnotherPool_NewConnectionsGoThere) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  v1::Pool& other = *snapshot_.raw().add_pools();
  other = snapshot_.raw().pools(0);
  other.set_id("q");
  other.mutable_endpoints(0)->set_port(b.port());
  snapshot_.raw().mutable_listeners(0)->set_pool("q");
  Apply();
  Connect(b);
  EXPECT_FALSE(a.HasConnection(kQuiet));
}

TEST_P(ReconfigureTest, WhenVersionIsNotHigher_NothingChanges) {
  Backend a;
  snapshot_.Ready("a", a.port());
  Apply();
  EXPECT_THAT(plane_->Apply(snapshot_.raw()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(plane_->GetStats().version(), 1u);
}

TEST_P(ReconfigureTest,
       WhenListenersCollide_TheFirstServesAndTheOtherIsReported) {
  Backend a;
  snapshot_.Ready("a", a.port());
  auto& twin = *snapshot_.raw().add_listeners();
  twin = snapshot_.raw().listeners(0);
  twin.set_key("twin");
  ASSERT_OK_AND_ASSIGN(auto applied, plane_->Apply(snapshot_.Next()));
  ASSERT_EQ(applied.errors_size(), 1);
  EXPECT_EQ(applied.errors(0).key(), "twin");
  EXPECT_EQ(applied.errors(0).error_number(), EADDRINUSE);
  Connect(a);
}

TEST_P(ReconfigureTest, WhenConnectionsHaveEnded_NoDescriptorIsLeft) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Establish(backend);
  ASSERT_TRUE(Eventually([&] { return EndpointOf("a").active() == 0; }));
  const size_t before = testing::OpenDescriptors();
  for (int i = 0; i < 50; ++i) {
    Pair pair = Establish(backend);
    if (i % 3 == 0) testing::CloseWithReset(pair.client);
    if (i % 3 == 1) testing::CloseWithReset(pair.server);
  }
  for (int i = 0; i < 20; ++i) {
    // Gone before they are connected.
    UniqueFd client = ConnectTo(port_);
    testing::CloseWithReset(client);
  }
  while (backend.Accept(kQuiet).ok()) {
  }
  EXPECT_TRUE(Eventually([&] { return testing::OpenDescriptors() == before; }));
  EXPECT_EQ(EndpointOf("a").active(), 0u);
}

TEST_P(ReconfigureTest, WhenEndpointsChangeUnderLoad_NoConnectionFails) {
  std::atomic<bool> stop = false, stop_servers = false;
  std::atomic<int> failed = 0, served = 0;
  auto serve = [&](Backend& b) {
    while (!stop_servers) {
      UniqueFd fd = b.Accept(absl::Milliseconds(20));
      if (!fd.ok()) continue;
      if (ReadExactly(fd.get(), 1) == "q") WriteString(fd.get(), "r");
    }
  };
  Backend a, b;
  snapshot_.Ready("a", a.port()).Ready("b", b.port());
  Apply();
  std::thread serve_a([&] { serve(a); });
  std::thread serve_b([&] { serve(b); });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        UniqueFd c = ConnectTo(port_);
        const bool ok = c.ok() && WriteString(c.get(), "q") &&
                        ReadExactly(c.get(), 1) == "r";
        ++(ok ? served : failed);
      }
    });
  }
  for (int i = 0; i < 60; ++i) {
    const bool even = i % 2 == 0;
    snapshot_.Set("a", a.port(),
                  even ? v1::Endpoint::DRAINING : v1::Endpoint::READY);
    snapshot_.Set(
        "b", b.port(),
        even || i % 3 == 0 ? v1::Endpoint::READY : v1::Endpoint::DRAINING);
    Apply();
    const int before = served;
    EXPECT_TRUE(Eventually([&] { return served > before + 5; }));
  }
  stop = true;
  for (auto& t : threads) t.join();
  stop_servers = true;
  serve_a.join();
  serve_b.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(Pool().failed_total(), 0u);
}

WITH_EACH_ENGINE(ReconfigureTest);

}  // namespace
}  // namespace bulwark::lb
