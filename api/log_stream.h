// Several containers' logs as one stream.
#ifndef API_LOG_STREAM_H_
#define API_LOG_STREAM_H_

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "api/container_lookup.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

// One Logs call. One thread reads all: it holds at most one line of each
// container, and nothing is read while the client does not take more.
// Thread-compatible.
class LogStream {
 public:
  // Sends a line; false: the client is gone.
  using Send = absl::FunctionRef<bool(const v1::LogLine&)>;
  // True: end the stream.
  using Done = absl::FunctionRef<bool()>;

  // The references must outlive this object.
  LogStream(store::MetadataStore& store, engine::Engine& engine, Clock& clock,
            const v1::LogsRequest& request);

  // Sends what there is, of all containers in the order of time. With `follow`
  // it goes on, picking up new replicas, until the service is gone or the
  // replica has ended, its `until` has come, the client is gone, or `done`.
  // Errors: those of FindLogTargets(); the first of a log that could not be
  // read, after the others were.
  absl::Status Run(Send send, Done done);

 private:
  struct Source {
    ContainerRef ref;
    std::unique_ptr<engine::LogReader> reader;
    std::optional<engine::LogEntry> head;
  };

  // Opens readers of containers that have none yet.
  absl::Status Refresh(bool first);
  // Reads the next line of `source` unless one waits; false: it has ended.
  bool Fill(Source& source);
  // Sends lines while there are any, a few hundred at most; false: the client
  // is gone.
  absl::StatusOr<bool> SendRound(Send send);
  Source* Oldest();
  bool IsOver() const;  // nothing that is asked for can be printed any more
  // Waits a little; true if replicas changed.
  absl::StatusOr<bool> WaitForChange();

  store::MetadataStore& store_;
  engine::Engine& engine_;
  Clock& clock_;
  const v1::LogsRequest request_;
  std::vector<Source> sources_;
  std::set<std::string> seen_;  // ids of containers
  bool final_ = false;
  uint64_t revision_ = 0;
  std::unique_ptr<store::Watcher> watcher_;
  absl::Status failure_;
};

}  // namespace bulwark::api

#endif  // API_LOG_STREAM_H_
