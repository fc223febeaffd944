// How many calls there were, how they ended, and how long they took.
#ifndef API_CALL_STATS_H_
#define API_CALL_STATS_H_

#include <grpcpp/support/server_interceptor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/histogram.h"

namespace bulwark::api {

// Thread-safe.
class CallStats {
 public:
  struct Method {
    std::string name;                        // "Resources/Apply"
    int64_t in_flight = 0;                   // streams too
    std::map<std::string, int64_t> by_code;  // "NOT_FOUND"; of ended calls
    Histogram::Snapshot durations;           // streams are not in it
  };

  explicit CallStats(Clock& clock) : clock_(clock) {}

  // `method`: "/bulwark.v1.Resources/Apply".
  void Began(absl::string_view method);
  // `took`: zero or more; negative for a stream, whose time says nothing.
  void Ended(absl::string_view method, int code, absl::Duration took);

  // Methods that were called, by name.
  std::vector<Method> Get() const;

  // Counts every call that the server takes; this object outlives the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
  NewInterceptors();

  Clock& clock() { return clock_; }

 private:
  struct Counts {
    int64_t in_flight = 0;
    std::map<int, int64_t> by_code;
    Histogram durations;
  };

  Clock& clock_;
  mutable absl::Mutex mu_;
  std::map<std::string, Counts, std::less<>> methods_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::api

#endif  // API_CALL_STATS_H_
