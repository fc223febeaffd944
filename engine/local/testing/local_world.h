// A place for a LocalEngine under test: directories, an instance name and an
// image of its own, gone afterwards.
#ifndef ENGINE_LOCAL_TESTING_LOCAL_WORLD_H_
#define ENGINE_LOCAL_TESTING_LOCAL_WORLD_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "engine/local/local_engine.h"

namespace bulwark::engine::testing {

class LocalWorld {
 public:
  // Needs root and /bin/busybox (package busybox-static).
  explicit LocalWorld(const std::string& max_kernel = "");
  // Kills and removes every container, then the instance's cgroups.
  ~LocalWorld();

  LocalEngine& engine() { return *engine_; }
  RealClock& clock() { return clock_; }
  LocalEngineConfig& config() { return config_; }

  // Destroys the engine and makes a new one, without Recover().
  void Reopen();
  // Only destroys it.
  void Close() { engine_.reset(); }

  // Of the containers that are made from here on.
  void SetIds(const IdRange& ids) { ids_ = ids; }

  // A busybox container that runs `script`.
  ContainerSpec Shell(const std::string& id, const std::string& script);
  // One that obeys Command(): "exit CODE", "say LINE", or any shell command.
  ContainerSpec Obedient(const std::string& id);
  void Command(const std::string& id, const std::string& command);

  ContainerInfo AwaitExit(const std::string& id);
  // Runs a command in a container; its output, with "exit CODE" appended if
  // the code is not 0.
  std::string Run(const std::string& id, std::vector<std::string> args);
  std::string RunShell(const std::string& id, const std::string& script) {
    return Run(id, {"/bin/sh", "-c", script});
  }
  // All that the container printed so far, one line each.
  std::string Output(const std::string& id);

  std::string Layer() { return dir_ / "layer"; }
  std::string operator/(const std::string& name) { return dir_ / name; }

 private:
  ::bulwark::testing::TempDir dir_;
  RealClock clock_;
  IdRange ids_;
  LocalEngineConfig config_;
  std::unique_ptr<LocalEngine> engine_;
  std::map<std::string, UniqueFd> fifos_;
};

// What the kernel and the file system hold for us; equal before and after.
struct Resources {
  int mounts = 0;
  int open_files = 0;
  int children = 0;
};
Resources CountResources();

}  // namespace bulwark::engine::testing

#endif  // ENGINE_LOCAL_TESTING_LOCAL_WORLD_H_
