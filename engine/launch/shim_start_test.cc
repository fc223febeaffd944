// Programs that are no shim: what an order that cannot be given looks like.
#include "engine/launch/shim_start.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/shim/shim_fds.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kLongest = absl::Seconds(20);

class ShimStartTest : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a process is left";
  }
  static absl::StatusOr<ShimStart> Begin(const std::string& program,
                                         std::vector<std::string> args) {
    const UniqueFd fd(open(program.c_str(), O_RDONLY | O_CLOEXEC));
    return ShimStart::Begin(fd.get(), std::move(args), {});
  }
  static absl::StatusOr<ShimStart> Shell(const std::string& script) {
    return Begin("/bin/sh", {"sh", "-c", script});
  }
};

TEST_F(ShimStartTest, WhenItHasEnded_TheOrderSaysSo) {
  ASSERT_OK_AND_ASSIGN(ShimStart start, Shell("exit 0"));
  ASSERT_TRUE(os::AwaitEnd(start.pidfd(), kLongest));

  EXPECT_THAT(start.Order("plan", -1).message(),
              HasSubstr("send the launch plan to bulwark-shim"));
  EXPECT_OK(start.Settle());
}

TEST_F(ShimStartTest, WhenItCannotBeExecuted_TheOrderSaysThat) {
  testing::TempDir dir;
  const std::string path = dir.path() + "/text";
  std::ofstream(path) << "no program";
  ASSERT_EQ(chmod(path.c_str(), 0755), 0);
  ASSERT_OK_AND_ASSIGN(ShimStart start, Begin(path, {"text"}));
  ASSERT_TRUE(os::AwaitEnd(start.pidfd(), kLongest));

  EXPECT_THAT(start.Order("plan", -1).message(),
              HasSubstr("execute bulwark-shim"));
  EXPECT_THAT(start.Settle().message(), HasSubstr("execute bulwark-shim"));
}

TEST_F(ShimStartTest, WhenTheThirdIsNoDescriptor_NothingIsOrdered) {
  ASSERT_OK_AND_ASSIGN(ShimStart start, Shell("exit 0"));
  EXPECT_FALSE(start.Order("plan", 1 << 20).ok());
}

TEST_F(ShimStartTest, WhenThereIsNoOrder_ItEndsWithTheObject) {
  const std::string wait =
      "read line <&" + std::to_string(shim::kStatusFd) + "; exit 0";
  ASSERT_OK_AND_ASSIGN(ShimStart start, Shell(wait));
  ASSERT_OK(start.Settle());
  EXPECT_FALSE(os::AwaitEnd(start.pidfd(), absl::ZeroDuration()));
}

}  // namespace
}  // namespace bulwark::engine
