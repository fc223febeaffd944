#include "engine/child/spin.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/unique_fd.h"

namespace bulwark::child {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kLong = 20'000'000'000;  // ns
constexpr auto kSoon = std::chrono::seconds(10);

class SpinTest : public ::testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    ours_.Reset(fds[0]);
    theirs_.Reset(fds[1]);
  }

  Clock::duration Spin(uint64_t limit) {
    const Clock::time_point begin = Clock::now();
    SpinForInput(ours_.get(), limit);
    return Clock::now() - begin;
  }

  UniqueFd ours_, theirs_;
};

TEST_F(SpinTest, WithInput_ReturnsAtOnceAndLeavesIt) {
  ASSERT_EQ(write(theirs_.get(), "x", 1), 1);
  EXPECT_LT(Spin(kLong), kSoon);
  char byte = 0;
  EXPECT_EQ(read(ours_.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(SpinTest, AtTheEnd_ReturnsAtOnce) {
  theirs_.Reset();
  EXPECT_LT(Spin(kLong), kSoon);
}

TEST_F(SpinTest, WhenInputComes_Returns) {
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(write(theirs_.get(), "x", 1), 1);
  });
  EXPECT_LT(Spin(kLong), kSoon);
  writer.join();
}

TEST_F(SpinTest, WithoutInput_ReturnsAtTheLimit) {
  const Clock::duration took = Spin(5'000'000);
  EXPECT_GE(took, std::chrono::milliseconds(5));
  EXPECT_LT(took, kSoon);
}

TEST_F(SpinTest, OfNoDescriptor_ReturnsAtOnce) {
  ours_.Reset();
  const Clock::time_point begin = Clock::now();
  SpinForInput(1'000'000, kLong);
  EXPECT_LT(Clock::now() - begin, kSoon);
}

}  // namespace
}  // namespace bulwark::child
