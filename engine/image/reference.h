// Names of images, in the grammar of the distribution project
// (github.com/distribution/reference) with Docker's short forms.
#ifndef ENGINE_IMAGE_REFERENCE_H_
#define ENGINE_IMAGE_REFERENCE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::image {

// "docker.io/library/nginx:1.27@sha256:…" in parts. At least one of tag and
// digest is set.
struct Reference {
  std::string registry;    // "docker.io", "localhost:5000"
  std::string repository;  // "library/nginx"
  std::string tag;
  std::string digest;

  // registry/repository[:tag][@digest]
  std::string ToString() const;
  // What the registry is asked for: the digest, else the tag.
  const std::string& Version() const { return digest.empty() ? tag : digest; }
};

// Completes short forms: "nginx" is docker.io/library/nginx:latest. A name
// with a digest gets no default tag. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<Reference> ParseReference(absl::string_view text);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_REFERENCE_H_
