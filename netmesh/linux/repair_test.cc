// What a repair puts back, and what it leaves alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "netmesh/linux/linux_network.h"
#include "netmesh/linux/names.h"
#include "os/netns.h"
#include "os/nft.h"
#include "os/nft_generation.h"

namespace bulwark::netmesh {
namespace {

constexpr char kInstance[] = "nettest";

class RepairTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(worker_, os::NetnsWorker::Start());
    LinuxNetworkConfig config;
    config.instance = kInstance;
    config.runtime_dir = dir_.path();
    network_ = std::make_unique<LinuxNetwork>(config);
    ASSERT_OK(network_->Recover());
    ASSERT_OK(network_->EnsureNetwork({"red", "10.210.0.0/24", "fd00:1::/64"}));
    ASSERT_OK(
        network_->EnsureSandbox({"one", "red", "10.210.0.2", "fd00:1::2"}));
    ASSERT_OK_AND_ASSIGN(plane_, os::OpenNetns(network_->dataplane_netns()));
  }
  void TearDown() override { EXPECT_OK(network_->Teardown()); }

  std::string Rules(const UniqueFd& netns) {
    std::string text;
    EXPECT_OK(worker_->Run(netns.get(), [&]() -> absl::Status {
      ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
      ASSIGN_OR_RETURN(text, nft.List("list ruleset", false));
      return absl::OkStatus();
    }));
    return text;
  }
  os::NftGeneration Generation(const UniqueFd& netns) {
    absl::StatusOr<os::NftGeneration> generation;
    EXPECT_OK(worker_->Run(netns.get(), [&]() -> absl::Status {
      generation = os::NftGeneration::Open();
      return generation.status();
    }));
    return *std::move(generation);
  }
  static std::string ReadFile(const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  bulwark::testing::TempDir dir_;
  std::unique_ptr<os::NetnsWorker> worker_;
  std::unique_ptr<LinuxNetwork> network_;
  UniqueFd plane_;
  const UniqueFd host_;
};

TEST_F(RepairTest, WhenNobodyTouchedTheRules_RepairLeavesThemAlone) {
  EXPECT_OK(network_->Repair());  // sandboxes were made since
  for (const bool inside : {true, false}) {
    os::NftGeneration counter = Generation(inside ? plane_ : host_);
    const uint32_t before = counter.Read().value();
    EXPECT_OK(network_->Repair());
    EXPECT_OK(network_->Repair());
    EXPECT_EQ(counter.Read().value(), before);
  }
}

TEST_F(RepairTest, WhenASandboxCameOrWent_RepairDoesNotWriteAllAnew) {
  EXPECT_OK(network_->Repair());
  EXPECT_OK(network_->EnsureSandbox({"two", "red", "10.210.0.3", ""}));
  EXPECT_OK(network_->DeleteSandbox("one"));
  os::NftGeneration counter = Generation(plane_);
  const uint32_t before = counter.Read().value();
  const std::string rules = Rules(plane_);
  EXPECT_OK(network_->Repair());
  EXPECT_EQ(counter.Read().value(), before);
  // And they are what all would be.
  ASSERT_OK(worker_->Run(plane_.get(), []() -> absl::Status {
    ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
    return nft.Run("flush ruleset");
  }));
  EXPECT_OK(network_->Repair());
  EXPECT_EQ(Rules(plane_), rules);
}

TEST_F(RepairTest, WhenTheTablesAreGone_ANewSandboxHasItsRules) {
  ASSERT_OK(worker_->Run(plane_.get(), []() -> absl::Status {
    ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
    return nft.Run("flush ruleset");
  }));
  EXPECT_OK(network_->EnsureSandbox({"two", "red", "10.210.0.3", ""}));
  EXPECT_THAT(Rules(plane_), ::testing::HasSubstr("10.210.0.3"));
}

TEST_F(RepairTest, WhenAnElementIsRemoved_RepairPutsItBack) {
  EXPECT_OK(network_->Repair());
  const std::string before = Rules(plane_);
  ASSERT_OK(worker_->Run(plane_.get(), []() -> absl::Status {
    ASSIGN_OR_RETURN(os::Nft nft, os::Nft::Open());
    return nft.Run(
        absl::StrCat("flush set inet ", TableName(kInstance), " bridges"));
  }));
  ASSERT_NE(Rules(plane_), before);
  EXPECT_OK(network_->Repair());
  EXPECT_EQ(Rules(plane_), before);
}

TEST_F(RepairTest, WhenASettingIsChanged_RepairPutsItBack) {
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK(worker_->Run(plane_.get(), []() -> absl::Status {
      RETURN_IF_ERROR(WriteNetSysctl("ipv4/ip_forward", "0", false));
      return WriteNetSysctl("ipv4/ip_local_port_range", "20000 30000", false);
    }));
    ASSERT_OK(WriteNetSysctl("ipv4/ip_forward", "0", false));
    EXPECT_OK(network_->Repair());
    EXPECT_OK(worker_->Run(plane_.get(), []() -> absl::Status {
      EXPECT_EQ(ReadFile("/proc/sys/net/ipv4/ip_forward"), "1\n");
      EXPECT_EQ(ReadFile("/proc/sys/net/ipv4/ip_local_port_range"),
                "10000\t65535\n");
      return absl::OkStatus();
    }));
    EXPECT_EQ(ReadFile("/proc/sys/net/ipv4/ip_forward"), "1\n");
  }
}

}  // namespace
}  // namespace bulwark::netmesh
