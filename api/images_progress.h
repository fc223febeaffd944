// Internal to ImagesService: long operations, with progress and results.
#ifndef API_IMAGES_PROGRESS_H_
#define API_IMAGES_PROGRESS_H_

#include <vector>

#include "api/image_progress.h"
#include "api/images_service.h"
#include "base/status.h"

namespace bulwark::api {

// Runs `operation(sink)`, which returns the images, and sends its progress and
// then them.
template <typename Stream, typename Operation>
absl::Status ImagesService::WithProgress(const grpc::ServerContext& context,
                                         Stream& stream, Operation operation) {
  const auto send = [&stream](const v1::ImageProgress& message) {
    return stream.Write(message);
  };
  const auto done = [&] {
    return context.IsCancelled() || env_.stopper.stopping();
  };
  ProgressFilter filter(env_.clock, send, done);
  const absl::StatusOr<std::vector<engine::Image>> images =
      operation([&filter](const engine::Progress& progress) {
        return filter.Report(progress);
      });
  if (absl::IsCancelled(images.status()) && env_.stopper.stopping()) {
    return absl::UnavailableError("the daemon is stopping");
  }
  RETURN_IF_ERROR(images.status());
  if (!filter.Finish(*images)) return absl::CancelledError("client is gone");
  return absl::OkStatus();
}

}  // namespace bulwark::api

#endif  // API_IMAGES_PROGRESS_H_
