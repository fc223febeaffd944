#include "scheduler/replica/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "base/testing/status_matchers.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StatusIs;

class BuildSpecTest : public ::testing::Test {
 protected:
  BuildSpecTest() {
    replica_.mutable_metadata()->set_name("web-0-abcde");
    replica_.mutable_metadata()->set_project("shop");
    replica_.mutable_metadata()->set_uid("u");
    replica_.mutable_spec()->set_service("web");
    replica_.mutable_spec()->set_address("10.1.0.2");
    container_.set_name("web");
    container_.set_image("app:1");
    image_.layers = {"/layers/a", "/layers/b"};
    context_.container_id = "u-web";
    context_.netns_path = "/run/netns/x";
    context_.nameserver = "10.1.0.1";
    context_.dns_domain = "bulwark.internal";
  }
  absl::StatusOr<engine::ContainerSpec> Build() {
    return BuildSpec(replica_, container_, image_, context_);
  }
  std::vector<std::string> Args() { return Build()->args; }

  v1::Replica replica_;
  v1::Container container_;
  engine::Image image_;
  LaunchContext context_;
};

TEST_F(BuildSpecTest, CommandReplacesBothArgsReplaceTheImagesArgs) {
  image_.config.entrypoint = {"/entry"};
  image_.config.command = {"a", "b"};
  EXPECT_THAT(Args(), ElementsAre("/entry", "a", "b"));
  container_.add_args("c");
  EXPECT_THAT(Args(), ElementsAre("/entry", "c"));
  container_.add_command("/cmd");
  EXPECT_THAT(Args(), ElementsAre("/cmd", "c"));
  container_.clear_args();
  EXPECT_THAT(Args(), ElementsAre("/cmd"));
}

TEST_F(BuildSpecTest, WhenTheReplicaHasIds_EveryContainerHasThemByDefault) {
  container_.add_command("/cmd");
  context_.ids = {1 << 20, 65536};
  EXPECT_EQ(Build()->ids, context_.ids);
  container_.set_profile(v1::Container::RESTRICTED);
  EXPECT_EQ(Build()->ids, context_.ids);
  EXPECT_EQ(Build()->profile, engine::SecurityProfile::kRestricted);
  container_.set_host_users(true);
  EXPECT_EQ(Build()->ids, engine::IdRange());
  container_.set_host_users(false);
  container_.set_profile(v1::Container::PRIVILEGED);
  EXPECT_EQ(Build()->ids, engine::IdRange());
}

TEST_F(BuildSpecTest, WhenCapabilitiesAreNamed_TheEngineGetsThem) {
  container_.add_command("/cmd");
  container_.mutable_capabilities()->add_add("NET_RAW");
  container_.mutable_capabilities()->add_drop("ALL");
  EXPECT_THAT(Build()->add_capabilities, ElementsAre("NET_RAW"));
  EXPECT_THAT(Build()->drop_capabilities, ElementsAre("ALL"));
}

TEST_F(BuildSpecTest, WhenThereIsNoCommand_SaysWhatToDo) {
  EXPECT_THAT(Build(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("set `command`")));
}

TEST_F(BuildSpecTest, TheContainersVariablesReplaceTheImages) {
  image_.config.command = {"/app"};
  image_.config.env = {"PATH=/bin", "MODE=dev"};
  v1::EnvVar& mode = *container_.add_env();
  mode.set_name("MODE");
  mode.set_value("production");
  v1::EnvVar& extra = *container_.add_env();
  extra.set_name("MO");
  EXPECT_THAT(Build()->env, ElementsAre("PATH=/bin", "MODE=production", "MO="));
}

TEST_F(BuildSpecTest, TheRestComesFromContainerImageAndSlot) {
  image_.config.command = {"/app"};
  image_.config.user = "nobody";
  image_.config.working_dir = "/srv";
  ASSERT_OK_AND_ASSIGN(engine::ContainerSpec spec, Build());
  EXPECT_EQ(spec.user, "nobody");
  EXPECT_EQ(spec.cwd, "/srv");
  EXPECT_EQ(spec.resources.pids_limit, 512);
  EXPECT_EQ(spec.hostname, "web-0-abcde");
  EXPECT_EQ(spec.network_namespace, "/run/netns/x");
  EXPECT_THAT(spec.nameservers, ElementsAre("10.1.0.1"));
  EXPECT_THAT(spec.search_domains, ElementsAre("shop.bulwark.internal"));
  EXPECT_EQ(spec.labels.at("bulwark.replica"), "u");
  container_.set_user("app");
  container_.set_working_dir("/w");
  container_.mutable_resources()->set_pids(7);
  container_.mutable_resources()->mutable_memory()->set_limit(1 << 20);
  ASSERT_OK_AND_ASSIGN(spec, Build());
  EXPECT_EQ(spec.user, "app");
  EXPECT_EQ(spec.cwd, "/w");
  EXPECT_EQ(spec.resources.pids_limit, 7);
  EXPECT_EQ(spec.resources.memory_limit_bytes, 1 << 20);
}

TEST_F(BuildSpecTest, WhenTheLabelHasASize_TheTerminalBeginsWithIt) {
  image_.config.command = {"/app"};
  std::string& label =
      (*replica_.mutable_metadata()->mutable_labels())["bulwark.terminal"];
  label = "33x77";
  EXPECT_EQ(Build()->terminal_size, engine::TerminalSize{});
  container_.set_tty(true);
  EXPECT_EQ(Build()->terminal_size, (engine::TerminalSize{33, 77}));
  for (const char* other : {"", "x", "33", "33x", "-1x2", "70000x1", "3x3x3"}) {
    label = other;
    EXPECT_EQ(Build()->terminal_size, engine::TerminalSize{}) << other;
  }
}

TEST_F(BuildSpecTest, WhatTheContainerIsGivenReachesTheEngine) {
  image_.config.command = {"/app"};
  container_.add_devices()->set_host_path("/dev/fuse");
  v1::Ulimit& files = *container_.add_ulimits();
  files.set_name("nofile");
  files.set_soft(4096);
  v1::Ulimit& core = *container_.add_ulimits();
  core.set_name("core");
  core.set_hard(-1);
  container_.add_tmpfs()->set_path("/run");
  container_.mutable_tmpfs(0)->set_mode(0755);
  container_.set_shm_size(1 << 20);
  container_.set_hostname("box");
  container_.add_sysctls()->set_name("net.core.somaxconn");
  container_.mutable_sysctls(0)->set_value("7");
  v1::HostEntry& host = *container_.add_extra_hosts();
  host.set_name("host");
  host.set_address("host-gateway");
  container_.mutable_log()->set_driver(v1::Logging::JOURNALD);
  ASSERT_OK_AND_ASSIGN(const engine::ContainerSpec spec, Build());
  ASSERT_EQ(spec.devices.size(), 1u);
  EXPECT_EQ(spec.devices[0].path, "/dev/fuse");
  EXPECT_EQ(spec.devices[0].access, "rw");
  ASSERT_EQ(spec.ulimits.size(), 2u);
  EXPECT_EQ(spec.ulimits[0].resource, RLIMIT_NOFILE);
  EXPECT_EQ(spec.ulimits[0].hard, 4096u);
  EXPECT_EQ(spec.ulimits[1].soft, 0u);
  EXPECT_EQ(spec.ulimits[1].hard, RLIM_INFINITY);
  ASSERT_EQ(spec.mounts.size(), 1u);
  EXPECT_EQ(spec.mounts[0].kind, engine::Mount::Kind::kTmpfs);
  EXPECT_EQ(spec.mounts[0].mode, 0755u);
  EXPECT_EQ(spec.shm_bytes, 1 << 20);
  EXPECT_EQ(spec.hostname, "box");
  using Host = std::pair<std::string, std::string>;
  EXPECT_THAT(spec.hosts,
              ElementsAre(Host("web-0-abcde", "10.1.0.2"),
                          Host("box", "10.1.0.2"), Host("host", "10.1.0.1")));
  EXPECT_EQ(spec.sysctls.at("net.core.somaxconn"), "7");
  EXPECT_EQ(spec.log.driver, engine::LogDriver::kJournald);
  EXPECT_EQ(spec.log.name, "shop/web-0-abcde/web");
  context_.nameserver = "";
  EXPECT_THAT(Build(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("no gateway")));
}

TEST(SignalNumberTest, ReadsNamesAndNumbers) {
  EXPECT_EQ(SignalNumber("SIGQUIT"), SIGQUIT);
  EXPECT_EQ(SignalNumber("quit"), SIGQUIT);
  EXPECT_EQ(SignalNumber("3"), 3);
  EXPECT_EQ(SignalNumber("SIGRTMIN+3"), SIGRTMIN + 3);
  EXPECT_EQ(SignalNumber("SIGTSTP"), SIGTSTP);
  EXPECT_EQ(SignalNumber(""), SIGTERM);
  EXPECT_EQ(SignalNumber("SIGNONSENSE"), SIGTERM);
  EXPECT_EQ(SignalNumber("-9"), SIGTERM);
  EXPECT_EQ(SignalNumber("999"), SIGTERM);
}

}  // namespace
}  // namespace bulwark::scheduler
