// Manifests, indexes and configurations of images: OCI image-spec v1 and Docker
// schema 2, read as untrusted input.
#ifndef ENGINE_IMAGE_MANIFEST_H_
#define ENGINE_IMAGE_MANIFEST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/images.h"

namespace bulwark::engine::image {

inline constexpr char kOciManifest[] =
    "application/vnd.oci.image.manifest.v1+json";
inline constexpr char kOciIndex[] = "application/vnd.oci.image.index.v1+json";
inline constexpr char kOciConfig[] = "application/vnd.oci.image.config.v1+json";
inline constexpr char kOciLayer[] = "application/vnd.oci.image.layer.v1.tar";
inline constexpr char kOciLayerGzip[] =
    "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr char kOciLayerZstd[] =
    "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr char kDockerManifest[] =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr char kDockerList[] =
    "application/vnd.docker.distribution.manifest.list.v2+json";

inline constexpr int64_t kMaxManifestBytes = 4 << 20;
inline constexpr int64_t kMaxConfigBytes = 8 << 20;
// overlayfs stacks 500; below an image lies the engine's layer of mount points,
// and above it, where a stopped container is looked at, its own.
inline constexpr size_t kMaxLayers = 498;

struct Descriptor {
  std::string media_type;
  std::string digest;  // IsDigest holds
  int64_t size = 0;    // not negative
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;

  std::string ToString() const;  // "linux/arm64/v8"
};

struct IndexEntry {
  Descriptor descriptor;
  Platform platform;
  // org.opencontainers.image.ref.name and io.containerd.image.name, or empty.
  std::string ref_name;
  std::string image_name;
};

// How an image came about, for people.
struct HistoryEntry {
  std::string created;  // RFC 3339
  std::string created_by;
  std::string comment;
  bool empty_layer = false;
};

// The fields that we honour, and what identifies the layers.
struct ConfigFile {
  ImageConfig config;
  Platform platform;
  std::string author;
  absl::Time create_time;
  std::vector<std::string> diff_ids;  // lowest first
  std::vector<std::string> shell;     // SHELL, for builds
  std::vector<std::string> on_build;  // ONBUILD, for builds
  std::vector<HistoryEntry> history;
};

// The media type that a document has: its own field, else what its members
// show, else `declared`. INVALID_ARGUMENT if it is both a manifest and an index
// (a confusion that signatures must not meet), or of an unknown kind.
absl::StatusOr<std::string> DocumentType(absl::string_view text,
                                         absl::string_view declared);
inline bool IsIndexType(absl::string_view type) {
  return type == kOciIndex || type == kDockerList;
}

// Each is INVALID_ARGUMENT with the reason if the text is not such a document,
// FAILED_PRECONDITION if it needs what we do not support.
absl::StatusOr<Manifest> ParseManifest(absl::string_view text);
// The same for a manifest that is only kept or handed on: its layers may be
// encrypted, or be foreign ones.
absl::StatusOr<Manifest> ParseForeignManifest(absl::string_view text);
// Whether the layer is to be fetched from where its manifest says, and not from
// the registry that has the manifest.
bool IsForeignLayer(const Descriptor& layer);
absl::StatusOr<std::vector<IndexEntry>> ParseIndex(absl::string_view text);
absl::StatusOr<ConfigFile> ParseConfig(absl::string_view text);

// "linux/amd64", "linux/arm64/v8", "arm64". Empty: this host's.
absl::StatusOr<Platform> ParsePlatform(absl::string_view text);

// Whether an image for `has` runs on `wanted`: the same os and architecture
// (aarch64 is arm64), and the same variant or an older one.
bool Runs(const Platform& has, const Platform& wanted);

// The entry that fits `wanted` best: the newest variant that runs on it.
// NOT_FOUND lists the platforms that there are.
absl::StatusOr<Descriptor> ChoosePlatform(const std::vector<IndexEntry>& index,
                                          const Platform& wanted);

// The documents for these parts; the same parts give the same text.
std::string FormatManifest(const Manifest& manifest);
std::string FormatConfig(const ConfigFile& config);
std::string FormatIndex(const std::vector<IndexEntry>& entries);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_MANIFEST_H_
