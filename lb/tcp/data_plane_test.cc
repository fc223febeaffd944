// The data path over real sockets on loopback, with each engine.
#include "lb/tcp/data_plane.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "base/testing/status_matchers.h"
#include "lb/tcp/testing.h"

namespace bulwark::lb {
namespace {

using bulwark::testing::IsOk;
using bulwark::testing::StatusIs;
using testing::Backend;
using testing::ConnectTo;
using testing::End;
using testing::Eventually;
using testing::NextEvent;
using testing::ReadExactly;
using testing::SnapshotBuilder;
using testing::WriteString;

namespace v1 = dataplane::v1;

// Long enough to show that something does not happen.
constexpr absl::Duration kQuiet = absl::Milliseconds(50);

class DataPlaneTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  DataPlaneTest() : port_(testing::FreePort()), snapshot_(port_) {
    auto plane = DataPlane::Start({/*workers=*/2, GetParam()}, sockets_, clock_,
                                  entropy_);
    if (plane.ok()) plane_ = *std::move(plane);
  }

  void SetUp() override { ASSERT_NE(plane_, nullptr); }

  void Apply() { ASSERT_OK(plane_->Apply(snapshot_.Next())); }

  v1::PoolStats Pool() { return plane_->GetStats().pools(0); }
  v1::EndpointStats EndpointOf(const std::string& id) {
    const v1::PoolStats pool = Pool();
    for (const auto& e : pool.endpoints()) {
      if (e.id() == id) return e;
    }
    return {};
  }

  // A client and its backend's end, connected through the proxy.
  struct Pair {
    UniqueFd client, server;
  };
  Pair Connect(Backend& backend) {
    Pair pair;
    pair.client = ConnectTo(port_);
    pair.server = backend.Accept();
    EXPECT_TRUE(pair.client.ok());
    EXPECT_TRUE(pair.server.ok());
    return pair;
  }

  // The same, and the proxy knows it too: until then, a change of the endpoints
  // sends the connection elsewhere.
  Pair Establish(Backend& backend) {
    Pair pair = Connect(backend);
    EXPECT_TRUE(WriteString(pair.client.get(), "x"));
    EXPECT_EQ(ReadExactly(pair.server.get(), 1), "x");
    return pair;
  }

  RealClock clock_;
  RealEntropy entropy_;
  testing::LocalSockets sockets_;
  const uint16_t port_;
  SnapshotBuilder snapshot_;
  std::unique_ptr<DataPlane> plane_;
};

TEST_P(DataPlaneTest, WhenBytesAreSent_TheyArriveBothWays) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  ASSERT_TRUE(WriteString(pair.client.get(), "ping"));
  EXPECT_EQ(ReadExactly(pair.server.get(), 4), "ping");
  ASSERT_TRUE(WriteString(pair.server.get(), "pong!"));
  EXPECT_EQ(ReadExactly(pair.client.get(), 5), "pong!");
  EXPECT_TRUE(Eventually([&] {
    const auto e = EndpointOf("a");
    return e.active() == 1 && e.connections_total() == 1 &&
           e.bytes_in_total() == 4 && e.bytes_out_total() == 5;
  }));
}

TEST_P(DataPlaneTest, WhenServerSpeaksFirst_ClientHearsIt) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  ASSERT_TRUE(WriteString(pair.server.get(), "220 hello"));
  EXPECT_EQ(ReadExactly(pair.client.get(), 9), "220 hello");
}

TEST_P(DataPlaneTest, WhenClientEndsItsStream_ServerCanStillAnswer) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  ASSERT_TRUE(WriteString(pair.client.get(), "request"));
  shutdown(pair.client.get(), SHUT_WR);
  EXPECT_EQ(ReadExactly(pair.server.get(), 7), "request");
  EXPECT_EQ(NextEvent(pair.server.get()), End::kClosed);
  ASSERT_TRUE(WriteString(pair.server.get(), "answer"));
  EXPECT_EQ(ReadExactly(pair.client.get(), 6), "answer");
  EXPECT_EQ(NextEvent(pair.client.get(), kQuiet), End::kTimeout);
  pair.server.Reset();
  EXPECT_EQ(NextEvent(pair.client.get()), End::kClosed);
  EXPECT_TRUE(Eventually([&] { return EndpointOf("a").active() == 0; }));
}

TEST_P(DataPlaneTest, WhenServerEndsItsStream_ClientCanStillSend) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  shutdown(pair.server.get(), SHUT_WR);
  EXPECT_EQ(NextEvent(pair.client.get()), End::kClosed);
  ASSERT_TRUE(WriteString(pair.client.get(), "more"));
  EXPECT_EQ(ReadExactly(pair.server.get(), 4), "more");
}

TEST_P(DataPlaneTest, WhenClientResets_ServerSeesAReset) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  testing::CloseWithReset(pair.client);
  EXPECT_EQ(NextEvent(pair.server.get()), End::kReset);
  EXPECT_TRUE(Eventually([&] { return EndpointOf("a").active() == 0; }));
}

TEST_P(DataPlaneTest, WhenServerResets_ClientSeesAReset) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  // A reset before the first byte would count as a failed connect.
  Pair pair = Establish(backend);
  testing::CloseWithReset(pair.server);
  EXPECT_EQ(NextEvent(pair.client.get()), End::kReset);
}

TEST_P(DataPlaneTest, WhenServerAnswersAndCloses_ClientGetsAllOfIt) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  const std::string answer(3 << 20, 'x');
  for (int i = 0; i < 5; ++i) {
    Pair pair = Connect(backend);
    std::thread server([&] {
      WriteString(pair.server.get(), answer);
      pair.server.Reset();
    });
    EXPECT_EQ(ReadExactly(pair.client.get(), answer.size()).size(),
              answer.size());
    server.join();
    EXPECT_EQ(NextEvent(pair.client.get()), End::kClosed);
  }
}

TEST_P(DataPlaneTest, WhenServerClosesOnASendingClient_ClientGetsTheAnswer) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  ASSERT_TRUE(WriteString(pair.client.get(), "part one"));
  ASSERT_EQ(ReadExactly(pair.server.get(), 8), "part one");
  ASSERT_TRUE(WriteString(pair.server.get(), "too large"));
  pair.server.Reset();
  for (int i = 0; i < 20; ++i) {
    if (!WriteString(pair.client.get(), std::string(1000, 'x'))) break;
  }
  EXPECT_EQ(ReadExactly(pair.client.get(), 9), "too large");
}

TEST_P(DataPlaneTest, WhenReaderIsSlow_SenderIsHeldBackAndNothingIsLost) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  constexpr size_t kTotal = 64 << 20;
  std::atomic<size_t> sent = 0;
  std::thread sender([&] {
    std::string block(1 << 16, '\0');
    while (sent < kTotal) {
      for (size_t i = 0; i < block.size(); ++i) {
        block[i] = static_cast<char>((sent + i) * 31 >> 3);
      }
      if (!WriteString(pair.server.get(), block)) break;
      sent += block.size();
    }
    shutdown(pair.server.get(), SHUT_WR);
  });
  // The sender stops before it has sent all: kernel buffers are what they are,
  // but they are not 64 MiB.
  size_t last = 0;
  RealClock clock;
  do {
    last = sent;
    clock.Sleep(absl::Milliseconds(100));
  } while (sent != last);
  EXPECT_LT(last, kTotal);
  size_t received = 0, wrong = 0;
  while (received < kTotal) {
    const std::string block = ReadExactly(pair.client.get(), 1 << 16);
    if (block.empty()) break;
    for (size_t i = 0; i < block.size(); ++i) {
      wrong += block[i] != static_cast<char>((received + i) * 31 >> 3);
    }
    received += block.size();
  }
  sender.join();
  EXPECT_EQ(received, kTotal);
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(NextEvent(pair.client.get()), End::kClosed);
}

TEST_P(DataPlaneTest, WhenBothSidesSendInBulk_BothGetAll) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  const std::string data(16 << 20, 'b');
  std::string up, down;
  std::thread w1([&] { WriteString(pair.client.get(), data); });
  std::thread w2([&] { WriteString(pair.server.get(), data); });
  std::thread r1([&] { up = ReadExactly(pair.server.get(), data.size()); });
  down = ReadExactly(pair.client.get(), data.size());
  w1.join();
  w2.join();
  r1.join();
  EXPECT_EQ(up.size(), data.size());
  EXPECT_EQ(down.size(), data.size());
}

TEST_P(DataPlaneTest, WhenNoEndpointIsReady_ConnectionWaitsForOne) {
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

TEST_P(DataPlaneTest, WhenPoolIsPaused_ConnectionsWaitUntilItIsResumed) {
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

TEST_P(DataPlaneTest, WhenHoldTimeEnds_ConnectionIsReset) {
  snapshot_.pool().mutable_hold_timeout()->set_nanos(20'000'000);
  Apply();
  UniqueFd client = ConnectTo(port_);
  EXPECT_EQ(NextEvent(client.get()), End::kReset);
  EXPECT_TRUE(Eventually([&] { return Pool().failed_total() == 1; }));
  EXPECT_EQ(Pool().held(), 0u);
}

TEST_P(DataPlaneTest, WhenHoldIsFull_FurtherConnectionsAreReset) {
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

TEST_P(DataPlaneTest, WhenHeldClientResets_ItsPlaceIsFree) {
  snapshot_.pool().set_hold_limit(1);
  Apply();
  UniqueFd client = ConnectTo(port_);
  ASSERT_TRUE(Eventually([&] { return Pool().held() == 1; }));
  testing::CloseWithReset(client);
  EXPECT_TRUE(Eventually([&] { return Pool().held() == 0; }));
}

TEST_P(DataPlaneTest, WhenOneEndpointRefuses_AnotherServes) {
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

TEST_P(DataPlaneTest, WhenOneEndpointDoesNotAnswer_AnotherServes) {
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

TEST_P(DataPlaneTest, WhenTheOnlyEndpointComesBackSoon_NothingFails) {
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

TEST_P(DataPlaneTest, WhenEveryEndpointRefuses_ClientIsResetInTheEnd) {
  snapshot_.Ready("a", testing::FreePort()).Ready("b", testing::FreePort());
  Apply();
  UniqueFd client = ConnectTo(port_);
  EXPECT_EQ(NextEvent(client.get()), End::kReset);
  EXPECT_EQ(Pool().failed_total(), 1u);
}

TEST_P(DataPlaneTest, WhenEndpointDrains_OldConnectionsGoOnNewOnesGoElsewhere) {
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

TEST_P(DataPlaneTest, WhenEndpointIsClosed_ItsConnectionsAreReset) {
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

TEST_P(DataPlaneTest, WhenEndpointIsRemoved_OldConnectionsGoOn) {
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

TEST_P(DataPlaneTest, WhenListenerIsRemoved_ConnectsAreRefused) {
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

TEST_P(DataPlaneTest, WhenListenerGetsAnotherPool_NewConnectionsGoThere) {
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

TEST_P(DataPlaneTest, WhenVersionIsNotHigher_NothingChanges) {
  Backend a;
  snapshot_.Ready("a", a.port());
  Apply();
  EXPECT_THAT(plane_->Apply(snapshot_.raw()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(plane_->GetStats().version(), 1u);
}

TEST_P(DataPlaneTest,
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

TEST_P(DataPlaneTest, WhenAThousandConnectionsIdle_AllStillWork) {
  Backend backend(0, 2048);
  snapshot_.Ready("a", backend.port());
  Apply();
  std::vector<Pair> pairs;
  for (int i = 0; i < 1000; ++i) {
    pairs.push_back(Connect(backend));
    ASSERT_TRUE(WriteString(pairs.back().client.get(), "a"));
    ASSERT_EQ(ReadExactly(pairs.back().server.get(), 1), "a");
  }
  EXPECT_EQ(EndpointOf("a").active(), 1000u);
  for (Pair& p : pairs) ASSERT_TRUE(WriteString(p.server.get(), "b"));
  for (Pair& p : pairs) ASSERT_EQ(ReadExactly(p.client.get(), 1), "b");
  pairs.clear();
  EXPECT_TRUE(Eventually([&] { return EndpointOf("a").active() == 0; }));
}

TEST_P(DataPlaneTest, WhenManyReadersAreSlow_OthersAreServed) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  // Each server sends all that it can; no client reads.
  const std::string block(64 << 10, 's');
  std::vector<Pair> slow;
  for (int i = 0; i < 48; ++i) {
    slow.push_back(Establish(backend));
    while (send(slow.back().server.get(), block.data(), block.size(),
                MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
    }
  }
  for (int i = 0; i < 20; ++i) {
    Pair pair = Establish(backend);
    const std::string answer(100'000, 'f');
    std::thread server([&] { WriteString(pair.server.get(), answer); });
    EXPECT_EQ(ReadExactly(pair.client.get(), answer.size()).size(),
              answer.size());
    server.join();
  }
  // And a slow reader that begins to read gets what was sent.
  EXPECT_EQ(ReadExactly(slow[7].client.get(), 1 << 20),
            std::string(1 << 20, 's'));
}

TEST_P(DataPlaneTest, WhenConnectionsHaveEnded_NoDescriptorIsLeft) {
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

TEST_P(DataPlaneTest, WhenEndpointsChangeUnderLoad_NoConnectionFails) {
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

INSTANTIATE_TEST_SUITE_P(Engines, DataPlaneTest,
                         ::testing::Values(EngineKind::kEpoll,
                                           EngineKind::kIoUring),
                         [](const auto& info) -> std::string {
                           return info.param == EngineKind::kEpoll ? "Epoll"
                                                                   : "IoUring";
                         });

}  // namespace
}  // namespace bulwark::lb
