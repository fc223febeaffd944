#include "engine/image/media_types.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/json.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::image {
namespace {

constexpr char kDockerConfig[] =
    "application/vnd.docker.container.image.v1+json";
constexpr char kDockerLayer[] = "application/vnd.docker.image.rootfs.diff.tar";

// "", "gzip" or "zstd" of a layer's media type in either form.
std::string CompressionOf(absl::string_view type) {
  for (const char* name : {"gzip", "zstd"}) {
    if (absl::EndsWith(type, absl::StrCat("+", name)) ||
        absl::EndsWith(type, absl::StrCat(".", name))) {
      return name;
    }
  }
  return "";
}

absl::StatusOr<std::string> LayerType(const Json& layer, ImageFormat format) {
  const std::string compression =
      CompressionOf(StringField(layer, "mediaType"));
  if (format == ImageFormat::kOci) {
    return absl::StrCat(kOciLayer, compression.empty() ? "" : "+", compression);
  }
  if (compression == "zstd") {
    return absl::FailedPreconditionError(absl::StrCat(
        "layer ", StringField(layer, "digest"),
        " is compressed with zstd, for which Docker's format has no word; use"
        " the format oci"));
  }
  return absl::StrCat(kDockerLayer, compression.empty() ? "" : ".",
                      compression);
}

}  // namespace

absl::StatusOr<ManifestText> WithMediaTypes(absl::string_view manifest,
                                            ImageFormat format) {
  ManifestText result;
  result.text = std::string(manifest);
  ASSIGN_OR_RETURN(result.media_type, DocumentType(manifest, kOciManifest));
  RETURN_IF_ERROR(ParseManifest(manifest).status());
  const std::string wanted =
      format == ImageFormat::kDocker ? kDockerManifest : kOciManifest;
  if (format == ImageFormat::kStored || result.media_type == wanted) {
    return result;
  }
  ASSIGN_OR_RETURN(Json object, ParseObject(manifest, "read manifest"));
  result.media_type = wanted;
  object["mediaType"] = wanted;
  object["config"]["mediaType"] =
      format == ImageFormat::kDocker ? kDockerConfig : kOciConfig;
  for (Json& layer : object["layers"]) {
    ASSIGN_OR_RETURN(layer["mediaType"], LayerType(layer, format));
  }
  if (format == ImageFormat::kDocker) {
    // Docker's manifests have no more members than these.
    for (const char* name : {"annotations", "artifactType", "subject"}) {
      object.erase(name);
    }
  }
  result.text = Dump(object);
  return result;
}

}  // namespace bulwark::engine::image
