// What every engine::Engine must do. Each implementation instantiates the
// suite with a harness that knows how to make its containers do things.
#ifndef TESTS_CONTRACT_ENGINE_CONTRACT_H_
#define TESTS_CONTRACT_ENGINE_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "engine/container_access.h"
#include "engine/engine.h"

namespace bulwark::engine {

class EngineHarness {
 public:
  virtual ~EngineHarness() = default;

  virtual Engine& engine() = 0;
  virtual ContainerAccess& access() = 0;
  virtual Clock& clock() = 0;
  // A new object over the same containers, as after a crash of the daemon.
  virtual void Reopen() = 0;

  // A container that obeys the calls below; and one whose command,
  // "/no/such/command", does not exist.
  virtual ContainerSpec Obedient(const std::string& id) = 0;
  // One with open_stdin that puts out the lines that it reads.
  virtual ContainerSpec Echoing(const std::string& id) = 0;
  virtual ContainerSpec Broken(const std::string& id) = 0;

  virtual void MakeExit(const std::string& id, int code) = 0;
  virtual void MakePrint(const std::string& id, const std::string& line) = 0;
  // Makes the container use at least so much memory, until it ends.
  virtual void UseMemory(const std::string& id, int64_t bytes) = 0;
  // A process to exec that prints `text` and exits with `code`.
  virtual ExecSpec Printing(const std::string& text, int code) = 0;
};

struct EngineContractParam {
  std::string name;
  std::function<std::unique_ptr<EngineHarness>()> make;
};

class EngineContractTest
    : public ::testing::TestWithParam<EngineContractParam> {
 protected:
  void SetUp() override;

  // Waits until the container has exited; its last state.
  ContainerInfo AwaitExit(const std::string& id);
  // Kills and removes what a test started.
  void TearDown() override;

  Engine& engine() { return harness_->engine(); }
  ContainerAccess& access() { return harness_->access(); }

  std::unique_ptr<EngineHarness> harness_;
};

}  // namespace bulwark::engine

#endif  // TESTS_CONTRACT_ENGINE_CONTRACT_H_
