#include "api/validation.h"

#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/defaulting.h"

namespace bulwark::api {
namespace {

absl::StatusOr<std::string> Normalize(absl::string_view reference) {
  if (reference == "two words") {
    return absl::InvalidArgumentError("\"two words\" is no image reference");
  }
  return std::string(reference);
}

v1::Object WebService() {
  v1::Object object;
  v1::Service& service = *object.mutable_service();
  service.mutable_metadata()->set_name("web");
  service.mutable_spec()->add_containers()->set_image("nginx:1.27");
  v1::Port& port = *service.mutable_spec()->add_ports();
  port.set_container_port(80);
  port.set_host_port(8080);
  return object;
}

std::vector<v1::Violation> Problems(v1::Object object) {
  SetDefaults(object);
  Report report;
  ValidateObject(object, Normalize, report);
  return report.violations();
}

struct Case {
  const char* name;
  std::function<void(v1::Service&)> spoil;
  const char* field;
  const char* message;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

v1::Container& Main(v1::Service& s) {
  return *s.mutable_spec()->mutable_containers(0);
}
v1::Port& FirstPort(v1::Service& s) {
  return *s.mutable_spec()->mutable_ports(0);
}
v1::Probe& Readiness(v1::Service& s) {
  v1::Probe& probe = *Main(s).mutable_readiness();
  probe.mutable_tcp()->set_port(80);
  return probe;
}
v1::VolumeMount& Mount(v1::Service& s, const char* volume, const char* path) {
  v1::VolumeMount& mount = *Main(s).add_volumes();
  mount.set_volume(volume);
  mount.set_path(path);
  return mount;
}

const Case kCases[] = {
    {"NoName", [](v1::Service& s) { s.mutable_metadata()->clear_name(); },
     "metadata.name", "is required"},
    {"BadName",
     [](v1::Service& s) {
       s.mutable_metadata()->set_name("Web_1");
       Main(s).set_name("c");
     },
     "metadata.name", "\"Web_1\" is not a name"},
    {"LongName",
     [](v1::Service& s) {
       s.mutable_metadata()->set_name(std::string(41, 'a'));
       Main(s).set_name("c");
     },
     "metadata.name", "is not a name"},
    {"BadProject",
     [](v1::Service& s) { s.mutable_metadata()->set_project("-shop"); },
     "metadata.project", "is not a name"},
    {"BadLabelKey",
     [](v1::Service& s) {
       (*s.mutable_metadata()->mutable_labels())["a\nb"] = "x";
     },
     "metadata.labels", "is not a label key"},
    {"LongLabelValue",
     [](v1::Service& s) {
       (*s.mutable_metadata()->mutable_labels())["a"] = std::string(64, 'x');
     },
     "metadata.labels.a", "is not a label value"},
    {"TooManyLabels",
     [](v1::Service& s) {
       for (int i = 0; i < 65; ++i) {
         (*s.mutable_metadata()->mutable_labels())[absl::StrCat(i)] = "x";
       }
     },
     "metadata.labels", "more than 64"},
    {"NoContainers",
     [](v1::Service& s) { s.mutable_spec()->clear_containers(); },
     "spec.containers", "is required"},
    {"NegativeReplicas",
     [](v1::Service& s) { s.mutable_spec()->set_replicas(-1); },
     "spec.replicas", "is negative"},
    {"TooManyReplicas",
     [](v1::Service& s) { s.mutable_spec()->set_replicas(1001); },
     "spec.replicas", "above 1000"},
    {"BadNetwork", [](v1::Service& s) { s.mutable_spec()->set_network("a.b"); },
     "spec.network", "is not a name"},
    {"BadSignal",
     [](v1::Service& s) {
       s.mutable_spec()->mutable_stop()->set_signal("SIGFOO");
     },
     "spec.stop.signal", "is not a signal"},
    {"SignalNumberTooHigh",
     [](v1::Service& s) { s.mutable_spec()->mutable_stop()->set_signal("65"); },
     "spec.stop.signal", "is not a signal"},
    {"NegativeTimeout",
     [](v1::Service& s) {
       s.mutable_spec()->mutable_stop()->mutable_timeout()->set_seconds(-1);
     },
     "spec.stop.timeout", "is not a duration"},
    {"BothSurgeAndUnavailableZero",
     [](v1::Service& s) {
       s.mutable_spec()->mutable_rollout()->set_max_surge(0);
       s.mutable_spec()->mutable_rollout()->set_max_unavailable(0);
     },
     "spec.rollout", "can never go on"},
    {"SurgeWithVolumePerReplica",
     [](v1::Service& s) {
       Mount(s, "data", "/data").set_per_replica(true);
       s.mutable_spec()->mutable_rollout()->set_max_surge(1);
     },
     "spec.rollout.maxSurge", "must be 0"},
    {"DeadlineBelowHealthyTime",
     [](v1::Service& s) {
       s.mutable_spec()
           ->mutable_rollout()
           ->mutable_progress_deadline()
           ->set_seconds(10);
     },
     "spec.rollout.progressDeadline", "no rollout could succeed"},
    {"UnknownStrategy",
     [](v1::Service& s) {
       s.mutable_spec()->mutable_rollout()->set_strategy(
           static_cast<v1::Rollout::Strategy>(9));
     },
     "spec.rollout.strategy", "unknown value 9"},
    {"AutoscaleBoundsSwapped",
     [](v1::Service& s) {
       s.mutable_spec()->mutable_autoscale()->set_min_replicas(5);
       s.mutable_spec()->mutable_autoscale()->set_max_replicas(2);
     },
     "spec.autoscale.minReplicas", "above maxReplicas"},
    {"AutoscaleMetricOfTwoKinds",
     [](v1::Service& s) {
       v1::Autoscale& autoscale = *s.mutable_spec()->mutable_autoscale();
       autoscale.set_max_replicas(2);
       v1::AutoscaleMetric& metric = *autoscale.add_metrics();
       metric.set_cpu(70);
       metric.set_memory(70);
     },
     "spec.autoscale.metrics[0]", "exactly one"},
    {"DependencyTwice",
     [](v1::Service& s) {
       s.mutable_spec()->add_depends_on()->set_service("db");
       s.mutable_spec()->add_depends_on()->set_service("db");
     },
     "spec.dependsOn[1].service", "given twice"},
    {"NoContainerPort",
     [](v1::Service& s) { FirstPort(s).clear_container_port(); },
     "spec.ports[0].containerPort", "is required"},
    {"ContainerPortTooHigh",
     [](v1::Service& s) { FirstPort(s).set_container_port(65536); },
     "spec.ports[0].containerPort", "\"65536\" is not a port"},
    {"PortTooHigh", [](v1::Service& s) { FirstPort(s).set_port(70000); },
     "spec.ports[0].port", "is not a port"},
    {"HostPortTooHigh",
     [](v1::Service& s) { FirstPort(s).set_host_port(70000); },
     "spec.ports[0].hostPort", "is not a port"},
    {"BadPortName", [](v1::Service& s) { FirstPort(s).set_name("Http"); },
     "spec.ports[0].name", "is not a name"},
    {"InternalWithHostPort",
     [](v1::Service& s) { FirstPort(s).set_listen(v1::Port::INTERNAL); },
     "spec.ports[0].listen", "is internal"},
    {"AllWithoutHostPort",
     [](v1::Service& s) {
       FirstPort(s).clear_host_port();
       FirstPort(s).set_listen(v1::Port::ALL);
     },
     "spec.ports[0].hostPort", "is missing"},
    {"PortNameTwice",
     [](v1::Service& s) {
       v1::Port& port = *s.mutable_spec()->add_ports();
       port.set_container_port(81);
       port.set_name("http");
     },
     "spec.ports[1].name", "two ports are named"},
    {"PortTwice",
     [](v1::Service& s) {
       v1::Port& port = *s.mutable_spec()->add_ports();
       port.set_container_port(81);
       port.set_port(80);
     },
     "spec.ports[1].port", "port 80 is given twice"},
    {"HostPortTwice",
     [](v1::Service& s) {
       v1::Port& port = *s.mutable_spec()->add_ports();
       port.set_container_port(81);
       port.set_host_port(8080);
     },
     "spec.ports[1].hostPort", "host port 8080 is given twice"},
    {"ContainerNameTwice",
     [](v1::Service& s) {
       s.mutable_spec()->add_sidecars()->set_image("log:1");
     },
     "spec.containers[0].name", "two containers are named"},
    {"NoImage", [](v1::Service& s) { Main(s).clear_image(); },
     "spec.containers[0].image", "is required"},
    {"BadImage", [](v1::Service& s) { Main(s).set_image("two words"); },
     "spec.containers[0].image", "no image reference"},
    {"EmptyCommandWord", [](v1::Service& s) { Main(s).add_command(""); },
     "spec.containers[0].command", "empty word"},
    {"NulInCommand",
     [](v1::Service& s) { Main(s).add_command(std::string("a\0b", 3)); },
     "spec.containers[0].command", "NUL"},
    {"NulInArgs",
     [](v1::Service& s) { Main(s).add_args(std::string("\0", 1)); },
     "spec.containers[0].args", "NUL"},
    {"RelativeWorkingDir",
     [](v1::Service& s) { Main(s).set_working_dir("srv"); },
     "spec.containers[0].workingDir", "is not an absolute path"},
    {"BadUser", [](v1::Service& s) { Main(s).set_user("a b"); },
     "spec.containers[0].user", "is not a user"},
    {"UserWithoutGroup", [](v1::Service& s) { Main(s).set_user("a:"); },
     "spec.containers[0].user", "is not a user"},
    {"HealthBesideReadiness",
     [](v1::Service& s) {
       Readiness(s);
       Main(s).mutable_health()->mutable_tcp()->set_port(80);
     },
     "spec.containers[0].health", "shorthand"},
    {"CpuRequestAboveLimit",
     [](v1::Service& s) {
       Main(s).mutable_resources()->mutable_cpu()->set_request(200);
       Main(s).mutable_resources()->mutable_cpu()->set_limit(100);
     },
     "spec.containers[0].resources.cpu.request", "above the limit"},
    {"CpuLimitTooLow",
     [](v1::Service& s) {
       Main(s).mutable_resources()->mutable_cpu()->set_limit(9);
     },
     "spec.containers[0].resources.cpu.limit", "below 10m"},
    {"MemoryRequestAboveLimit",
     [](v1::Service& s) {
       Main(s).mutable_resources()->mutable_memory()->set_request(9 << 20);
       Main(s).mutable_resources()->mutable_memory()->set_limit(8 << 20);
     },
     "spec.containers[0].resources.memory.request", "above the limit"},
    {"MemoryLimitTooLow",
     [](v1::Service& s) {
       Main(s).mutable_resources()->mutable_memory()->set_limit((4 << 20) - 1);
     },
     "spec.containers[0].resources.memory.limit", "below 4Mi"},
    {"NegativeMemory",
     [](v1::Service& s) {
       Main(s).mutable_resources()->mutable_memory()->set_limit(-1);
     },
     "spec.containers[0].resources.memory.limit", "is negative"},
    {"TooManyPids",
     [](v1::Service& s) { Main(s).mutable_resources()->set_pids(4194305); },
     "spec.containers[0].resources.pids", "above 4194304"},
    {"VariableWithEquals",
     [](v1::Service& s) { Main(s).add_env()->set_name("A=B"); },
     "spec.containers[0].env[0].name", "not the name of a variable"},
    {"VariableWithoutName",
     [](v1::Service& s) { Main(s).add_env()->set_value("x"); },
     "spec.containers[0].env[0].name", "is required"},
    {"NulInVariable",
     [](v1::Service& s) {
       v1::EnvVar& variable = *Main(s).add_env();
       variable.set_name("A");
       variable.set_value(std::string("\0", 1));
     },
     "spec.containers[0].env[0].value", "NUL"},
    {"VariableTwice",
     [](v1::Service& s) {
       Main(s).add_env()->set_name("A");
       Main(s).add_env()->set_name("A");
     },
     "spec.containers[0].env[1].name", "given twice"},
    {"MountOfNothing", [](v1::Service& s) { Mount(s, "", "/data"); },
     "spec.containers[0].volumes[0]", "exactly one of volume, hostPath"},
    {"MountOfBoth",
     [](v1::Service& s) { Mount(s, "data", "/data").set_host_path("/srv"); },
     "spec.containers[0].volumes[0]", "exactly one of volume, hostPath"},
    {"BadVolumeName", [](v1::Service& s) { Mount(s, "Data", "/data"); },
     "spec.containers[0].volumes[0].volume", "is not a name"},
    {"RelativeHostPath",
     [](v1::Service& s) { Mount(s, "", "/data").set_host_path("./conf"); },
     "spec.containers[0].volumes[0].hostPath", "is not an absolute path"},
    {"HostPathUpwards",
     [](v1::Service& s) { Mount(s, "", "/d").set_host_path("/srv/../etc"); },
     "spec.containers[0].volumes[0].hostPath", "is not an absolute path"},
    {"NoMountPath", [](v1::Service& s) { Mount(s, "data", ""); },
     "spec.containers[0].volumes[0].path", "is required"},
    {"RelativeMountPath", [](v1::Service& s) { Mount(s, "data", "data"); },
     "spec.containers[0].volumes[0].path", "is not an absolute path"},
    {"MountOnRoot", [](v1::Service& s) { Mount(s, "data", "/"); },
     "spec.containers[0].volumes[0].path", "would hide the image"},
    {"MountOnProc", [](v1::Service& s) { Mount(s, "data", "/proc/sys"); },
     "spec.containers[0].volumes[0].path", "is under /proc"},
    {"MountPathTwice",
     [](v1::Service& s) {
       Mount(s, "a", "/data");
       Mount(s, "b", "/data");
     },
     "spec.containers[0].volumes[1].path", "two volumes are mounted"},
    {"HostPathPerReplica",
     [](v1::Service& s) {
       v1::VolumeMount& mount = Mount(s, "", "/data");
       mount.set_host_path("/srv");
       mount.set_per_replica(true);
     },
     "spec.containers[0].volumes[0].perReplica", "is for volumes"},
    {"ProbeOfNothing", [](v1::Service& s) { Readiness(s).clear_tcp(); },
     "spec.containers[0].readiness", "exactly one of http, tcp, exec"},
    {"ProbeOfTwo",
     [](v1::Service& s) { Readiness(s).mutable_http()->set_port(80); },
     "spec.containers[0].readiness", "exactly one of http, tcp, exec"},
    {"ProbePortTooHigh",
     [](v1::Service& s) { Readiness(s).mutable_tcp()->set_port(65536); },
     "spec.containers[0].readiness.tcp.port", "is not a port"},
    {"ProbeWithoutAnyPort",
     [](v1::Service& s) {
       s.mutable_spec()->clear_ports();
       Main(s).mutable_liveness()->mutable_http()->set_path("/");
     },
     "spec.containers[0].liveness.http.port", "is not a port"},
    {"ProbePathRelative",
     [](v1::Service& s) {
       Main(s).mutable_startup()->mutable_http()->set_path("healthz");
     },
     "spec.containers[0].startup.http.path", "is not the path of a URL"},
    {"ProbePathWithLineBreak",
     [](v1::Service& s) {
       Main(s).mutable_startup()->mutable_http()->set_path("/a\r\nb");
     },
     "spec.containers[0].startup.http.path", "is not the path of a URL"},
    {"ProbeCommandEmpty",
     [](v1::Service& s) { Main(s).mutable_liveness()->mutable_exec(); },
     "spec.containers[0].liveness.exec.command", "is empty"},
    {"ProbeTooOften",
     [](v1::Service& s) { Readiness(s).mutable_period()->set_nanos(49000000); },
     "spec.containers[0].readiness.period", "below 50ms"},
    {"ProbeWithoutTime", [](v1::Service& s) { Readiness(s).mutable_timeout(); },
     "spec.containers[0].readiness.timeout", "below 1ms"},
    {"ProbeTooManyFailures",
     [](v1::Service& s) { Readiness(s).set_failure(1001); },
     "spec.containers[0].readiness.failure", "above 1000"},
    {"ProbeOfInitContainer",
     [](v1::Service& s) {
       v1::Container& init = *s.mutable_spec()->add_init_containers();
       init.set_name("init");
       init.set_image("init:1");
       init.mutable_liveness()->mutable_tcp()->set_port(1);
     },
     "spec.initContainers[0].liveness", "has no probes"},
    {"TooLarge",
     [](v1::Service& s) { Main(s).add_args(std::string(1 << 20, 'x')); }, "",
     "larger than 1 MiB"},
};

class ValidationTest : public ::testing::TestWithParam<Case> {};

TEST_P(ValidationTest, WhenWrong_TheFieldIsNamedAndNothingElse) {
  v1::Object object = WebService();
  GetParam().spoil(*object.mutable_service());

  const std::vector<v1::Violation> problems = Problems(object);

  ASSERT_EQ(problems.size(), 1)
      << (problems.empty() ? "none" : problems.back().DebugString());
  EXPECT_EQ(problems[0].field(), GetParam().field);
  EXPECT_TRUE(absl::StrContains(problems[0].message(), GetParam().message))
      << problems[0].message();
}

INSTANTIATE_TEST_SUITE_P(Rules, ValidationTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(ValidationAllTest, WhenRight_NothingIsFound) {
  v1::Object object = WebService();
  v1::Service& service = *object.mutable_service();
  Readiness(service);
  Mount(service, "data", "/data");
  Main(service).set_user("1000:1000");
  Main(service).set_working_dir("/srv");
  service.mutable_spec()->mutable_stop()->set_signal("SIGRTMIN+3");
  service.mutable_spec()->add_sidecars()->set_image("log:1");
  service.mutable_spec()->mutable_sidecars(0)->set_name("log");
  service.mutable_spec()->set_replicas(0);

  const std::vector<v1::Violation> problems = Problems(object);

  EXPECT_TRUE(problems.empty()) << problems[0].DebugString();
}

TEST(ValidationAllTest, WhenManyThingsAreWrong_AllAreFound) {
  v1::Object object = WebService();
  for (const char* name : {"BadImage", "BadSignal", "PortTwice"}) {
    for (const Case& c : kCases) {
      if (absl::string_view(c.name) == name) c.spoil(*object.mutable_service());
    }
  }

  EXPECT_EQ(Problems(object).size(), 3);
}

TEST(ValidationAllTest, WhenASubnetIsWrong_ItIsNamed) {
  struct {
    const char* subnet;
    const char* subnet6;
    const char* field;
  } cases[] = {
      {"10.0.0.1/24", "", "spec.subnet"},  {"10.0.0.0", "", "spec.subnet"},
      {"10.0.0.0/30", "", "spec.subnet"},  {"127.0.0.0/8", "", "spec.subnet"},
      {"fd00::/64", "", "spec.subnet"},    {"", "fd00::/48", "spec.subnet6"},
      {"", "fe80::/64", "spec.subnet6"},   {"", "10.0.0.0/24", "spec.subnet6"},
      {"", "fd00::1/64", "spec.subnet6"},  {"10.0.0.0/24", "fd00::/64", ""},
      {"10.0.0.0/+24", "", "spec.subnet"}, {"", "", ""},
  };
  for (const auto& c : cases) {
    v1::Object object;
    object.mutable_network()->mutable_metadata()->set_name("back");
    object.mutable_network()->mutable_spec()->set_subnet(c.subnet);
    object.mutable_network()->mutable_spec()->set_subnet6(c.subnet6);
    const std::vector<v1::Violation> problems = Problems(object);
    if (*c.field == '\0') {
      EXPECT_TRUE(problems.empty()) << c.subnet << c.subnet6;
    } else {
      ASSERT_EQ(problems.size(), 1) << c.subnet << c.subnet6;
      EXPECT_EQ(problems[0].field(), c.field);
    }
  }
}

}  // namespace
}  // namespace bulwark::api
