// The terminal of ctl attach and ctl run -it.
#ifndef CTL_ATTACH_H_
#define CTL_ATTACH_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ctl/context.h"
#include "ctl/terminal.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// Finds the keys that detach in what is typed. Thread-compatible.
class DetachKeys {
 public:
  // "ctrl-p,ctrl-q", "a", "ctrl-]"; empty: none. A usage error for others.
  static absl::StatusOr<DetachKeys> Parse(const std::string& text);

  // What of `typed` goes to the container. Keys that may be the start of the
  // sequence wait for the next ones. Once it came, detached() is true.
  std::string Take(absl::string_view typed);
  bool detached() const { return detached_; }

 private:
  std::string keys_;
  size_t matched_ = 0;
  bool detached_ = false;
};

struct AttachOptions {
  v1::AttachStart start;
  bool input = true;
  bool signals = true;  // are handed on
  // Attach again when the daemon was restarted.
  bool persist = false;
  // Leave as soon as it runs; interrupted if it does not until then.
  std::optional<absl::Duration> leave_within;
  std::string what;  // "job x", for messages
  DetachKeys keys;
};

struct AttachEnd {
  std::optional<v1::ExitResult> exit;  // none: it runs on
  bool detached = false;
  bool interrupted = false;  // by a second signal, or before it ran
};

// Until the container has ended, or one leaves it. `signals`: SIGWINCH, SIGINT,
// SIGTERM, SIGQUIT, SIGHUP.
absl::StatusOr<AttachEnd> RunAttach(Context& context, SignalPoll& signals,
                                    AttachOptions options);

// What ctl ends with: the container's exit status, and warnings about it.
absl::StatusOr<int> ReportExit(Context& context, const std::string& what,
                               const v1::ExitResult& exit);

}  // namespace bulwark::ctl

#endif  // CTL_ATTACH_H_
