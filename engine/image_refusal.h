// Refusals of an image by the host's policy, as errors carry them.
#ifndef ENGINE_IMAGE_REFUSAL_H_
#define ENGINE_IMAGE_REFUSAL_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine {

inline constexpr char kSignatureMissing[] = "SignatureMissing";
inline constexpr char kSignatureInvalid[] = "SignatureInvalid";

inline constexpr char kRefusalPayload[] = "bulwark/image-refusal";

// FAILED_PRECONDITION; `reason` is one of the above.
inline absl::Status RefuseImage(absl::string_view reason,
                                absl::string_view message) {
  absl::Status status = absl::FailedPreconditionError(message);
  status.SetPayload(kRefusalPayload, absl::Cord(reason));
  return status;
}

// The reason, if policy is what refused the image; else empty.
inline std::string RefusalOf(const absl::Status& status) {
  const auto reason = status.GetPayload(kRefusalPayload);
  return reason.has_value() ? std::string(*reason) : std::string();
}

}  // namespace bulwark::engine

#endif  // ENGINE_IMAGE_REFUSAL_H_
