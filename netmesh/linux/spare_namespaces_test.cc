#include "netmesh/linux/spare_namespaces.h"

#include <gtest/gtest.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/status_matchers.h"
#include "os/files.h"

namespace bulwark::netmesh {
namespace {

constexpr size_t kCount = 3;
constexpr os::IdRange kIds = {1879048192, 65536};

os::IdRange Range(uint32_t n) {
  return {kIds.first + n * kIds.size, kIds.size};
}

ino_t Inode(int fd) {
  struct stat st = {};
  EXPECT_EQ(fstat(fd, &st), 0);
  return st.st_ino;
}

size_t OpenFiles() { return os::ListDir("/proc/self/fd").value().size(); }

// Whether the users to whom `netns` belongs are those of `ids`.
bool BelongsTo(const SandboxNamespace& taken, const os::IdRange& ids) {
  const UniqueFd users(ioctl(taken.network.get(), NS_GET_USERNS));
  const int pid = fork();
  if (pid == 0) {
    if (setns(users.get(), CLONE_NEWUSER) != 0) _exit(1);
    uint32_t inside = 1, outside = 0, size = 0;
    std::ifstream("/proc/self/uid_map") >> inside >> outside >> size;
    _exit(inside == 0 && ids == os::IdRange{outside, size} ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status == 0;
}

class SpareNamespacesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(spares_, SpareNamespaces::Start(kCount));
  }

  std::string SysctlIn(int netns, const std::string& name) {
    auto worker = os::NetnsWorker::Start().value();
    std::string value;
    EXPECT_OK(worker->Run(netns, [&] {
      std::ifstream("/proc/sys/net/" + name) >> value;
      return absl::OkStatus();
    }));
    return value;
  }

  std::unique_ptr<SpareNamespaces> spares_;
};

TEST_F(SpareNamespacesTest, WhenTaken_ASpareIsAsOneMadeAtOnce) {
  for (uint32_t n = 0; n < 2; ++n) {
    ASSERT_OK_AND_ASSIGN(SandboxNamespace taken, spares_->Take(Range(n), 1500));
    EXPECT_TRUE(BelongsTo(taken, Range(n)));
    ASSERT_OK_AND_ASSIGN(const os::Link lo, taken.netlink.GetLink("lo"));
    EXPECT_TRUE(lo.up);
    EXPECT_EQ(SysctlIn(taken.network.get(), "ipv4/ip_unprivileged_port_start"),
              "0");
    EXPECT_EQ(SysctlIn(taken.network.get(), "ipv6/conf/default/disable_ipv6"),
              "1");
    spares_->AwaitFull();
  }
}

TEST_F(SpareNamespacesTest, WhenMoreAreTakenThanAreSpare_EachGetsItsOwn) {
  std::vector<SandboxNamespace> taken;
  std::set<ino_t> networks;
  for (uint32_t n = 0; n < 3 * kCount; ++n) {
    ASSERT_OK_AND_ASSIGN(SandboxNamespace one, spares_->Take(Range(n), 1500));
    networks.insert(Inode(one.network.get()));
    EXPECT_TRUE(BelongsTo(one, Range(n)));
    taken.push_back(std::move(one));
  }
  EXPECT_EQ(networks.size(), 3 * kCount);
}

TEST_F(SpareNamespacesTest, WhenItEnds_NothingOfItIsLeft) {
  const size_t before = OpenFiles();
  ASSERT_OK(spares_->Take(kIds, 1500));
  spares_->AwaitFull();
  EXPECT_GE(OpenFiles(), before + 3 * kCount);
  ASSERT_OK(spares_->Take(kIds, 1500));  // in the midst of a refill
  spares_.reset();
  EXPECT_LT(OpenFiles(), before);  // the worker's own has gone, too
}

TEST_F(SpareNamespacesTest, WhenTheRangeIsNone_IsRefusedAndTheRestGoesOn) {
  ASSERT_OK(spares_->Take(kIds, 1500));
  spares_->AwaitFull();
  EXPECT_FALSE(spares_->Take({0, 0}, 1500).ok());
  EXPECT_OK(spares_->Take(kIds, 1500));
}

TEST_F(SpareNamespacesTest, WhenTheHostAllowsNoMore_ATakeSaysSo) {
  const int pid = fork();
  if (pid == 0) {
    // A limit of our own: that of the namespace which we are then root of.
    const bool limited =
        unshare(CLONE_NEWUSER) == 0 &&
        (std::ofstream("/proc/sys/user/max_user_namespaces") << "0").good();
    if (!limited) _exit(2);
    auto spares = SpareNamespaces::Start(kCount);
    if (!spares.ok()) _exit(3);
    const auto taken = (*spares)->Take(kIds, 1500);
    (*spares)->AwaitFull();
    _exit(absl::IsResourceExhausted(taken.status()) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace bulwark::netmesh
