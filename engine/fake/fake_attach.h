// Standard streams of FakeEngine's containers, for those who attach.
#ifndef ENGINE_FAKE_FAKE_ATTACH_H_
#define ENGINE_FAKE_FAKE_ATTACH_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/container_access.h"

namespace bulwark::engine {

// Shared by a container and those attached to it. Thread-safe.
class FakeStreams {
 public:
  // `echo`: what comes in is put out.
  FakeStreams(bool terminal, bool has_input, bool echo)
      : terminal_(terminal), has_input_(has_input), echo_(echo) {}

  void Print(absl::string_view data, bool is_error);
  void Close();
  std::string input();
  bool input_closed();
  int attached();

  static absl::StatusOr<std::unique_ptr<AttachSession>> Attach(
      std::shared_ptr<FakeStreams> streams, const AttachOptions& options);

 private:
  friend class FakeAttachSession;

  void WakeAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const bool terminal_;
  const bool has_input_;
  const bool echo_;
  absl::Mutex mu_;
  std::vector<AttachChunk> output_ ABSL_GUARDED_BY(mu_);
  std::string input_ ABSL_GUARDED_BY(mu_);
  bool input_closed_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::set<int> wakes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine

#endif  // ENGINE_FAKE_FAKE_ATTACH_H_
