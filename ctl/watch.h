// A watch that outlives restarts of the daemon.
#ifndef CTL_WATCH_H_
#define CTL_WATCH_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ctl/context.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// A stream ended with `status`: OK when the daemon answers again, so that the
// stream can be opened anew. Says on standard error when that takes longer than
// a moment. Returns `status` if it is no loss of the connection, the last error
// if the daemon stays away for a minute, DEADLINE_EXCEEDED at `deadline`.
absl::Status AwaitDaemon(Context& context, const absl::Status& status,
                         absl::Time deadline);

// One stream of changes over any number of connections: where one breaks, the
// next goes on from the last revision. Where the change log does not reach back
// to it any more, everything is listed again, and only what differs from what
// was told is told. Thread-compatible.
class ResumedWatch {
 public:
  using OnEvent = std::function<bool(const v1::WatchEvent&)>;

  ResumedWatch(Context& context, v1::WatchRequest request)
      : context_(context), request_(std::move(request)) {}

  // The caller has these from a list: they are not told again. Use with
  // WatchRequest.from_revision.
  void Know(const std::vector<v1::Object>& objects);

  // Calls `on_event` until it says false (OK) or the deadline passes
  // (DEADLINE_EXCEEDED). SYNCED comes at most once. Other errors are the
  // daemon's, or say that it cannot be reached.
  absl::Status Run(absl::Time deadline, const OnEvent& on_event);

 private:
  // Passes the event on unless the caller knows it already; what `on_event`
  // said.
  bool Take(const v1::WatchEvent& event, const OnEvent& on_event);
  bool TellGone(int64_t revision, const OnEvent& on_event);

  Context& context_;
  v1::WatchRequest request_;
  // What the caller was told last of each object.
  std::map<std::string, v1::Object> known_;
  bool synced_ = false;
  // While objects are listed again: those that came.
  bool listing_again_ = false;
  std::set<std::string> listed_;
};

}  // namespace bulwark::ctl

#endif  // CTL_WATCH_H_
