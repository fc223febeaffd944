// What every implementation of lb::Proxy promises.
#ifndef TESTS_CONTRACT_PROXY_CONTRACT_H_
#define TESTS_CONTRACT_PROXY_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "lb/proxy.h"
#include "lb/tcp/testing.h"

namespace bulwark::lb {

struct ProxyUnderTest {
  std::string name;
  // A fresh one, not started. `keep` lives as long as the test.
  std::function<Proxy*(std::shared_ptr<void>& keep)> make;
};

class ProxyContractTest : public ::testing::TestWithParam<ProxyUnderTest> {
 protected:
  ProxyContractTest() : snapshot_(testing::FreePort()) {
    proxy_ = GetParam().make(keep_);
  }

  absl::StatusOr<dataplane::v1::Applied> Apply() {
    return proxy_->Apply(snapshot_.Next(), kTimeout);
  }

  static constexpr absl::Duration kTimeout = absl::Seconds(10);
  std::shared_ptr<void> keep_;
  Proxy* proxy_ = nullptr;
  testing::SnapshotBuilder snapshot_;
};

}  // namespace bulwark::lb

#endif  // TESTS_CONTRACT_PROXY_CONTRACT_H_
