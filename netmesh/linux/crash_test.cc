// kill -9 at any moment: the next process finds a sane network.
#include <dirent.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "netmesh/linux/linux_network.h"
#include "netmesh/linux/names.h"
#include "netmesh/linux/testing/namespaces.h"
#include "netmesh/linux/testing/sockets.h"
#include "os/netns.h"
#include "os/nft.h"

namespace bulwark::netmesh {
namespace {

constexpr char kInstance[] = "netcrash";
constexpr char kDirectory[] = "BULWARK_TEST_CRASH_DIRECTORY";
constexpr int kNetworks = 2;
constexpr int kSandboxes = 6;

NetworkSpec NetworkNumber(int i) {
  return {absl::StrCat("n", i), absl::StrCat("10.210.", i, ".0/24"), ""};
}

SandboxSpec SandboxNumber(int i) {
  int network = i % kNetworks;
  return {absl::StrCat("s", i), absl::StrCat("n", network),
          absl::StrCat("10.210.", network, ".", 2 + i), ""};
}

LinuxNetworkConfig Config(const std::string& directory) {
  return {.instance = kInstance, .runtime_dir = directory};
}

// The victim of the test below, in a process of its own: makes and deletes
// things for as long as it lives.
TEST(CrashTest, DISABLED_Victim) {
  const char* directory = std::getenv(kDirectory);
  ASSERT_NE(directory, nullptr);
  LinuxNetwork network(Config(directory));
  ASSERT_OK(network.Recover());
  SeededEntropy entropy(static_cast<uint64_t>(getpid()));
  while (true) {
    int i = static_cast<int>(entropy.Next() % kSandboxes);
    switch (entropy.Next() % 4) {
      case 0:
        network.EnsureNetwork(NetworkNumber(i % kNetworks)).IgnoreError();
        break;
      case 1:
        network.EnsureSandbox(SandboxNumber(i)).IgnoreError();
        break;
      case 2:
        network.DeleteSandbox(SandboxNumber(i).id).IgnoreError();
        break;
      default:
        network.DeleteNetwork(NetworkNumber(i % kNetworks).id).IgnoreError();
    }
  }
}

pid_t StartVictim(const std::string& directory) {
  std::vector<std::string> environment = {
      absl::StrCat(kDirectory, "=", directory),
      absl::StrCat(testing::kInherit, "=1")};
  std::vector<char*> envp;
  for (std::string& e : environment) envp.push_back(e.data());
  envp.push_back(nullptr);
  std::string name = "victim";
  std::string filter = "--gtest_filter=CrashTest.DISABLED_Victim";
  std::string disabled = "--gtest_also_run_disabled_tests";
  char* argv[] = {name.data(), filter.data(), disabled.data(), nullptr};
  pid_t pid = -1;
  EXPECT_EQ(
      posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, argv, envp.data()),
      0);
  return pid;
}

class Checker {
 public:
  explicit Checker(const std::string& directory)
      : directory_(directory), worker_(os::NetnsWorker::Start().value()) {}

  // Kernel and lists agree; each sandbox reaches its gateway.
  void Check(LinuxNetwork& network) {
    std::set<std::string> pins, expected_pins = {"dataplane"};
    std::set<std::string> links, expected_links;
    for (const NetworkInfo& n : network.ListNetworks()) {
      expected_links.insert(LinkName(kInstance, LinkKind::kBridge, n.spec.id));
    }
    for (const Sandbox& s : network.ListSandboxes()) {
      expected_pins.insert(s.spec.id);
      expected_links.insert(LinkName(kInstance, LinkKind::kSandbox, s.spec.id));
      UniqueFd netns = os::OpenNetns(s.netns_path).value();
      std::string gateway = absl::StrCat(
          s.spec.address.substr(0, s.spec.address.rfind('.')), ".1");
      EXPECT_TRUE(testing::Ping(*worker_, netns.get(), gateway)) << s.spec.id;
    }
    DIR* dir = opendir((directory_ + "/netns").c_str());
    while (dirent* entry = readdir(dir)) pins.insert(entry->d_name);
    closedir(dir);
    pins.erase(".");
    pins.erase("..");
    EXPECT_EQ(pins, expected_pins);
    UniqueFd plane = os::OpenNetns(network.dataplane_netns()).value();
    EXPECT_OK(worker_->Run(plane.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(os::Netlink netlink, os::Netlink::Open());
      ASSIGN_OR_RETURN(std::vector<os::Link> all, netlink.ListLinks());
      for (const os::Link& link : all) {
        if (absl::StartsWith(link.name,
                             LinkPrefix(kInstance, LinkKind::kBridge)) ||
            absl::StartsWith(link.name,
                             LinkPrefix(kInstance, LinkKind::kSandbox))) {
          links.insert(link.name);
        }
      }
      return absl::OkStatus();
    }));
    EXPECT_EQ(links, expected_links);
  }

 private:
  const std::string directory_;
  std::unique_ptr<os::NetnsWorker> worker_;
};

TEST(CrashTest, WhenKilledAtAnyMoment_TheNextProcessRecovers) {
  bulwark::testing::TempDir dir;
  RealClock clock;
  SeededEntropy entropy(42);
  Checker checker(dir.path());
  size_t seen = 0;
  for (int round = 0; round < 12; ++round) {
    pid_t pid = StartVictim(dir.path());
    // From before its Recover() to hundreds of changes later.
    clock.Sleep(absl::Milliseconds(entropy.Next() % 150));
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);

    LinuxNetwork network(Config(dir.path()));
    ASSERT_OK(network.Recover());
    seen += network.ListSandboxes().size();
    checker.Check(network);
    for (int i = 0; i < kNetworks; ++i) {
      EXPECT_OK(network.EnsureNetwork(NetworkNumber(i)));
    }
    for (int i = 0; i < kSandboxes; ++i) {
      EXPECT_OK(network.EnsureSandbox(SandboxNumber(i)));
    }
    checker.Check(network);
  }
  EXPECT_GT(seen, 0u);
  LinuxNetwork last(Config(dir.path()));
  ASSERT_OK(last.Recover());
  EXPECT_OK(last.Teardown());
}

}  // namespace
}  // namespace bulwark::netmesh
