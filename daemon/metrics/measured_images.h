// Counts and times what an Images pulls.
#ifndef DAEMON_METRICS_MEASURED_IMAGES_H_
#define DAEMON_METRICS_MEASURED_IMAGES_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "engine/images.h"

namespace bulwark::daemon {

// Thread-safe; hands every call on.
class MeasuredImages final : public engine::Images {
 public:
  struct Stats {
    int64_t pulls = 0;     // that downloaded something
    int64_t failures = 0;  // cancelled ones are in neither
    int64_t bytes = 0;     // downloaded, also by pulls that then failed
    int64_t refusals = 0;  // by the signature policy, of pulls and starts
    int64_t lookups = 0;   // of digests behind names
    Histogram::Snapshot durations;  // of `pulls`
    // Prunings that made room (PruneImagesRequest::enough).
    int64_t collections = 0;
    int64_t collected_bytes = 0;
  };

  // The references must outlive this object.
  MeasuredImages(engine::Images& images, Clock& clock)
      : images_(images), clock_(clock) {}

  Stats GetStats() const;

  absl::StatusOr<engine::Image> Pull(
      const engine::PullRequest& request,
      const engine::ProgressSink& progress) override;
  absl::Status CheckTrust(const engine::TrustRequest& request) override;
  absl::StatusOr<std::string> Lookup(absl::string_view reference) override {
    ++lookups_;
    return images_.Lookup(reference);
  }
  absl::StatusOr<std::vector<engine::Image>> Load(
      int fd, const engine::ProgressSink& progress) override {
    return images_.Load(fd, progress);
  }
  absl::StatusOr<engine::Image> Build(
      const engine::BuildRequest& request,
      const engine::ProgressSink& progress) override {
    return images_.Build(request, progress);
  }
  absl::StatusOr<engine::Image> Get(absl::string_view reference) override {
    return images_.Get(reference);
  }
  std::vector<engine::Image> List() override { return images_.List(); }
  absl::Status Tag(absl::string_view source,
                   absl::string_view target) override {
    return images_.Tag(source, target);
  }
  absl::Status Remove(absl::string_view reference,
                      const std::vector<std::string>& in_use) override {
    return images_.Remove(reference, in_use);
  }
  absl::Status Untag(absl::string_view reference) override {
    return images_.Untag(reference);
  }
  absl::StatusOr<engine::ImagesUsage> Usage(
      const std::vector<std::string>& in_use) override {
    return images_.Usage(in_use);
  }
  absl::StatusOr<engine::PruneImagesResult> Prune(
      const engine::PruneImagesRequest& request) override;

 private:
  engine::Images& images_;
  Clock& clock_;
  std::atomic<int64_t> pulls_{0};
  std::atomic<int64_t> failures_{0};
  std::atomic<int64_t> bytes_{0};
  std::atomic<int64_t> refusals_{0};
  std::atomic<int64_t> lookups_{0};
  std::atomic<int64_t> collections_{0};
  std::atomic<int64_t> collected_bytes_{0};
  Histogram durations_{kSlowBounds};
};

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_MEASURED_IMAGES_H_
