#include "engine/oci/config/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "base/testing/status_matchers.h"
#include "engine/oci/config/names.h"

namespace bulwark::engine::oci {
namespace {

using Json = nlohmann::json;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json Base() {
  return Json::parse(R"({
    "ociVersion": "1.2.0",
    "root": {"path": "rootfs"},
    "process": {"cwd": "/", "args": ["sh"], "env": ["A=b"],
                "user": {"uid": 0, "gid": 0}},
    "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}
  })");
}

absl::StatusOr<Spec> Parse(const Json& config) {
  return ParseSpec(config.dump(), "/bundle");
}

TEST(ParseTest, WhenConfigIsMinimal_DefaultsAreTheSpecifications) {
  ASSERT_OK_AND_ASSIGN(const Spec spec, Parse(Base()));
  EXPECT_EQ(spec.root, "/bundle/rootfs");
  EXPECT_FALSE(spec.root_read_only);
  EXPECT_THAT(spec.process->args, ElementsAre("sh"));
  EXPECT_FALSE(spec.process->capabilities.has_value());
  EXPECT_FALSE(spec.process->umask.has_value());
  EXPECT_FALSE(spec.linux_.resources.pids_limit.has_value());
  EXPECT_FALSE(spec.linux_.seccomp.has_value());
}

TEST(ParseTest, WhenMembersAreSet_TheyAreRead) {
  Json config = Base();
  config["mounts"] = Json::parse(R"([
    {"destination": "data", "source": "here", "options": ["rbind", "ro"]},
    {"destination": "/proc", "type": "proc", "source": "proc"}])");
  config["process"]["capabilities"] = {{"bounding", {"CAP_CHOWN", "CAP_NEW"}},
                                       {"ambient", {"CAP_KILL"}}};
  config["process"]["rlimits"] = Json::parse(
      R"([{"type": "RLIMIT_NOFILE", "soft": 10, "hard": 18446744073709551615}])");
  config["process"]["oomScoreAdj"] = -1000;
  config["hooks"]["poststop"] =
      Json::parse(R"([{"path": "/bin/x", "args": ["x", "y"], "timeout": 3}])");
  config["linux"]["devices"] = Json::parse(
      R"([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229,
           "fileMode": 8630, "uid": 3}])");
  config["linux"]["resources"] = Json::parse(R"({
    "memory": {"limit": 1048576, "swap": -1}, "pids": {"limit": 5},
    "cpu": {"quota": 1000, "period": 2000, "cpus": "0-1"},
    "devices": [{"allow": false}, {"allow": true, "type": "c", "major": 1,
                                   "minor": -1, "access": "rw"}],
    "unified": {"memory.high": "1"}})");
  ASSERT_OK_AND_ASSIGN(const Spec spec, Parse(config));
  EXPECT_EQ(spec.mounts[0].destination, "/data");
  EXPECT_EQ(spec.mounts[0].source, "/bundle/here");
  EXPECT_EQ(spec.mounts[0].type, "bind");
  EXPECT_EQ(spec.process->capabilities->bounding, 1u);
  EXPECT_EQ(spec.process->capabilities->ambient, 1u << 5);
  EXPECT_EQ(spec.process->rlimits[0].resource, RLIMIT_NOFILE);
  EXPECT_EQ(spec.process->rlimits[0].hard, RLIM_INFINITY);
  EXPECT_EQ(spec.process->oom_score_adj, -1000);
  EXPECT_THAT(spec.hooks.poststop[0].args, ElementsAre("x", "y"));
  EXPECT_EQ(spec.linux_.devices[0].file_mode, 0666u);  // without its type
  const Resources& r = spec.linux_.resources;
  EXPECT_EQ(r.memory.swap, -1);
  EXPECT_EQ(r.pids_limit, 5);
  EXPECT_FALSE(r.memory.reservation.has_value());
  EXPECT_EQ(r.devices[0].type, 'a');
  EXPECT_EQ(r.devices[0].access, "rwm");
  EXPECT_EQ(r.devices[1].major, 1);
  EXPECT_FALSE(r.devices[1].minor.has_value());
  EXPECT_EQ(r.unified.at("memory.high"), "1");
}

struct Bad {
  const char* pointer;  // what is changed (RFC 6901)
  const char* value;
  const char* message;
};

class BadConfigTest : public ::testing::TestWithParam<Bad> {};

TEST_P(BadConfigTest, NamesTheMember) {
  Json config = Base();
  config[Json::json_pointer(GetParam().pointer)] =
      Json::parse(GetParam().value);
  EXPECT_THAT(Parse(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr(GetParam().message)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfigTest,
    ::testing::Values(
        Bad{"/ociVersion", "null", "ociVersion: is required"},
        Bad{"/ociVersion", "\"2.0.0\"", "is not a version 1"},
        Bad{"/root", "null", "root.path: is required"},
        Bad{"/root", "[]", "root: must be an object, not array"},
        Bad{"/process/args", "\"sh\"", "process.args: must be an array"},
        Bad{"/process/args/0", "3", "process.args[0]: must be a string"},
        Bad{"/process/args/0", "\"a\\u0000b\"", "has a NUL"},
        Bad{"/process/cwd", "\"x\"", "process.cwd: \"x\" is not an absolute"},
        Bad{"/process/env/0", "\"x\"", "process.env: \"x\" has no '='"},
        Bad{"/process/user/uid", "-1", "process.user.uid: -1 is too small"},
        Bad{"/process/user/uid", "4294967296", "is too large"},
        Bad{"/process/user/umask", "512", "process.user.umask"},
        Bad{"/process/oomScoreAdj", "1001", "between -1000 and 1000"},
        Bad{"/process/rlimits",
            R"([{"type":"RLIMIT_AS","soft":1,"hard":1},
                {"type":"RLIMIT_AS","soft":1,"hard":1}])",
            "process.rlimits[1].type: RLIMIT_AS is there twice"},
        Bad{"/process/rlimits", R"([{"type":"AS"}])", "is no limit"},
        Bad{"/process/rlimits", R"([{"type":"RLIMIT_AS","soft":2,"hard":1}])",
            "2 is more than hard, 1"},
        Bad{"/process/scheduler", R"({"policy":"FAST"})", "is no policy"},
        Bad{"/process/ioPriority",
            R"({"class":"IOPRIO_CLASS_BE","priority":9})", "is none of"},
        Bad{"/mounts", R"([{"type":"tmpfs"}])",
            "mounts[0].destination: is required"},
        Bad{"/mounts", R"([{"destination":"/x"}])", "mounts[0].type"},
        Bad{"/mounts", R"([{"destination":"/x","type":"bind"}])",
            "mounts[0].source"},
        Bad{"/hooks", R"({"prestart":[{"path":"x"}]})",
            "hooks.prestart[0].path: \"x\" is not an absolute"},
        Bad{"/hooks", R"({"poststop":[{"path":"/x","timeout":0}]})",
            "must be more than 0"},
        Bad{"/linux/namespaces", "[]", "host's mount namespace"},
        Bad{"/linux/namespaces/1", R"({"type":"mount"})",
            "linux.namespaces[1].type: mount is there twice"},
        Bad{"/linux/namespaces/1", R"({"type":"what"})",
            "\"what\" is no kind of namespace"},
        Bad{"/linux/namespaces/1", R"({"type":"pid","path":"x"})",
            "linux.namespaces[1].path"},
        Bad{"/linux/namespaces/1", R"({"type":"user"})", "needs uidMappings"},
        Bad{"/linux/uidMappings", R"([{"containerID":0,"hostID":1,"size":1}])",
            "need a user namespace"},
        Bad{"/linux/uidMappings", R"([{"size":0}])", "more than 0"},
        Bad{"/linux/timeOffsets", R"({"monotonic":{"secs":1}})",
            "need a time namespace"},
        Bad{"/linux/timeOffsets", R"({"realtime":{"secs":1}})",
            "only monotonic"},
        Bad{"/linux/sysctl", R"({"kernel.panic":"1"})", "whole host"},
        Bad{"/linux/sysctl", R"({"net/../kernel/core_pattern":"x"})",
            "whole host"},
        Bad{"/linux/sysctl", R"({"net.ipv4.ip_forward":"1"})",
            "namespace of its own"},
        Bad{"/hostname", "\"x\"", "hostname: needs a uts namespace"},
        Bad{"/linux/devices", R"([{"path":"/x","type":"z"}])", "is not c, u"},
        Bad{"/linux/devices",
            R"([{"path":"/x","type":"c","major":4096,"minor":0}])",
            "is no device number"},
        Bad{"/linux/resources", R"({"devices":[{"access":"rx"}]})",
            "linux.resources.devices[0].access"},
        Bad{"/linux/resources", R"({"pids":{"limit":"5"}})",
            "linux.resources.pids.limit: must be a whole number, not string"},
        Bad{"/linux/resources", R"({"memory":{"limit":1.5}})",
            "must be a whole number"},
        Bad{"/linux/seccomp", "{}", "defaultAction: is required"},
        Bad{"/linux/seccomp",
            R"({"defaultAction":"SCMP_ACT_ALLOW",
                "syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",
                             "args":[{"index":6,"value":1,
                                      "op":"SCMP_CMP_EQ"}]}]})",
            "linux.seccomp.syscalls[0].args[0].index"},
        Bad{"/linux/personality", R"({"domain":"BSD"})", "neither LINUX"},
        Bad{"/annotations", R"({"":"x"})", "a key is empty"}));

TEST(ParseTest, WhenTheTextIsNoConfiguration_ItIsRefused) {
  for (const char* text : {"", "{", "[]", "null", "\xff", "{\"a\":}"}) {
    EXPECT_THAT(ParseSpec(text, "/b"),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  EXPECT_THAT(
      ParseSpec(std::string(100000, '['), "/b"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nested deeper")));
  EXPECT_THAT(
      ParseSpec(std::string(kMaxConfigBytes + 1, ' '), "/b"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than")));
}

TEST(ParseTest, WhenMembersAreUnknown_TheyAreIgnored) {
  Json config = Base();
  config["future"] = {{"x", 1}};
  config["linux"]["future"] = 3;
  EXPECT_OK(Parse(config));
}

TEST(NamesTest, SignalsComeInEachOfTheirForms) {
  EXPECT_EQ(SignalNumber("SIGTERM"), 15);
  EXPECT_EQ(SignalNumber("term"), 15);
  EXPECT_EQ(SignalNumber("9"), 9);
  EXPECT_EQ(SignalNumber("SIGRTMIN+3"), 37);
  EXPECT_EQ(SignalNumber("RTMAX-1"), 63);
  for (const char* bad : {"", "0", "65", "-1", "SIGWHAT", "RTMIN+99", "RT"}) {
    EXPECT_EQ(SignalNumber(bad), std::nullopt) << bad;
  }
}

}  // namespace
}  // namespace bulwark::engine::oci
