#include "tests/e2e/suite.h"

#include "absl/strings/str_cat.h"

namespace bulwark::e2e {

World* Suite::world_ = nullptr;
std::string Suite::busybox_;

void Suite::Open(const std::string& instance, const std::string& daemon) {
  world_ = new World(instance, daemon);
  world_->StartRegistry();
  busybox_ = world_->PushBusybox("1");
  world_->StartDaemon();
}

void Suite::Close() {
  if (HasFailure()) fprintf(stderr, "%s\n", world_->DaemonLog().c_str());
  world_->Teardown();
  EXPECT_EQ(world_->Leaked(""), "");
  delete world_;
  world_ = nullptr;
}

void Suite::SetUp() {
  if (!world_->daemon_alive()) world_->StartDaemon();
}

Result Suite::Ctl(const std::vector<std::string>& arguments,
                  const std::string& input) {
  Result result = world_->Ctl(arguments, absl::Seconds(60), input);
  EXPECT_TRUE(result.ok()) << result.ToString();
  return result;
}

Result Suite::CtlFails(const std::vector<std::string>& arguments, int code) {
  Result result = world_->Ctl(arguments);
  EXPECT_EQ(result.code, code) << result.ToString();
  EXPECT_THAT(result.err, ::testing::HasSubstr("error: "));
  return result;
}

std::string Suite::Manifest(const std::string& name, const std::string& command,
                            const std::string& more) {
  return absl::StrCat("kind: Service\nname: ", name, "\nimage: ", busybox_,
                      "\ncommand: [sh, -c, '", command,
                      "']\nresources: {memory: 64Mi}\nstop: {timeout: 1s}\n"
                      "rollout: {minHealthyTime: 100ms}\n",
                      more);
}

bool Suite::Exists(const std::string& kind, const std::string& name) {
  return world_->Ctl({"get", kind, name}).ok();
}

}  // namespace bulwark::e2e

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (std::string why = bulwark::e2e::EnterPrivateNamespaces(); !why.empty()) {
    printf("cannot run: %s\n", why.c_str());
    return 1;
  }
  return RUN_ALL_TESTS();
}
