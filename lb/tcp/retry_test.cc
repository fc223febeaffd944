// Endpoints that refuse, do not answer, or end a connection early.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
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

// What an endpoint does with each connection, at once.
enum class Ending { kReset, kClose };

// Accepts connections and ends them unserved.
class EarlyEnder {
 public:
  explicit EarlyEnder(Ending ending)
      : thread_([this, ending] {
          while (!stop_) {
            UniqueFd fd = backend_.Accept(absl::Milliseconds(10));
            if (!fd.ok()) continue;
            ++count_;
            if (ending == Ending::kReset) testing::CloseWithReset(fd);
          }
        }) {}
  ~EarlyEnder() {
    stop_ = true;
    thread_.join();
  }

  uint16_t port() const { return backend_.port(); }
  int count() const { return count_; }

 private:
  Backend backend_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> count_ = 0;
  std::thread thread_;
};

TEST_P(RetryTest, WhenEndpointResetsBeforeTheFirstByte_AnotherServes) {
  EarlyEnder bad(Ending::kReset);
  Backend good;
  snapshot_.Ready("bad", bad.port()).Ready("good", good.port());
  snapshot_.pool().set_algorithm(v1::Pool::ROUND_ROBIN);
  Apply();
  for (int i = 0; i < 20; ++i) {
    Pair pair = Establish(good);
    ASSERT_TRUE(WriteString(pair.server.get(), "y"));
    EXPECT_EQ(ReadExactly(pair.client.get(), 1), "y");
  }
  EXPECT_EQ(Pool().failed_total(), 0u);
  EXPECT_EQ(Pool().retried_total(), static_cast<uint64_t>(bad.count()));
  EXPECT_EQ(EndpointOf("bad").connect_failures_total(), Pool().retried_total());
  EXPECT_EQ(EndpointOf("bad").active(), 0u);
  EXPECT_TRUE(EndpointOf("bad").ejected());
}

TEST_P(RetryTest, WhenEndpointClosesBeforeTheFirstByte_AnotherServes) {
  EarlyEnder bad(Ending::kClose);
  Backend good;
  snapshot_.Ready("bad", bad.port()).Ready("good", good.port());
  snapshot_.pool().set_algorithm(v1::Pool::ROUND_ROBIN);
  Apply();
  for (int i = 0; i < 20; ++i) Establish(good);
  EXPECT_EQ(Pool().failed_total(), 0u);
  EXPECT_GE(bad.count(), 5);
  EXPECT_EQ(Pool().retried_total(), static_cast<uint64_t>(bad.count()));
  // An orderly end is no sign of a fault.
  EXPECT_FALSE(EndpointOf("bad").ejected());
}

// An idle client of an endpoint that dies later than right after the connect.
TEST_P(RetryTest, WhenAnUnusedConnectionEnds_TheClientNoticesNothing) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair pair = Connect(a);
  ASSERT_TRUE(
      Eventually([&] { return EndpointOf("a").connections_total() == 1; }));
  snapshot_.Ready("b", b.port());
  Apply();
  testing::CloseWithReset(pair.server);
  pair.server = b.Accept();
  ASSERT_TRUE(pair.server.ok());
  ASSERT_TRUE(WriteString(pair.client.get(), "first"));
  EXPECT_EQ(ReadExactly(pair.server.get(), 5), "first");
  EXPECT_EQ(EndpointOf("a").active(), 0u);
  EXPECT_EQ(EndpointOf("b").active(), 1u);
}

TEST_P(RetryTest, WhenNoEndpointIsLeft_AnUnusedConnectionWaitsForOne) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair pair = Connect(a);
  ASSERT_TRUE(
      Eventually([&] { return EndpointOf("a").connections_total() == 1; }));
  snapshot_.Set("a", a.port(), v1::Endpoint::DRAINING);
  Apply();
  pair.server.Reset();
  ASSERT_TRUE(Eventually([&] { return Pool().held() == 1; }));
  // More than the client may send ahead: the rest stays in its socket.
  const std::string request(1 << 20, 'q');
  std::thread client([&] { WriteString(pair.client.get(), request); });
  snapshot_.Ready("b", b.port());
  Apply();
  pair.server = b.Accept();
  EXPECT_EQ(ReadExactly(pair.server.get(), request.size()), request);
  client.join();
}

TEST_P(RetryTest, WhenBytesComeBetweenTwoEndpoints_TheSecondGetsAll) {
  EarlyEnder bad(Ending::kReset);
  const uint16_t port = testing::FreePort();
  snapshot_.Ready("bad", bad.port()).Ready("late", port);
  Apply();
  for (int i = 0; i < 4; ++i) {
    UniqueFd client = ConnectTo(port_);
    const uint64_t failures = EndpointOf("late").connect_failures_total();
    // "bad" has had its turn, or never gets one.
    ASSERT_TRUE(Eventually([&] {
      return EndpointOf("late").connect_failures_total() >= failures + 2;
    }));
    ASSERT_TRUE(WriteString(client.get(), "early"));
    shutdown(client.get(), SHUT_WR);
    Backend late(port);
    UniqueFd server = late.Accept();
    ASSERT_TRUE(server.ok());
    EXPECT_EQ(ReadExactly(server.get(), 5), "early");
    EXPECT_EQ(NextEvent(server.get()), End::kClosed);
    ASSERT_TRUE(WriteString(server.get(), "answer"));
    EXPECT_EQ(ReadExactly(client.get(), 6), "answer");
  }
}

TEST_P(RetryTest,
       WhenEveryEndpointEndsEarly_EachIsAskedOnceThenTheClientKnows) {
  for (const Ending ending : {Ending::kReset, Ending::kClose}) {
    EarlyEnder a(ending), b(ending), c(ending);
    snapshot_.pool().clear_endpoints();
    snapshot_.Ready("a", a.port()).Ready("b", b.port()).Ready("c", c.port());
    Apply();
    const uint64_t failed = Pool().failed_total();
    UniqueFd client = ConnectTo(port_);
    EXPECT_EQ(NextEvent(client.get()),
              ending == Ending::kReset ? End::kReset : End::kClosed);
    EXPECT_EQ(a.count(), 1);
    EXPECT_EQ(b.count(), 1);
    EXPECT_EQ(c.count(), 1);
    EXPECT_EQ(Pool().failed_total() - failed,
              ending == Ending::kReset ? 1u : 0u);
    client.Reset();
    EXPECT_TRUE(Eventually([&] {
      return EndpointOf("a").active() + EndpointOf("b").active() +
                 EndpointOf("c").active() ==
             0;
    }));
  }
}

TEST_P(RetryTest, WhenManyEndpointsEndEarly_NotAllAreAsked) {
  std::vector<std::unique_ptr<EarlyEnder>> bad;
  for (int i = 0; i < 8; ++i) {
    bad.push_back(std::make_unique<EarlyEnder>(Ending::kReset));
    snapshot_.Ready(std::string(1, 'a' + i), bad.back()->port());
  }
  Apply();
  UniqueFd client = ConnectTo(port_);
  EXPECT_EQ(NextEvent(client.get()), End::kReset);
  int count = 0;
  for (const auto& b : bad) count += b->count();
  EXPECT_EQ(count, 1 + Worker::kMaxOthers);
}

TEST_P(RetryTest, WhenTheRequestWasSent_NobodyElseGetsIt) {
  for (const Ending ending : {Ending::kReset, Ending::kClose}) {
    Backend a, b;
    snapshot_.pool().clear_endpoints();
    snapshot_.Ready("a", a.port());
    Apply();
    Pair pair = Establish(a);
    snapshot_.Ready("b", b.port());
    Apply();
    if (ending == Ending::kReset) {
      testing::CloseWithReset(pair.server);
      EXPECT_EQ(NextEvent(pair.client.get()), End::kReset);
    } else {
      pair.server.Reset();
      EXPECT_EQ(NextEvent(pair.client.get()), End::kClosed);
    }
    EXPECT_FALSE(b.HasConnection(kQuiet));
    EXPECT_EQ(Pool().retried_total(), 0u);
  }
}

TEST_P(RetryTest, WhenTheEndpointHasSpoken_NobodyElseGetsTheClient) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair pair = Connect(a);
  ASSERT_TRUE(WriteString(pair.server.get(), "220"));
  ASSERT_EQ(ReadExactly(pair.client.get(), 3), "220");
  snapshot_.Ready("b", b.port());
  Apply();
  testing::CloseWithReset(pair.server);
  EXPECT_EQ(NextEvent(pair.client.get()), End::kReset);
  EXPECT_FALSE(b.HasConnection(kQuiet));
}

TEST_P(RetryTest, WhenTheClientHasEndedItsStream_TheAnswerIsFinal) {
  Backend a, b;
  snapshot_.Ready("a", a.port());
  Apply();
  Pair pair = Connect(a);
  shutdown(pair.client.get(), SHUT_WR);
  ASSERT_EQ(NextEvent(pair.server.get()), End::kClosed);
  snapshot_.Ready("b", b.port());
  Apply();
  pair.server.Reset();
  EXPECT_EQ(NextEvent(pair.client.get()), End::kClosed);
  EXPECT_FALSE(b.HasConnection(kQuiet));
}

// Bytes meet ends at every moment: what a dying endpoint has read, no other may
// ever see.
TEST_P(RetryTest, WhenEndpointsDieUnderLoad_NoRequestIsDeliveredTwice) {
  constexpr int kClients = 4, kRequests = 300;
  Backend dying, good;
  snapshot_.Ready("dying", dying.port()).Ready("good", good.port());
  snapshot_.pool().set_algorithm(v1::Pool::ROUND_ROBIN);
  Apply();
  std::atomic<bool> stop = false;
  std::set<std::string> read_by_dying, read_by_good;
  // Takes what is there, and dies of it.
  std::thread serve_dying([&] {
    for (int n = 0; !stop; ++n) {
      UniqueFd fd = dying.Accept(absl::Milliseconds(5));
      if (!fd.ok()) continue;
      char request[6];
      if (recv(fd.get(), request, sizeof(request), MSG_DONTWAIT) == 6) {
        read_by_dying.insert(std::string(request, 6));
      }
      if (n % 2 == 0) testing::CloseWithReset(fd);
    }
  });
  std::thread serve_good([&] {
    while (!stop) {
      UniqueFd fd = good.Accept(absl::Milliseconds(5));
      if (!fd.ok()) continue;
      const std::string request = ReadExactly(fd.get(), 6);
      if (request.size() == 6) read_by_good.insert(request);
      WriteString(fd.get(), "y");
    }
  });
  std::atomic<int> answered = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < kRequests; ++i) {
        UniqueFd fd = ConnectTo(port_);
        WriteString(fd.get(), std::to_string(100000 + c * kRequests + i));
        answered += ReadExactly(fd.get(), 1) == "y";
      }
    });
  }
  for (auto& t : clients) t.join();
  stop = true;
  serve_dying.join();
  serve_good.join();
  for (const std::string& id : read_by_dying) {
    EXPECT_EQ(read_by_good.count(id), 0u) << id;
  }
  EXPECT_EQ(read_by_good.size(), static_cast<size_t>(answered));
  EXPECT_GE(answered, kClients * kRequests / 2);
  EXPECT_GT(Pool().retried_total(), 0u);
}

WITH_EACH_ENGINE(RetryTest);

}  // namespace
}  // namespace bulwark::lb
