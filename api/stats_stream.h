// What containers use, once or again and again.
#ifndef API_STATS_STREAM_H_
#define API_STATS_STREAM_H_

#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

// Everything that runs, as it was at most `max_age` ago. Thread-safe.
using StatsFunction = std::function<v1::StatsResponse(absl::Duration max_age)>;

// One Stats call. Thread-compatible.
class StatsStream {
 public:
  // Sends an answer; false: the client is gone.
  using Send = absl::FunctionRef<bool(v1::StatsResponse)>;
  // True: end the stream.
  using Done = absl::FunctionRef<bool()>;

  // The references must outlive this object.
  StatsStream(store::MetadataStore& store, Clock& clock,
              const StatsFunction& stats, const v1::StatsRequest& request)
      : store_(store), clock_(clock), stats_(stats), request_(request) {}

  // INVALID_ARGUMENT for a period below 200 ms, NOT_FOUND for a service or job
  // that does not exist when the call begins.
  absl::Status Run(Send send, Done done);

 private:
  absl::Status Check();
  v1::StatsResponse Read(absl::Duration max_age) const;
  // False when the stream is to end.
  bool WaitUntil(absl::Duration time, Done done);

  store::MetadataStore& store_;
  Clock& clock_;
  const StatsFunction& stats_;
  const v1::StatsRequest request_;
  std::string service_;  // one of the two, or none
  std::string job_;
};

}  // namespace bulwark::api

#endif  // API_STATS_STREAM_H_
