// A listener whose last owner was killed, and has not quite gone yet.
#include <gtest/gtest.h>
#include <liburing.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "lb/tcp/engine.h"

namespace bulwark::lb {
namespace {

class Accepts final : public EngineEvents {
 public:
  void OnAccept(uint64_t, int fd) override {
    ++count;
    close(fd);
  }
  void OnConnect(Session&, int) override {}
  bool OnEarlyEnd(Session&, bool) override { return false; }
  void OnCommitted(Session&) override {}
  void OnClosed(Session&) override {}

  int count = 0;
};

// A ring that waits for connections and never looks at what it gets: that of a
// process that was killed is like this until the kernel has taken it apart.
class DeadRing {
 public:
  explicit DeadRing(int listener) {
    io_uring_params params = {};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    CHECK(io_uring_queue_init_params(8, &ring_, &params) == 0);
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    io_uring_prep_multishot_accept(sqe, listener, nullptr, nullptr,
                                   SOCK_CLOEXEC);
    CHECK(io_uring_submit(&ring_) == 1);
  }
  ~DeadRing() { io_uring_queue_exit(&ring_); }

 private:
  io_uring ring_ = {};
};

class TakeoverTest : public ::testing::TestWithParam<EngineKind> {};

TEST_P(TakeoverTest, WhenTheLastOwnerIsNotQuiteGone_ConnectionsAreAccepted) {
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size),
            0);
  ASSERT_EQ(listen(listener.get(), 16), 0);
  ASSERT_EQ(
      getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size),
      0);
  const DeadRing dead(listener.get());

  Accepts accepts;
  ASSERT_OK_AND_ASSIGN(auto engine, MakeEngine(GetParam(), accepts));
  ASSERT_OK(engine->AddListener(1, listener.get()));
  engine->Poll(0);
  // The dead ring is woken for it.
  UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), size),
            0);
  for (int i = 0; i < 100 && accepts.count == 0; ++i) {
    engine->Poll(100'000'000);
  }
  EXPECT_EQ(accepts.count, 1);
  engine->RemoveListener(1);
}

INSTANTIATE_TEST_SUITE_P(Engines, TakeoverTest,
                         ::testing::Values(EngineKind::kIoUring,
                                           EngineKind::kEpoll),
                         [](const auto& info) -> std::string {
                           return info.param == EngineKind::kEpoll ? "Epoll"
                                                                   : "IoUring";
                         });

}  // namespace
}  // namespace bulwark::lb
