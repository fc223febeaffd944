#include "daemon/metrics/measured_images.h"

#include "daemon/metrics/moved_bytes.h"
#include "engine/image_refusal.h"

namespace bulwark::daemon {

absl::StatusOr<engine::Image> MeasuredImages::Pull(
    const engine::PullRequest& request, const engine::ProgressSink& progress) {
  const absl::Duration begin = clock_.Steady();
  MovedBytes moved("downloading", bytes_);
  absl::StatusOr<engine::Image> image =
      images_.Pull(request, [&](const engine::Progress& p) {
        moved.Count(p);
        return progress == nullptr || progress(p);
      });
  if (image.ok() && moved.any()) {
    ++pulls_;
    durations_.Observe(clock_.Steady() - begin);
  } else if (!image.ok() && !absl::IsCancelled(image.status())) {
    ++failures_;
    if (!engine::RefusalOf(image.status()).empty()) ++refusals_;
  }
  return image;
}

absl::Status MeasuredImages::CheckTrust(const engine::TrustRequest& request) {
  const absl::Status status = images_.CheckTrust(request);
  if (!engine::RefusalOf(status).empty()) ++refusals_;
  return status;
}

absl::StatusOr<engine::PruneImagesResult> MeasuredImages::Prune(
    const engine::PruneImagesRequest& request) {
  absl::StatusOr<engine::PruneImagesResult> result = images_.Prune(request);
  if (result.ok() && request.enough != nullptr && !result->removed.empty()) {
    ++collections_;
    collected_bytes_ += result->bytes;
  }
  return result;
}

MeasuredImages::Stats MeasuredImages::GetStats() const {
  return {pulls_,   failures_,        bytes_,       refusals_,
          lookups_, durations_.Get(), collections_, collected_bytes_};
}

}  // namespace bulwark::daemon
