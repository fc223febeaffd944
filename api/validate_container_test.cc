// The rules of a container.
#include "api/validation_testing.h"

namespace bulwark::api {
namespace {

const SpoiledCase kCases[] = {
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
    {"UnknownCapability",
     [](v1::Service& s) {
       Main(s).mutable_capabilities()->add_add("CAP_CHOWN");
       Main(s).mutable_capabilities()->add_drop("FLY");
     },
     "spec.containers[0].capabilities.drop", "\"FLY\" names no capability"},
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
    {"BadSecretName",
     [](v1::Service& s) { Main(s).add_secrets()->set_name("Db"); },
     "spec.containers[0].secrets[0].name", "is not a name"},
    {"SecretBelowOthers",
     [](v1::Service& s) { Secret(s, "db", "/run/secrets/a/b"); },
     "spec.containers[0].secrets[0].path", "cannot be in /run/secrets"},
    {"SecretAmongConfigs",
     [](v1::Service& s) { Secret(s, "db", "/run/configs/db"); },
     "spec.containers[0].secrets[0].path", "cannot be in"},
    {"SecretOverTheDirectory",
     [](v1::Service& s) { Secret(s, "db", "/run/secrets"); },
     "spec.containers[0].secrets[0].path", "cannot be in"},
    {"SecretUpwards",
     [](v1::Service& s) { Secret(s, "db", "/run/secrets/..data"); },
     "spec.containers[0].secrets[0].path", "is not the path of a file"},
    {"SecretInProc", [](v1::Service& s) { Secret(s, "db", "/proc/db"); },
     "spec.containers[0].secrets[0].path", "is under /proc"},
    {"SecretModeTooWide",
     [](v1::Service& s) { Secret(s, "db", "/db").set_mode(04400); },
     "spec.containers[0].secrets[0].mode", "is not a mode of a file"},
    {"TwoSecretsAtOnePath",
     [](v1::Service& s) {
       Secret(s, "a", "/db");
       Secret(s, "b", "/db");
     },
     "spec.containers[0].secrets[1].path", "two files have the path"},
    {"SecretOverAVolume",
     [](v1::Service& s) {
       Mount(s, "data", "/data");
       Secret(s, "a", "/data");
     },
     "spec.containers[0].secrets[0].path", "two files have the path"},
    {"ConfigRelative",
     [](v1::Service& s) {
       v1::ConfigMount& mount = *Main(s).add_configs();
       mount.set_name("app");
       mount.set_path("etc/app");
     },
     "spec.containers[0].configs[0].path", "is not the path of a file"},
    {"SwapOfAFixedPath",
     [](v1::Service& s) {
       Secret(s, "db", "/data/db");
       s.mutable_spec()->mutable_on_change()->set_action(
           v1::ChangePolicy::SWAP);
     },
     "spec.containers[0].secrets[0].path", "cannot be swapped"},
    {"SignalOfARoll",
     [](v1::Service& s) {
       s.mutable_spec()->mutable_on_change()->set_signal("SIGHUP");
     },
     "spec.onChange.signal", "is for swapped files"},
    {"NoSignal",
     [](v1::Service& s) {
       s.mutable_spec()->mutable_on_change()->set_action(
           v1::ChangePolicy::SWAP);
       s.mutable_spec()->mutable_on_change()->set_signal("SIGNOTHING");
     },
     "spec.onChange.signal", "is not a signal"},
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
    {"DeviceOutsideOfDev",
     [](v1::Service& s) {
       Main(s).add_devices()->set_host_path("/etc/passwd");
     },
     "spec.containers[0].devices[0].hostPath", "is not a device of the host"},
    {"DevicePathRelative",
     [](v1::Service& s) {
       Main(s).add_devices()->set_host_path("/dev/fuse");
       Main(s).mutable_devices(0)->set_path("fuse");
     },
     "spec.containers[0].devices[0].path", "is not an absolute path"},
    {"DeviceOfEveryContainer",
     [](v1::Service& s) { Main(s).add_devices()->set_host_path("/dev/null"); },
     "spec.containers[0].devices[0].path", "is there in every container"},
    {"DeviceAccess",
     [](v1::Service& s) {
       Main(s).add_devices()->set_host_path("/dev/fuse");
       Main(s).mutable_devices(0)->set_access("rx");
     },
     "spec.containers[0].devices[0].access", "is not an access"},
    {"DeviceTwice",
     [](v1::Service& s) {
       Main(s).add_devices()->set_host_path("/dev/fuse");
       Main(s).add_devices()->set_host_path("/dev/fuse");
     },
     "spec.containers[0].devices[1].path", "something else is mounted"},
    {"UnknownUlimit",
     [](v1::Service& s) { Main(s).add_ulimits()->set_name("files"); },
     "spec.containers[0].ulimits[0].name", "is not a limit"},
    {"UlimitTwice",
     [](v1::Service& s) {
       Main(s).add_ulimits()->set_name("core");
       Main(s).add_ulimits()->set_name("core");
     },
     "spec.containers[0].ulimits[1].name", "is given twice"},
    {"UlimitSoftAboveHard",
     [](v1::Service& s) {
       v1::Ulimit& u = *Main(s).add_ulimits();
       u.set_name("core");
       u.set_soft(-1);
       u.set_hard(5);
     },
     "spec.containers[0].ulimits[0].soft", "\"unlimited\" is above the hard"},
    {"UlimitNegative",
     [](v1::Service& s) {
       v1::Ulimit& u = *Main(s).add_ulimits();
       u.set_name("core");
       u.set_soft(-2);
       u.set_hard(5);
     },
     "spec.containers[0].ulimits[0].soft", "is below -1"},
    {"UnlimitedFiles",
     [](v1::Service& s) {
       Main(s).add_ulimits()->set_name("nofile");
       Main(s).mutable_ulimits(0)->set_soft(-1);
     },
     "spec.containers[0].ulimits[0].hard", "cannot be unlimited"},
    {"TmpfsRelative",
     [](v1::Service& s) { Main(s).add_tmpfs()->set_path("run"); },
     "spec.containers[0].tmpfs[0].path", "is not an absolute path"},
    {"TmpfsOnShm",
     [](v1::Service& s) { Main(s).add_tmpfs()->set_path("/dev/shm"); },
     "spec.containers[0].tmpfs[0].path", "in memory already"},
    {"TmpfsOnProc",
     [](v1::Service& s) { Main(s).add_tmpfs()->set_path("/proc/x"); },
     "spec.containers[0].tmpfs[0].path", "is under /proc"},
    {"TmpfsOverVolume",
     [](v1::Service& s) {
       Mount(s, "data", "/data");
       Main(s).add_tmpfs()->set_path("/data");
     },
     "spec.containers[0].tmpfs[0].path", "something else is mounted"},
    {"NegativeShm", [](v1::Service& s) { Main(s).set_shm_size(-1); },
     "spec.containers[0].shmSize", "is negative"},
    {"BadHostname", [](v1::Service& s) { Main(s).set_hostname("a b"); },
     "spec.containers[0].hostname", "is not a host name"},
    {"BadHostsName",
     [](v1::Service& s) {
       Main(s).add_extra_hosts()->set_name("-x");
       Main(s).mutable_extra_hosts(0)->set_address("10.0.0.1");
     },
     "spec.containers[0].extraHosts[0].name", "is not the name of a host"},
    {"BadHostsAddress",
     [](v1::Service& s) {
       Main(s).add_extra_hosts()->set_name("db");
       Main(s).mutable_extra_hosts(0)->set_address("10.0.0");
     },
     "spec.containers[0].extraHosts[0].address", "is not an address"},
    {"SysctlOfTheHost",
     [](v1::Service& s) {
       Main(s).add_sysctls()->set_name("kernel.core_pattern");
       Main(s).mutable_sysctls(0)->set_value("|/x");
     },
     "spec.containers[0].sysctls[0].name", "a container has of its own"},
    {"SysctlTwice",
     [](v1::Service& s) {
       for (const char* name : {"net.core.somaxconn", "net/core/somaxconn"}) {
         v1::Sysctl& sysctl = *Main(s).add_sysctls();
         sysctl.set_name(name);
         sysctl.set_value("1");
       }
     },
     "spec.containers[0].sysctls[1].name", "is given twice"},
    {"SysctlWithoutValue",
     [](v1::Service& s) {
       Main(s).add_sysctls()->set_name("net.core.somaxconn");
     },
     "spec.containers[0].sysctls[0].value", "is not a line"},
    {"SysctlsOfOneNetworkDiffer",
     [](v1::Service& s) {
       v1::Container& side = *s.mutable_spec()->add_sidecars();
       side.set_name("side");
       side.set_image("side:1");
       for (v1::Container* c : {&side, &Main(s)}) {
         c->add_sysctls()->set_name("net.core.somaxconn");
         c->mutable_sysctls(0)->set_value(c == &side ? "1" : "2");
       }
     },
     "spec.containers[0].sysctls[0].value", "which shares the network"},
    {"LogSizeOfJournal",
     [](v1::Service& s) {
       Main(s).mutable_log()->set_driver(v1::Logging::JOURNALD);
       Main(s).mutable_log()->set_max_size(1 << 20);
     },
     "spec.containers[0].log.maxSize", "for drivers that write files"},
    {"LogTooSmall",
     [](v1::Service& s) { Main(s).mutable_log()->set_max_size(100); },
     "spec.containers[0].log.maxSize", "below 64Ki"},
    {"TooLarge",
     [](v1::Service& s) { Main(s).add_args(std::string(1 << 20, 'x')); }, "",
     "larger than 1 MiB"},
};

TEST(GivenTest, WhenRight_NothingIsSaidAndDefaultsAreFilledIn) {
  v1::Object object = WebService();
  v1::Container& c = Main(*object.mutable_service());
  c.add_devices()->set_host_path("/dev/fuse");
  v1::Ulimit& files = *c.add_ulimits();
  files.set_name("nofile");
  files.set_soft(4096);
  v1::Ulimit& lock = *c.add_ulimits();
  lock.set_name("memlock");
  lock.set_soft(-1);
  c.add_tmpfs()->set_path("/run");
  c.set_hostname("Box.example");
  for (const char* address : {"10.0.0.1", "fd00::1", "host-gateway"}) {
    v1::HostEntry& host = *c.add_extra_hosts();
    host.set_name("db");
    host.set_address(address);
  }
  c.add_sysctls()->set_name("net.ipv4.ping_group_range");
  c.mutable_sysctls(0)->set_value("0\t2147483647");
  c.mutable_log();
  EXPECT_TRUE(Problems(object).empty());
  SetDefaults(object);
  EXPECT_EQ(c.devices(0).path(), "/dev/fuse");
  EXPECT_EQ(c.devices(0).access(), "rw");
  EXPECT_EQ(c.ulimits(0).hard(), 4096);
  EXPECT_EQ(c.tmpfs(0).mode(), 01777u);
  EXPECT_EQ(c.log().driver(), v1::Logging::LOCAL);
  EXPECT_EQ(c.log().max_files(), 5);
}

class ContainerRulesTest : public SpoiledTest {};

TEST_P(ContainerRulesTest, WhenWrong_TheFieldIsNamedAndNothingElse) {
  ExpectOneProblem();
}

INSTANTIATE_TEST_SUITE_P(Rules, ContainerRulesTest, ::testing::ValuesIn(kCases),
                         CaseName);

}  // namespace
}  // namespace bulwark::api
