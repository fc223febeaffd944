#include "absl/status/status.h"
#include "engine/image/local_images.h"

namespace bulwark::engine {

absl::StatusOr<ImageDocuments> LocalImages::Documents(absl::string_view) {
  return absl::UnimplementedError("inspect image");
}

absl::StatusOr<std::vector<ImageDamage>> LocalImages::Verify(
    const VerifyRequest&, const VerifyProgress&) {
  return absl::UnimplementedError("verify images");
}

}  // namespace bulwark::engine
