// A data plane on loopback under one of the engines, for its tests.
#ifndef LB_TCP_DATA_PLANE_FIXTURE_H_
#define LB_TCP_DATA_PLANE_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "lb/tcp/data_plane.h"
#include "lb/tcp/testing.h"

namespace bulwark::lb::testing {

// Long enough to show that something does not happen.
inline constexpr absl::Duration kQuiet = absl::Milliseconds(50);

// Two workers, one listener on port_, one pool.
class DataPlaneFixture : public ::testing::TestWithParam<EngineKind> {
 protected:
  // A client and its backend's end, connected through the proxy.
  struct Pair {
    UniqueFd client, server;
  };

  DataPlaneFixture() : port_(FreePort()), snapshot_(port_) {
    auto plane = DataPlane::Start({/*workers=*/2, GetParam()}, sockets_, clock_,
                                  entropy_);
    if (plane.ok()) plane_ = *std::move(plane);
  }

  void SetUp() override { ASSERT_NE(plane_, nullptr); }

  void Apply() {
    ASSERT_THAT(plane_->Apply(snapshot_.Next()), bulwark::testing::IsOk());
  }

  dataplane::v1::PoolStats Pool() { return plane_->GetStats().pools(0); }
  dataplane::v1::EndpointStats EndpointOf(const std::string& id) {
    const dataplane::v1::PoolStats pool = Pool();
    for (const auto& e : pool.endpoints()) {
      if (e.id() == id) return e;
    }
    return {};
  }

  Pair Connect(Backend& backend) {
    Pair pair;
    pair.client = ConnectTo(port_);
    pair.server = backend.Accept();
    EXPECT_TRUE(pair.client.ok());
    EXPECT_TRUE(pair.server.ok());
    return pair;
  }

  // The same, and the proxy knows it too: until then, a change of the endpoints
  // sends the connection elsewhere.
  Pair Establish(Backend& backend) {
    Pair pair = Connect(backend);
    EXPECT_TRUE(WriteString(pair.client.get(), "x"));
    EXPECT_EQ(ReadExactly(pair.server.get(), 1), "x");
    return pair;
  }

  RealClock clock_;
  RealEntropy entropy_;
  LocalSockets sockets_;
  const uint16_t port_;
  SnapshotBuilder snapshot_;
  std::unique_ptr<DataPlane> plane_;
};

inline std::string EngineName(
    const ::testing::TestParamInfo<EngineKind>& info) {
  return info.param == EngineKind::kEpoll ? "Epoll" : "IoUring";
}

}  // namespace bulwark::lb::testing

// Runs `suite`, derived from DataPlaneFixture, with each engine.
#define WITH_EACH_ENGINE(suite)                             \
  INSTANTIATE_TEST_SUITE_P(                                 \
      Engines, suite,                                       \
      ::testing::Values(bulwark::lb::EngineKind::kEpoll,    \
                        bulwark::lb::EngineKind::kIoUring), \
      bulwark::lb::testing::EngineName)

#endif  // LB_TCP_DATA_PLANE_FIXTURE_H_
