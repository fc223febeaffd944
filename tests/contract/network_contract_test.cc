#include "tests/contract/network_contract.h"

#include <memory>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "netmesh/fake/fake_network.h"
#include "netmesh/linux/linux_network.h"
#include "netmesh/linux/testing/namespaces.h"

namespace bulwark::netmesh {
namespace {

class FakeWorld final : public NetworkWorld {
 public:
  std::unique_ptr<Network> Make() override {
    return std::make_unique<FakeNetwork>(kernel_);
  }

 private:
  FakeKernel kernel_;
};

class LinuxWorld final : public NetworkWorld {
 public:
  LinuxWorld() { config_.instance = "netcontract"; }
  ~LinuxWorld() override {
    LinuxNetwork last(config_);
    EXPECT_OK(last.Recover());
    EXPECT_OK(last.Teardown());
  }
  std::unique_ptr<Network> Make() override {
    config_.runtime_dir = dir_.path();
    return std::make_unique<LinuxNetwork>(config_);
  }

 private:
  bulwark::testing::TempDir dir_;
  LinuxNetworkConfig config_;
};

INSTANTIATE_TEST_SUITE_P(Fake, NetworkContract, ::testing::Values([] {
                           return std::make_unique<FakeWorld>();
                         }));
INSTANTIATE_TEST_SUITE_P(Linux, NetworkContract, ::testing::Values([] {
                           return std::make_unique<LinuxWorld>();
                         }));

const auto* const kNamespaces =
    ::testing::AddGlobalTestEnvironment(new testing::Namespaces);

}  // namespace
}  // namespace bulwark::netmesh
