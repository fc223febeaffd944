#include "lb/control/frame.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <thread>

#include "base/testing/status_matchers.h"
#include "base/unique_fd.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::lb {
namespace {

using bulwark::testing::IsOk;
using bulwark::testing::StatusIs;

class FrameTest : public ::testing::Test {
 protected:
  FrameTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                         ends),
              0);
    a_.Reset(ends[0]);
    b_.Reset(ends[1]);
  }

  absl::Status Read(dataplane::v1::Request& request,
                    absl::Duration timeout = absl::Seconds(10)) {
    return ReadFrame(b_.get(), request, clock_, clock_.Steady() + timeout);
  }

  RealClock clock_;
  UniqueFd a_, b_;
};

TEST_F(FrameTest, WhenLargerThanTheSocketBuffer_ArrivesWhole) {
  dataplane::v1::Request sent, received;
  for (int i = 0; i < 20000; ++i) {
    sent.mutable_apply()->add_dns_upstreams(std::string(200, 'x'));
  }
  std::thread writer([&] {
    EXPECT_OK(WriteFrame(a_.get(), sent, clock_,
                         clock_.Steady() + absl::Seconds(10)));
  });
  EXPECT_OK(Read(received));
  writer.join();
  EXPECT_EQ(received.SerializeAsString(), sent.SerializeAsString());
}

TEST_F(FrameTest, WhenPeerClosesBetweenFrames_IsNotFound) {
  a_.Reset();
  dataplane::v1::Request request;
  EXPECT_THAT(Read(request), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FrameTest, WhenPeerClosesWithinAFrame_IsUnavailable) {
  for (const std::string& bytes :
       {std::string("\x10", 1), std::string("\x10\0\0\0", 4),
        std::string("\x10\0\0\0abc", 7)}) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                         ends),
              0);
    a_.Reset(ends[0]);
    b_.Reset(ends[1]);
    ASSERT_EQ(write(a_.get(), bytes.data(), bytes.size()),
              static_cast<ssize_t>(bytes.size()));
    a_.Reset();
    dataplane::v1::Request request;
    EXPECT_THAT(Read(request), StatusIs(absl::StatusCode::kUnavailable));
  }
}

TEST_F(FrameTest, WhenLengthIsAbsurd_IsRefused) {
  ASSERT_EQ(write(a_.get(), "\xff\xff\xff\xff", 4), 4);
  dataplane::v1::Request request;
  EXPECT_THAT(Read(request), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(FrameTest, WhenBytesAreNoMessage_IsRefused) {
  ASSERT_EQ(write(a_.get(), "\x02\0\0\0\xff\xff", 6), 6);
  dataplane::v1::Request request;
  EXPECT_THAT(Read(request), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(FrameTest, WhenNothingComes_DeadlineEndsIt) {
  dataplane::v1::Request request;
  EXPECT_THAT(Read(request, absl::Milliseconds(5)),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

}  // namespace
}  // namespace bulwark::lb
