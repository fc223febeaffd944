// Runs the preStop hooks of containers.
#ifndef SCHEDULER_REPLICA_HOOKS_H_
#define SCHEDULER_REPLICA_HOOKS_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "engine/engine.h"

namespace bulwark::scheduler {

// A hook is a command in a container, on a thread of its own beside the workers
// of the replica controller, since it may take as long as the stop timeout.
// Thread-safe.
class HookRunner {
 public:
  // Told when a hook of the container is over. Any thread; must not block.
  using Over = std::function<void(const std::string& container_id)>;

  enum class State { kNone, kRunning, kOver };

  // The references must outlive this object.
  HookRunner(engine::Engine& engine, Clock& clock, Over over);
  ~HookRunner();  // stops

  // Begins `command` in the container, for at most `timeout`. Nothing happens
  // if it has begun already.
  void Begin(const std::string& container_id, std::vector<std::string> command,
             absl::Duration timeout);

  State StateOf(const std::string& container_id);

  // Why the hook, which is over, did not do what it should ("exited with status
  // 1: …"); none if it did, or if that was asked before.
  std::optional<std::string> TakeFailure(const std::string& container_id);

  // Kills the hook if it still runs, and forgets it.
  void Forget(const std::string& container_id);

  // Kills every hook, and returns when all threads have ended.
  void Stop();

 private:
  struct Hook {
    std::vector<std::string> command;
    absl::Duration timeout;
    std::atomic<bool> cancelled{false};
    std::atomic<bool> over{false};
    std::string failure;  // before `over`: of the thread; after: under mu_
    std::thread thread;
  };
  using HookPtr = std::shared_ptr<Hook>;

  void Run(const std::string& container_id, Hook& hook);
  // Empty, or why it failed.
  std::string Execute(const std::string& container_id, Hook& hook);
  // Joins the threads of forgotten hooks that have ended.
  void Sweep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  engine::Engine& engine_;
  Clock& clock_;
  const Over over_;

  absl::Mutex mu_;
  std::map<std::string, HookPtr> hooks_ ABSL_GUARDED_BY(mu_);
  std::vector<HookPtr> forgotten_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_REPLICA_HOOKS_H_
