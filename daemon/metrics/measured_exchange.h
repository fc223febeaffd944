// Counts and times what an ImageExchange pushes.
#ifndef DAEMON_METRICS_MEASURED_EXCHANGE_H_
#define DAEMON_METRICS_MEASURED_EXCHANGE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/histogram.h"
#include "engine/image_exchange.h"

namespace bulwark::daemon {

// Thread-safe; hands every call on.
class MeasuredExchange final : public engine::ImageExchange {
 public:
  struct Stats {
    int64_t pushes = 0;
    int64_t failures = 0;           // cancelled ones are in neither
    int64_t bytes = 0;              // uploaded, also by pushes that then failed
    Histogram::Snapshot durations;  // of `pushes`
  };

  // The references must outlive this object.
  MeasuredExchange(engine::ImageExchange& exchange, Clock& clock)
      : exchange_(exchange), clock_(clock) {}

  Stats GetStats() const;

  absl::StatusOr<std::string> Push(
      const engine::PushRequest& request,
      const engine::ProgressSink& progress) override;
  absl::Status Save(const engine::SaveRequest& request, int fd,
                    const engine::ProgressSink& progress) override {
    return exchange_.Save(request, fd, progress);
  }
  absl::StatusOr<engine::Image> Import(
      const engine::ImportRequest& request, int fd,
      const engine::ProgressSink& progress) override {
    return exchange_.Import(request, fd, progress);
  }
  absl::StatusOr<engine::Image> MakeIndex(
      const engine::IndexRequest& request) override {
    return exchange_.MakeIndex(request);
  }
  absl::StatusOr<engine::TagsPage> ListTags(
      const engine::TagsRequest& request) override {
    return exchange_.ListTags(request);
  }
  absl::StatusOr<engine::Referrers> ListReferrers(
      const engine::ReferrersRequest& request) override {
    return exchange_.ListReferrers(request);
  }

 private:
  engine::ImageExchange& exchange_;
  Clock& clock_;
  std::atomic<int64_t> pushes_{0};
  std::atomic<int64_t> failures_{0};
  std::atomic<int64_t> bytes_{0};
  Histogram durations_{kSlowBounds};
};

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_MEASURED_EXCHANGE_H_
