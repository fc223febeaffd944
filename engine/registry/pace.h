// Whether a transfer still moves. Pure: it is told the time.
#ifndef ENGINE_REGISTRY_PACE_H_
#define ENGINE_REGISTRY_PACE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace bulwark::engine::registry {

struct PaceLimits {
  // How long nothing may move, and the time over which `min_rate` is measured.
  absl::Duration patience = absl::Seconds(30);
  int64_t min_rate = 16;  // bytes a second; 0: any will do
};

// Of one transfer. Thread-compatible.
class Pace {
 public:
  explicit Pace(const PaceLimits& limits) : limits_(limits) {}

  // `bytes` have moved in all, `now` after the beginning; called about once a
  // second. DEADLINE_EXCEEDED says how slow it is.
  absl::Status Check(absl::Duration now, int64_t bytes);

  // Waits so long for what comes now, at any rate: for an answer to what was
  // sent. Zero: as the limits say. Measures from `now` on if that is news.
  void Await(absl::Duration patience, absl::Duration now);

 private:
  void Restart(absl::Duration now);

  const PaceLimits limits_;
  absl::Duration awaits_;  // if not zero
  absl::Duration moved_;   // when it moved last
  absl::Duration since_;   // when what is measured began
  int64_t bytes_ = 0;      // at the last call
  int64_t bytes_at_since_ = 0;
};

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_PACE_H_
