// The same manifest in the words of OCI and of Docker.
#ifndef ENGINE_IMAGE_MEDIA_TYPES_H_
#define ENGINE_IMAGE_MEDIA_TYPES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image_exchange.h"

namespace bulwark::engine::image {

struct ManifestText {
  std::string text;
  std::string media_type;
};

// A manifest with the media types of `format`; as it is, byte for byte, if it
// has them or the format is kStored. FAILED_PRECONDITION if the format has no
// word for a layer (Docker for zstd), INVALID_ARGUMENT if it is no manifest.
absl::StatusOr<ManifestText> WithMediaTypes(absl::string_view manifest,
                                            ImageFormat format);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_MEDIA_TYPES_H_
