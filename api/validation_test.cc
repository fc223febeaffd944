// The rules of a service, and of networks.
#include "api/validation.h"

#include "api/validation_testing.h"

namespace bulwark::api {
namespace {

const SpoiledCase kCases[] = {
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
};

class ServiceRulesTest : public SpoiledTest {};

TEST_P(ServiceRulesTest, WhenWrong_TheFieldIsNamedAndNothingElse) {
  ExpectOneProblem();
}

INSTANTIATE_TEST_SUITE_P(Rules, ServiceRulesTest, ::testing::ValuesIn(kCases),
                         CaseName);

TEST(ValidationTest, WhenRight_NothingIsFound) {
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

TEST(ValidationTest, WhenManyThingsAreWrong_AllAreFound) {
  v1::Object object = WebService();
  v1::Service& service = *object.mutable_service();
  Main(service).set_image("two words");
  service.mutable_spec()->mutable_stop()->set_signal("SIGFOO");
  FirstPort(service).set_name("Http");

  EXPECT_EQ(Problems(object).size(), 3);
}

TEST(ValidationTest, WhenAMemberCanBeNobody_ItIsNamed) {
  const auto problems = [](const char* user, const char* group) {
    v1::Object object;
    object.mutable_project()->mutable_metadata()->set_name("shop");
    v1::Member& member =
        *object.mutable_project()->mutable_spec()->add_members();
    member.set_user(user);
    member.set_group(group);
    member.set_role(v1::Member::VIEWER);
    return Problems(object);
  };
  for (const char* name : {"alice", "al-ice", "0", "4294967294", "1000x"}) {
    EXPECT_TRUE(problems(name, "").empty()) << name;
    EXPECT_TRUE(problems("", name).empty()) << name;
  }
  for (const char* name : {"-1", "4294967295", "99999999999", "a,b"}) {
    ASSERT_EQ(problems(name, "").size(), 1u) << name;
    EXPECT_EQ(problems(name, "")[0].field(), "spec.members[0].user");
    ASSERT_EQ(problems("", name).size(), 1u) << name;
    EXPECT_EQ(problems("", name)[0].field(), "spec.members[0].group");
  }
}

TEST(ValidationTest, WhenASubnetIsWrong_ItIsNamed) {
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
