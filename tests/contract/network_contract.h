// What every implementation of netmesh::Network does, as a test suite.
//
//   INSTANTIATE_TEST_SUITE_P(Fake, NetworkContract,
//                            ::testing::Values(Factory{...}));
#ifndef TESTS_CONTRACT_NETWORK_CONTRACT_H_
#define TESTS_CONTRACT_NETWORK_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "netmesh/network.h"

namespace bulwark::netmesh {

// One machine. The network on it can be dropped and made again, as when the
// daemon restarts.
class NetworkWorld {
 public:
  virtual ~NetworkWorld() = default;
  // Not recovered yet. The world outlives it.
  virtual std::unique_ptr<Network> Make() = 0;
};

class NetworkContract : public ::testing::TestWithParam<
                            std::function<std::unique_ptr<NetworkWorld>()>> {
 protected:
  void SetUp() override;
  void TearDown() override;
  // A new process over the same kernel.
  void Restart();

  std::unique_ptr<NetworkWorld> world_;
  std::unique_ptr<Network> network_;
};

}  // namespace bulwark::netmesh

#endif  // TESTS_CONTRACT_NETWORK_CONTRACT_H_
