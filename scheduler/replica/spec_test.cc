#include "scheduler/replica/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
