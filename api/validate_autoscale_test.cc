// The rules of spec.autoscale.
#include "api/validate_autoscale.h"

#include "api/validation_testing.h"

namespace bulwark::api {
namespace {

// Right: by cpu, of a request.
v1::Autoscale& Scaled(v1::Service& s) {
  Main(s).mutable_resources()->mutable_cpu()->set_request(100);
  v1::Autoscale& autoscale = *s.mutable_spec()->mutable_autoscale();
  autoscale.set_max_replicas(5);
  autoscale.add_metrics()->set_cpu(70);
  return autoscale;
}
v1::ScalingPolicy& Policy(v1::Service& s) {
  return *Scaled(s).mutable_scale_down()->add_policies();
}

const SpoiledCase kCases[] = {
    {"BoundsSwapped", [](v1::Service& s) { Scaled(s).set_min_replicas(6); },
     "spec.autoscale.minReplicas", "above maxReplicas"},
    {"NoUpperBound", [](v1::Service& s) { Scaled(s).clear_max_replicas(); },
     "spec.autoscale.maxReplicas", "is required"},
    {"NegativeBound", [](v1::Service& s) { Scaled(s).set_min_replicas(-1); },
     "spec.autoscale.minReplicas", "is negative"},
    {"HugeBound", [](v1::Service& s) { Scaled(s).set_max_replicas(1001); },
     "spec.autoscale.maxReplicas", "above 1000"},
    {"NoMetric", [](v1::Service& s) { Scaled(s).clear_metrics(); },
     "spec.autoscale.metrics", "nothing to scale by"},
    {"EmptyMetric",
     [](v1::Service& s) { Scaled(s).mutable_metrics(0)->clear_cpu(); },
     "spec.autoscale.metrics[0]", "exactly one"},
    {"MetricOfTwoKinds",
     [](v1::Service& s) {
       Main(s).mutable_resources()->mutable_memory()->set_limit(1 << 30);
       Scaled(s).mutable_metrics(0)->set_memory(70);
     },
     "spec.autoscale.metrics[0]", "exactly one"},
    {"MetricTwice",
     [](v1::Service& s) { Scaled(s).add_metrics()->set_cpu(50); },
     "spec.autoscale.metrics[1]", "given twice"},
    {"NegativeTarget",
     [](v1::Service& s) { Scaled(s).mutable_metrics(0)->set_cpu(-5); },
     "spec.autoscale.metrics[0].cpu", "is negative"},
    {"NoCpuRequest",
     [](v1::Service& s) {
       Scaled(s);
       Main(s).clear_resources();
     },
     "spec.autoscale.metrics[0].cpu",
     "spec.containers[web] has neither a cpu request nor a limit"},
    {"NoMemoryRequest",
     [](v1::Service& s) {
       Scaled(s).mutable_metrics(0)->clear_cpu();
       s.mutable_spec()->mutable_autoscale()->mutable_metrics(0)->set_memory(5);
     },
     "spec.autoscale.metrics[0].memory", "neither a memory request"},
    {"SidecarWithoutRequest",
     [](v1::Service& s) {
       Scaled(s);
       s.mutable_spec()->add_sidecars()->set_image("log:1");
       s.mutable_spec()->mutable_sidecars(0)->set_name("log");
     },
     "spec.autoscale.metrics[0].cpu", "spec.sidecars[log] has neither"},
    {"ConnectionsWithoutPort",
     [](v1::Service& s) {
       Scaled(s).mutable_metrics(0)->clear_cpu();
       s.mutable_spec()
           ->mutable_autoscale()
           ->mutable_metrics(0)
           ->set_connections(5);
       s.mutable_spec()->clear_ports();
     },
     "spec.autoscale.metrics[0].connections", "no port"},
    {"ToleranceTooHigh", [](v1::Service& s) { Scaled(s).set_tolerance(101); },
     "spec.autoscale.tolerance", "above 100%"},
    {"LongWindow",
     [](v1::Service& s) {
       Scaled(s)
           .mutable_scale_up()
           ->mutable_stabilization_window()
           ->set_seconds(3601);
     },
     "spec.autoscale.scaleUp.stabilizationWindow", "above 1h"},
    {"EmptyPolicy", [](v1::Service& s) { Policy(s); },
     "spec.autoscale.scaleDown.policies[0]", "exactly one"},
    {"PolicyOfTwoKinds",
     [](v1::Service& s) {
       v1::ScalingPolicy& p = Policy(s);
       p.set_percent(10);
       p.set_replicas(1);
     },
     "spec.autoscale.scaleDown.policies[0]", "exactly one"},
    {"LongPeriod",
     [](v1::Service& s) {
       v1::ScalingPolicy& p = Policy(s);
       p.set_percent(10);
       p.mutable_period()->set_seconds(1801);
     },
     "spec.autoscale.scaleDown.policies[0].period", "above 30m"},
    {"NoPeriod",
     [](v1::Service& s) {
       v1::ScalingPolicy& p = Policy(s);
       p.set_percent(10);
       p.mutable_period();
     },
     "spec.autoscale.scaleDown.policies[0].period", "is 0"},
    {"TooManyPolicies",
     [](v1::Service& s) {
       Scaled(s);
       v1::ScalingRules& rules =
           *s.mutable_spec()->mutable_autoscale()->mutable_scale_up();
       for (int i = 0; i < 11; ++i) rules.add_policies()->set_replicas(1);
     },
     "spec.autoscale.scaleUp.policies", "more than 10"},
    {"UnknownSelect",
     [](v1::Service& s) {
       Scaled(s).mutable_scale_up()->set_select(
           static_cast<v1::ScalingRules::Select>(9));
     },
     "spec.autoscale.scaleUp.select", "unknown value 9"},
};

class AutoscaleRulesTest : public SpoiledTest {};
TEST_P(AutoscaleRulesTest, WhenBroken_IsFoundAtItsField) { ExpectOneProblem(); }
INSTANTIATE_TEST_SUITE_P(Rules, AutoscaleRulesTest, ::testing::ValuesIn(kCases),
                         CaseName);

TEST(AutoscaleValidationTest, WhenRight_NothingIsFound) {
  v1::Object object = WebService();
  v1::Service& service = *object.mutable_service();
  v1::Autoscale& autoscale = Scaled(service);
  Main(service).mutable_resources()->mutable_memory()->set_limit(1 << 30);
  autoscale.add_metrics()->set_memory(80);
  autoscale.add_metrics()->set_connections(100);
  autoscale.set_tolerance(0);
  v1::ScalingRules& down = *autoscale.mutable_scale_down();
  down.mutable_stabilization_window()->set_seconds(0);
  down.add_policies()->set_percent(10);
  down.add_policies()->set_replicas(4);
  down.mutable_policies(1)->mutable_period()->set_seconds(60);
  down.set_select(v1::ScalingRules::DISABLED);
  const std::vector<v1::Violation> problems = Problems(object);
  EXPECT_TRUE(problems.empty()) << problems[0].DebugString();
}

}  // namespace
}  // namespace bulwark::api
