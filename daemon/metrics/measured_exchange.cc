#include "daemon/metrics/measured_exchange.h"

#include "daemon/metrics/moved_bytes.h"

namespace bulwark::daemon {

absl::StatusOr<std::string> MeasuredExchange::Push(
    const engine::PushRequest& request, const engine::ProgressSink& progress) {
  const absl::Duration begin = clock_.Steady();
  MovedBytes moved("uploading", bytes_);
  absl::StatusOr<std::string> digest =
      exchange_.Push(request, [&](const engine::Progress& p) {
        moved.Count(p);
        return progress == nullptr || progress(p);
      });
  if (digest.ok()) {
    ++pushes_;
    durations_.Observe(clock_.Steady() - begin);
  } else if (!absl::IsCancelled(digest.status())) {
    ++failures_;
  }
  return digest;
}

MeasuredExchange::Stats MeasuredExchange::GetStats() const {
  return {pushes_, failures_, bytes_, durations_.Get()};
}

}  // namespace bulwark::daemon
