#include "scheduler/health/probe_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulwark::scheduler {
namespace {

using Role = PlannedProbe::Role;
using Kind = ProbeTarget::Kind;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::Replica Replica() {
  v1::Replica replica;
  replica.mutable_spec()->set_address("10.210.0.2");
  return replica;
}

std::vector<v1::Port> Ports() {
  v1::Port udp, tcp;
  udp.set_container_port(53);
  udp.set_protocol(v1::Port::UDP);
  tcp.set_container_port(80);
  return {udp, tcp};
}

TEST(ProbePlanTest, WithoutAProbe_ConnectsToTheFirstTcpPort) {
  auto probes = PlanProbes({}, Replica(), "c", Ports(), std::nullopt);
  ASSERT_THAT(probes, SizeIs(1));
  EXPECT_EQ(probes[0].role, Role::kReadiness);
  EXPECT_EQ(probes[0].target.kind, Kind::kTcp);
  EXPECT_EQ(probes[0].target.port, 80);
  EXPECT_EQ(probes[0].target.address, "10.210.0.2");
  EXPECT_EQ(probes[0].policy.period, absl::Seconds(10));
}

TEST(ProbePlanTest, WithoutAProbeAndPort_NothingRuns) {
  EXPECT_THAT(PlanProbes({}, Replica(), "c", {}, std::nullopt), IsEmpty());
}

TEST(ProbePlanTest, WithoutAProbe_TheImagesHealthcheckDecides) {
  engine::ImageHealthcheck check;
  check.command = {"/bin/check"};
  check.retries = 5;
  check.start_interval = absl::Seconds(2);
  auto probes = PlanProbes({}, Replica(), "c", Ports(), check);
  ASSERT_THAT(probes, SizeIs(1));
  EXPECT_EQ(probes[0].target.kind, Kind::kExec);
  EXPECT_EQ(probes[0].policy.failure, 5);
  EXPECT_EQ(probes[0].policy.period, absl::Seconds(30));
  EXPECT_EQ(probes[0].policy.start_interval, absl::Seconds(2));
}

TEST(ProbePlanTest, DeclaredProbesWinAndKeepTheirRoles) {
  v1::Container container;
  container.mutable_startup()->mutable_exec()->add_command("/ok");
  container.mutable_liveness()->mutable_tcp()->set_port(81);
  v1::Probe& ready = *container.mutable_readiness();
  ready.mutable_http()->set_path("/up");
  ready.mutable_period()->set_nanos(1000000);  // below the minimum
  engine::ImageHealthcheck check;
  check.command = {"/bin/check"};
  auto probes = PlanProbes(container, Replica(), "c", Ports(), check);
  ASSERT_THAT(probes, SizeIs(3));
  EXPECT_EQ(probes[0].role, Role::kStartup);
  EXPECT_THAT(probes[0].target.command, ElementsAre("/ok"));
  EXPECT_EQ(probes[1].target.port, 81);
  EXPECT_EQ(probes[2].target.kind, Kind::kHttp);
  EXPECT_EQ(probes[2].target.port, 80);
  EXPECT_EQ(probes[2].target.path, "/up");
  EXPECT_EQ(probes[2].policy.period, absl::Milliseconds(50));
}

}  // namespace
}  // namespace bulwark::scheduler
