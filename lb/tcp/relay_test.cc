// How bytes, ends and resets pass through the data path.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "lb/tcp/data_plane_fixture.h"

namespace bulwark::lb {
namespace {

using testing::Backend;
using testing::End;
using testing::Eventually;
using testing::kQuiet;
using testing::NextEvent;
using testing::ReadExactly;
using testing::WriteString;

class RelayTest : public testing::DataPlaneFixture {};

TEST_P(RelayTest, WhenBytesAreSent_TheyArriveBothWays) {
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
           e.connect_nanoseconds_total() > 0 && e.bytes_in_total() == 4 &&
           e.bytes_out_total() == 5;
  }));
}

TEST_P(RelayTest, WhenServerSpeaksFirst_ClientHearsIt) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  ASSERT_TRUE(WriteString(pair.server.get(), "220 hello"));
  EXPECT_EQ(ReadExactly(pair.client.get(), 9), "220 hello");
}

TEST_P(RelayTest, WhenClientEndsItsStream_ServerCanStillAnswer) {
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

TEST_P(RelayTest, WhenServerEndsItsStream_ClientCanStillSend) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  shutdown(pair.server.get(), SHUT_WR);
  EXPECT_EQ(NextEvent(pair.client.get()), End::kClosed);
  ASSERT_TRUE(WriteString(pair.client.get(), "more"));
  EXPECT_EQ(ReadExactly(pair.server.get(), 4), "more");
}

TEST_P(RelayTest, WhenClientResets_ServerSeesAReset) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  Pair pair = Connect(backend);
  testing::CloseWithReset(pair.client);
  EXPECT_EQ(NextEvent(pair.server.get()), End::kReset);
  EXPECT_TRUE(Eventually([&] { return EndpointOf("a").active() == 0; }));
}

TEST_P(RelayTest, WhenServerResets_ClientSeesAReset) {
  Backend backend;
  snapshot_.Ready("a", backend.port());
  Apply();
  // A reset before the first byte would count as a failed connect.
  Pair pair = Establish(backend);
  testing::CloseWithReset(pair.server);
  EXPECT_EQ(NextEvent(pair.client.get()), End::kReset);
}

TEST_P(RelayTest, WhenServerAnswersAndCloses_ClientGetsAllOfIt) {
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

TEST_P(RelayTest, WhenServerClosesOnASendingClient_ClientGetsTheAnswer) {
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

TEST_P(RelayTest, WhenReaderIsSlow_SenderIsHeldBackAndNothingIsLost) {
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

TEST_P(RelayTest, WhenBothSidesSendInBulk_BothGetAll) {
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

TEST_P(RelayTest, WhenAThousandConnectionsIdle_AllStillWork) {
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

TEST_P(RelayTest, WhenManyReadersAreSlow_OthersAreServed) {
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

WITH_EACH_ENGINE(RelayTest);

}  // namespace
}  // namespace bulwark::lb
