#include "os/passed_fds.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/check.h"

namespace bulwark::os {
namespace {

class PassedFdsTest : public ::testing::Test {
 protected:
  PassedFdsTest() {
    int sockets[2];
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
    ours_.Reset(sockets[0]);
    theirs_.Reset(sockets[1]);
  }
  // The text of the next message; "errno N" if there is none.
  std::string Receive() {
    char text[64];
    const ssize_t n =
        ReceiveWithFds(theirs_.get(), text, sizeof(text), received_, &lost_);
    return n < 0 ? "errno " + std::to_string(errno) : std::string(text, n);
  }
  static bool IsNull(int fd) {
    struct stat got, wanted;
    return fstat(fd, &got) == 0 && stat("/dev/null", &wanted) == 0 &&
           got.st_rdev == wanted.st_rdev;
  }

  UniqueFd ours_, theirs_;
  UniqueFd null_{open("/dev/null", O_RDONLY | O_CLOEXEC)};
  std::vector<UniqueFd> received_;
  bool lost_ = true;
};

TEST_F(PassedFdsTest, WhenSent_TheyArriveWithTheMessage) {
  EXPECT_EQ(SendWithFds(ours_.get(), "two", {null_.get(), ours_.get()}, 0), 3);
  EXPECT_EQ(SendWithFds(ours_.get(), "none", {}, 0), 4);

  EXPECT_EQ(Receive(), "two");
  ASSERT_EQ(received_.size(), 2u);
  EXPECT_TRUE(IsNull(received_[0].get()));
  EXPECT_FALSE(IsNull(received_[1].get()));
  EXPECT_EQ(fcntl(received_[0].get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(Receive(), "none");
  EXPECT_EQ(received_.size(), 2u);
  EXPECT_FALSE(lost_);
  EXPECT_TRUE(IsNull(null_.get()));
}

TEST_F(PassedFdsTest, WhenThereAreAsManyAsMayBe_AllArrive) {
  const std::vector<int> most(kMaxPassedFds, null_.get());
  EXPECT_EQ(SendWithFds(ours_.get(), "x", most, 0), 1);
  EXPECT_EQ(Receive(), "x");
  EXPECT_EQ(received_.size(), kMaxPassedFds);

  const std::vector<int> more(kMaxPassedFds + 1, null_.get());
  EXPECT_EQ(SendWithFds(ours_.get(), "x", more, 0), -1);
  EXPECT_EQ(errno, EINVAL);
}

TEST_F(PassedFdsTest, WhenNoMoreMayBeOpen_ItIsTold) {
  EXPECT_EQ(SendWithFds(ours_.get(), "x", {null_.get(), null_.get()}, 0), 1);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // All numbers below it are taken.
  const UniqueFd next(dup(null_.get()));
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(next.get());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::string text = Receive();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);

  EXPECT_EQ(text, "x");
  EXPECT_TRUE(received_.empty());
  EXPECT_TRUE(lost_);
}

TEST_F(PassedFdsTest, WhenThePeerIsGone_ThereIsAnErrorAndNoSignal) {
  theirs_.Reset();
  EXPECT_EQ(SendWithFds(ours_.get(), "x", {null_.get()}, 0), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(PassedFdsTest, WhenItIsNoDescriptor_NothingIsSent) {
  EXPECT_EQ(SendWithFds(ours_.get(), "x", {-1}, 0), -1);
  EXPECT_EQ(errno, EBADF);
  ours_.Reset();
  EXPECT_EQ(Receive(), "");
}

}  // namespace
}  // namespace bulwark::os
