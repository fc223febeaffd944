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
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "os/files.h"
#include "os/netns.h"

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

class SpareLinksTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(os::Netlink outside, os::Netlink::Open());
    ASSERT_OK_AND_ASSIGN(
        spares_, SpareNamespaces::Start(
                     kCount, SpareLinks{std::move(outside), "sparetst"}));
  }
  void TearDown() override {
    spares_.reset();
    AwaitPorts(0);
  }

  // By name: those outside.
  std::map<std::string, os::Link> Ports() {
    std::map<std::string, os::Link> found;
    const std::vector<os::Link> all = here_.ListLinks().value();
    for (const os::Link& link : all) {
      if (absl::StartsWith(link.name, "sparetst")) found[link.name] = link;
    }
    return found;
  }
  std::optional<os::Link> PortOf(const SandboxNamespace& taken) {
    for (const auto& [name, link] : Ports()) {
      if (link.index == taken.port) return link;
    }
    return std::nullopt;
  }
  // Links go a moment after their namespace.
  void AwaitPorts(size_t count) {
    RealClock clock;
    const absl::Duration deadline = clock.Steady() + absl::Seconds(20);
    while (Ports().size() != count && clock.Steady() < deadline) {
      clock.Sleep(absl::Milliseconds(2));
    }
    EXPECT_EQ(Ports().size(), count);
  }

  os::Netlink here_ = os::Netlink::Open().value();
  std::unique_ptr<SpareNamespaces> spares_;
};

TEST_F(SpareLinksTest, WhenTaken_ItsPortLeadsToTheLinkInside) {
  ASSERT_OK_AND_ASSIGN(const SandboxNamespace first,
                       spares_->Take(Range(0), 1400));
  EXPECT_EQ(first.port, 0);
  std::set<int> ports;
  for (uint32_t n = 1; n <= kCount; ++n) {
    spares_->AwaitFull();
    ASSERT_OK_AND_ASSIGN(SandboxNamespace taken, spares_->Take(Range(n), 1400));
    EXPECT_TRUE(BelongsTo(taken, Range(n)));
    const std::optional<os::Link> port = PortOf(taken);
    ASSERT_TRUE(port.has_value());
    ASSERT_OK_AND_ASSIGN(const os::Link eth, taken.netlink.GetLink("eth0"));
    EXPECT_EQ(port->peer, eth.index);
    EXPECT_EQ(eth.peer, port->index);
    EXPECT_EQ(port->master, 0);
    for (const os::Link& end : {*port, eth}) {
      EXPECT_EQ(end.kind, "veth");
      EXPECT_EQ(end.mtu, 1400u);
      EXPECT_FALSE(end.up);
    }
    ports.insert(port->index);
  }
  EXPECT_EQ(ports.size(), kCount);
}

TEST_F(SpareLinksTest, WhenTheMtuIsAnother_SparesAreDroppedAndMadeAgain) {
  ASSERT_OK(spares_->Take(Range(0), 1500));
  spares_->AwaitFull();
  AwaitPorts(kCount);
  const std::map<std::string, os::Link> old = Ports();
  ASSERT_OK_AND_ASSIGN(SandboxNamespace taken, spares_->Take(Range(1), 1400));
  EXPECT_EQ(taken.port, 0);
  EXPECT_TRUE(BelongsTo(taken, Range(1)));
  spares_->AwaitFull();
  AwaitPorts(kCount);
  for (const auto& [name, link] : Ports()) {
    EXPECT_EQ(link.mtu, 1400u);
    EXPECT_FALSE(old.contains(name));
  }
  ASSERT_OK_AND_ASSIGN(taken, spares_->Take(Range(2), 1400));
  EXPECT_TRUE(PortOf(taken).has_value());
}

TEST_F(SpareLinksTest, WhenNamesAreTaken_OthersAreUsed) {
  // By links that an earlier process left.
  const UniqueFd here = os::CurrentNetns().value();
  for (const char* name : {"sparetst0", "sparetst1", "sparetst3"}) {
    ASSERT_OK(here_.AddVeth({.name = name,
                             .peer_name = absl::StrCat("old", name + 8),
                             .peer_netns_fd = here.get()}));
  }
  const std::map<std::string, os::Link> old = Ports();
  ASSERT_OK(spares_->Take(Range(0), 1500));
  spares_->AwaitFull();
  EXPECT_EQ(Ports().size(), old.size() + kCount);
  ASSERT_OK_AND_ASSIGN(const SandboxNamespace taken,
                       spares_->Take(Range(1), 1500));
  const std::optional<os::Link> port = PortOf(taken);
  ASSERT_TRUE(port.has_value());
  EXPECT_FALSE(old.contains(port->name));
  for (const auto& [name, link] : old) {
    EXPECT_EQ(Ports().at(name).index, link.index);
    EXPECT_OK(here_.DeleteLink(link.index));
  }
}

TEST_F(SpareLinksTest, WhenItEnds_AllLinksButThoseTakenGo) {
  ASSERT_OK(spares_->Take(Range(0), 1500));
  spares_->AwaitFull();
  std::optional<SandboxNamespace> taken = *spares_->Take(Range(1), 1500);
  const std::string name = PortOf(*taken)->name;
  spares_.reset();
  AwaitPorts(1);
  EXPECT_TRUE(Ports().contains(name));
  EXPECT_OK(taken->netlink.GetLink("eth0"));
  taken.reset();
  AwaitPorts(0);
}

}  // namespace
}  // namespace bulwark::netmesh
