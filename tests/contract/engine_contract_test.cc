#include "tests/contract/engine_contract.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/fake_engine.h"
#include "engine/local/testing/local_world.h"

namespace bulwark::engine {
namespace {

class FakeHarness final : public EngineHarness {
 public:
  FakeHarness() {
    fake_.SetEcho(true);
    fake_.SetStartHook([](const ContainerSpec& spec) {
      return spec.args[0] == "/bin/obey"
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError(
                       absl::StrCat("execute ", spec.args[0]));
    });
    fake_.SetExecHandler([](absl::string_view id, const ExecSpec& spec) {
      return FakeExecResult{spec.args[1] + "\n", "", std::stoi(spec.args[2])};
    });
  }
  Engine& engine() override { return fake_; }
  ContainerAccess& access() override { return fake_; }
  Clock& clock() override { return clock_; }
  void Reopen() override { EXPECT_OK(fake_.Recover(nullptr)); }
  ContainerSpec Obedient(const std::string& id) override {
    return Spec(id, "/bin/obey");
  }
  ContainerSpec Echoing(const std::string& id) override {
    ContainerSpec spec = Obedient(id);
    spec.open_stdin = true;
    return spec;
  }
  ContainerSpec Broken(const std::string& id) override {
    return Spec(id, "/no/such/command");
  }
  void MakeExit(const std::string& id, int code) override {
    EXPECT_OK(fake_.Exit(id, code));
  }
  void MakePrint(const std::string& id, const std::string& line) override {
    EXPECT_OK(fake_.Print(id, line));
  }
  void UseMemory(const std::string& id, int64_t bytes) override {
    ContainerStats stats;
    stats.memory_bytes = bytes;
    EXPECT_OK(fake_.SetStats(id, stats));
  }
  ExecSpec Printing(const std::string& text, int code) override {
    ExecSpec spec;
    spec.args = {"print", text, absl::StrCat(code)};
    return spec;
  }

 private:
  static ContainerSpec Spec(const std::string& id, const char* command) {
    ContainerSpec spec;
    spec.id = id;
    spec.args = {command};
    return spec;
  }

  RealClock clock_;
  FakeEngine fake_{clock_};
};

class LocalHarness final : public EngineHarness {
 public:
  explicit LocalHarness(const std::string& max_kernel) : world_(max_kernel) {}

  Engine& engine() override { return world_.engine(); }
  ContainerAccess& access() override { return world_.engine(); }
  Clock& clock() override { return world_.clock(); }
  void Reopen() override { world_.Reopen(); }
  ContainerSpec Obedient(const std::string& id) override {
    return world_.Obedient(id);
  }
  ContainerSpec Echoing(const std::string& id) override {
    ContainerSpec spec = world_.Shell(id, "exec cat");
    spec.open_stdin = true;
    return spec;
  }
  ContainerSpec Broken(const std::string& id) override {
    ContainerSpec spec = world_.Shell(id, "");
    spec.args = {"/no/such/command"};
    return spec;
  }
  void MakeExit(const std::string& id, int code) override {
    world_.Command(id, absl::StrCat("exit ", code));
  }
  void MakePrint(const std::string& id, const std::string& line) override {
    world_.Command(id, absl::StrCat("say ", line));
  }
  // tail keeps a line that does not end.
  void UseMemory(const std::string& id, int64_t bytes) override {
    world_.Command(id, absl::StrCat("(head -c ", bytes,
                                    " /dev/zero; sleep 1000) | tail -n 1 &"));
    const absl::Duration deadline = clock().Steady() + absl::Seconds(20);
    while (engine().Stats(id)->memory_bytes < bytes) {
      ASSERT_LT(clock().Steady(), deadline);
      clock().Sleep(absl::Milliseconds(5));
    }
  }
  ExecSpec Printing(const std::string& text, int code) override {
    ExecSpec spec;
    spec.args = {"sh", "-c", absl::StrCat("echo ", text, "; exit ", code)};
    return spec;
  }

 private:
  testing::LocalWorld world_;
};

INSTANTIATE_TEST_SUITE_P(
    Engines, EngineContractTest,
    ::testing::Values(
        EngineContractParam{"Fake",
                            [] { return std::make_unique<FakeHarness>(); }},
        EngineContractParam{"Local",
                            [] { return std::make_unique<LocalHarness>(""); }},
        EngineContractParam{
            "LocalOnOldKernel",
            [] { return std::make_unique<LocalHarness>("6.1"); }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bulwark::engine
