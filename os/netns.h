// Network namespaces: made and entered on dedicated threads, kept alive by a
// bind mount ("pin") of their nsfs file.
#ifndef OS_NETNS_H_
#define OS_NETNS_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/unique_fd.h"

namespace bulwark::os {

// A thread that changes its network namespace; no other one does.
// Thread-safe: calls run one after the other.
class NetnsWorker {
 public:
  // The worker's home is the namespace of the calling thread.
  static absl::StatusOr<std::unique_ptr<NetnsWorker>> Start();
  NetnsWorker(const NetnsWorker&) = delete;
  NetnsWorker& operator=(const NetnsWorker&) = delete;
  ~NetnsWorker();

  // Runs `task` in the namespace `netns_fd` (-1: home), waits for it and
  // returns its status. Must not be called from within a task.
  absl::Status Run(int netns_fd, absl::FunctionRef<absl::Status()> task);
  // A new namespace, alive while the result or a pin of it is.
  absl::StatusOr<UniqueFd> Create();

 private:
  explicit NetnsWorker(UniqueFd home) : home_(std::move(home)) {}
  void Loop();

  const UniqueFd home_;
  absl::Mutex run_mu_;  // held by the caller whose task runs
  absl::Mutex mu_;
  absl::FunctionRef<absl::Status()>* task_ ABSL_GUARDED_BY(mu_) = nullptr;
  int netns_fd_ ABSL_GUARDED_BY(mu_) = -1;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status result_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

// The calling thread's network namespace.
absl::StatusOr<UniqueFd> CurrentNetns();
// NOT_FOUND if `path` does not exist; FAILED_PRECONDITION if it is not a
// network namespace (a pin whose mount is gone is an empty file).
absl::StatusOr<UniqueFd> OpenNetns(const std::string& path);
// Whether both are the same namespace.
bool SameNetns(int a, int b);

// Makes the file `path` and binds the namespace to it. ALREADY_EXISTS if a
// namespace is pinned there.
absl::Status PinNetns(int netns_fd, const std::string& path);
// Unmounts and removes `path`. OK if it does not exist.
absl::Status UnpinNetns(const std::string& path);

// Makes `path` a private mount of itself, so that what is mounted below does
// not spread to other mount namespaces. OK if it is one.
absl::Status MakePrivateMount(const std::string& path);

}  // namespace bulwark::os

#endif  // OS_NETNS_H_
