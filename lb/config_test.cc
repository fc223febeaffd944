#include "lb/config.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <string>

#include "base/testing/status_matchers.h"

namespace bulwark::lb {
namespace {

using bulwark::testing::IsOk;
using bulwark::testing::StatusIs;
using ::testing::HasSubstr;

dataplane::v1::Snapshot Parse(const std::string& text) {
  dataplane::v1::Snapshot snapshot;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &snapshot));
  return snapshot;
}

constexpr char kGood[] = R"pb(
  version: 3
  listeners {
    key: "l"
    place: HOST
    address: "127.0.0.1"
    port: 80
    protocol: TCP
    pool: "p"
  }
  pools {
    id: "p"
    endpoints { id: "e" address: "10.0.0.1" port: 8080 state: READY }
  }
)pb";

TEST(ConfigTest, WhenFieldsAreLeftOut_DefaultsHold) {
  ASSERT_OK_AND_ASSIGN(auto config, BuildConfig(Parse(kGood), nullptr));
  const Pool& pool = *config->pools.at("p");
  EXPECT_EQ(pool.algorithm, Algorithm::kLeastConnections);
  EXPECT_EQ(pool.hold_timeout_ns, 30'000'000'000);
  EXPECT_EQ(pool.hold_limit, 1024u);
  EXPECT_EQ(pool.backends.ready().at(0).weight, 1u);
  EXPECT_EQ(config->listeners.at(0).pool.get(), &pool);
}

TEST(ConfigTest, WhenSnapshotIsMalformed_IsRefusedWithReason) {
  struct Case {
    const char* text;
    const char* reason;
  };
  const Case cases[] = {
      {R"pb(pools { id: "p" }
            pools { id: "p" })pb",
       "its id is not unique"},
      {R"pb(pools {
              id: "p"
              endpoints { id: "e" }
            })pb",
       "state is missing"},
      {R"pb(pools {
              id: "p"
              endpoints { id: "e" state: READY port: 1 address: "x" }
            })pb",
       "not an IP address"},
      {R"pb(pools {
              id: "p"
              endpoints { id: "e" state: READY port: 70000 address: "1.1.1.1" }
            })pb",
       "not a port"},
      {R"pb(pools {
              id: "p"
              endpoints { id: "" state: READY port: 1 address: "1.1.1.1" }
            })pb",
       "empty or not unique"},
      {R"pb(pools {
              id: "p"
              endpoints {
                id: "e"
                state: READY
                port: 1
                weight: 257
                address: "1.1.1.1"
              }
            })pb",
       "above 256"},
      {R"pb(pools {
              id: "p"
              hold_timeout { seconds: -1 }
            })pb",
       "hold_timeout"},
      {R"pb(listeners {
              key: "l"
              place: HOST
              protocol: TCP
              port: 1
              address: "1.1.1.1"
              pool: "q"
            })pb",
       "pool \"q\" is missing"},
      {R"pb(listeners { key: "l" protocol: TCP port: 1 address: "1.1.1.1" })pb",
       "place is missing"},
      {R"pb(listeners { key: "l" place: HOST port: 1 address: "1.1.1.1" })pb",
       "protocol is missing"},
      {R"pb(listeners {
              key: "l"
              place: HOST
              protocol: TCP
              port: 0
              address: "1.1.1.1"
            })pb",
       "not a port"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(
        BuildConfig(Parse(c.text), nullptr),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.reason)))
        << c.text;
  }
}

TEST(ConfigTest, WhenEndpointStays_ItsNumbersStay) {
  ASSERT_OK_AND_ASSIGN(auto first, BuildConfig(Parse(kGood), nullptr));
  auto snapshot = Parse(kGood);
  snapshot.mutable_pools(0)->mutable_endpoints(0)->set_state(
      dataplane::v1::Endpoint::DRAINING);
  ASSERT_OK_AND_ASSIGN(auto second, BuildConfig(snapshot, first.get()));
  EXPECT_EQ(first->pools.at("p")->backends.all()[0].endpoint,
            second->pools.at("p")->backends.all()[0].endpoint);
  EXPECT_EQ(first->pools.at("p")->counters, second->pools.at("p")->counters);
  EXPECT_TRUE(second->pools.at("p")->backends.ready().empty());
}

TEST(ConfigTest, WhenEndpointMovesToAnotherAddress_ItsNumbersStartAnew) {
  ASSERT_OK_AND_ASSIGN(auto first, BuildConfig(Parse(kGood), nullptr));
  auto snapshot = Parse(kGood);
  snapshot.mutable_pools(0)->mutable_endpoints(0)->set_port(8081);
  ASSERT_OK_AND_ASSIGN(auto second, BuildConfig(snapshot, first.get()));
  EXPECT_NE(first->pools.at("p")->backends.all()[0].endpoint,
            second->pools.at("p")->backends.all()[0].endpoint);
}

}  // namespace
}  // namespace bulwark::lb
