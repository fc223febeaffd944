// Port of the image side of the engine: a content-addressed store of images,
// filled by pulling, loading and building.
#ifndef ENGINE_IMAGES_H_
#define ENGINE_IMAGES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/secret_text.h"
#include "engine/image_build.h"

namespace bulwark::engine {

// The image's own HEALTHCHECK.
struct ImageHealthcheck {
  std::vector<std::string> command;  // CMD form; CMD-SHELL becomes /bin/sh -c
  absl::Duration interval;           // zero: unset
  absl::Duration timeout;
  absl::Duration start_period;
  absl::Duration start_interval;  // until the first success
  int retries = 0;
};

// The fields of an image configuration that we honour. It is untrusted input:
// everything else in it is dropped.
struct ImageConfig {
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> env;  // KEY=VALUE
  std::string working_dir;
  std::string user;
  std::string stop_signal;  // "SIGQUIT" or a number; empty: unset
  std::vector<std::string> exposed_ports;  // "80/tcp"
  std::vector<std::string> volumes;
  std::map<std::string, std::string> labels;
  std::optional<ImageHealthcheck> healthcheck;
};

struct Image {
  std::vector<std::string> references;  // "docker.io/library/nginx:1.27"
  std::string digest;                   // of its manifest, "sha256:…"
  std::string config_digest;
  ImageConfig config;
  std::vector<std::string> layers;  // directories, lowest first
  int64_t size_bytes = 0;           // of the compressed blobs
  absl::Time create_time;
  std::string platform;  // "linux/amd64"
  // Of the references that stand for an index: its digest.
  std::map<std::string, std::string> indexes;
  // It is kept for other platforms: `digest` is that of the index, and there is
  // nothing to run. Only List() returns such, and what fetches or removes them.
  bool is_index = false;
};

struct PullRequest {
  std::string reference;  // "nginx", "host:5000/app:1.4", "app@sha256:…"
  std::string platform;   // empty: this host's
  std::optional<RegistryAuth> auth;
  // Of an index fetch and keep everything, also what is for other platforms.
  bool all_platforms = false;
  bool always = false;  // ask the registry even if the reference is present
  // Ask it even so if the last pull of the name is longer ago than this. If it
  // cannot be asked then, what is present will do.
  absl::Duration max_age = absl::InfiniteDuration();
  // Asked now and then, by several threads, also while nothing arrives: false
  // ends the pull with CANCELLED. May be null.
  std::function<bool()> wanted;
};

// Whether containers may run an image.
struct TrustRequest {
  std::string reference;  // the name under which it is used, or its digest
  std::string digest;     // of its manifest
  // Look for a signature at the registry if none that is kept holds.
  bool ask_registry = false;
  std::function<bool()> wanted;  // as PullRequest's
};

// One part of what the store takes of its disk.
struct DiskShare {
  int64_t count = 0;
  int64_t active = 0;  // of them, needed
  int64_t bytes = 0;
  int64_t reclaimable_bytes = 0;  // what Prune() frees by itself
};
struct ImagesUsage {
  DiskShare images;       // without `all`
  DiskShare build_cache;  // steps; content that images need too is theirs
};

struct PruneImagesRequest {
  // Digests of images that must stay, named or not.
  std::vector<std::string> in_use;
  bool images = false;  // those without a name
  bool all = false;     // with `images`: also those that have one
  // With `all`: only if a registry gave each of the names, and so can again.
  bool only_pulled = false;
  bool build_cache = false;
  bool dry_run = false;
  // Images that somebody wanted within this time stay.
  absl::Duration min_unused;
  // Not null: what nothing needs goes first, and then one image after the
  // other, the longest unused first, until this says true.
  std::function<bool()> enough;
};
struct PruneImagesResult {
  // "image docker.io/library/nginx:1.27", "image sha256:…", "5 build steps".
  std::vector<std::string> removed;
  int64_t bytes = 0;  // what their content takes
};

// Thread-safe. An image that was returned stays usable as long as it is
// referenced by name or its digest was pinned.
class Images {
 public:
  virtual ~Images() = default;

  // Makes `request.reference` present. Errors: INVALID_ARGUMENT (not a
  // reference), NOT_FOUND (no such image, or none for the platform: the
  // message lists those that exist), UNAUTHENTICATED, PERMISSION_DENIED,
  // UNAVAILABLE (registry down or failing), DATA_LOSS (it sent other bytes
  // than the digest promises), RESOURCE_EXHAUSTED (disk). Nothing partial is
  // ever visible.
  virtual absl::StatusOr<Image> Pull(const PullRequest& request,
                                     const ProgressSink& progress) = 0;

  // Whether the host's policy lets containers run the image under that name.
  // Pull() asks this itself; everybody else who starts containers has to.
  // Errors: FAILED_PRECONDITION with RefusalOf() (image_refusal.h), and with
  // `ask_registry` those of Pull().
  virtual absl::Status CheckTrust(const TrustRequest& request) = 0;

  // The digest that a pull of `reference` would bring now, for this host's
  // platform. Fetches nothing else. Errors as Pull's.
  virtual absl::StatusOr<std::string> Lookup(absl::string_view reference) = 0;

  // Loads every image of a docker-archive or OCI layout tar (plain, gzip or
  // zstd) that `fd` reads.
  virtual absl::StatusOr<std::vector<Image>> Load(
      int fd, const ProgressSink& progress) = 0;

  // Runs a Dockerfile. INVALID_ARGUMENT names the line.
  virtual absl::StatusOr<Image> Build(const BuildRequest& request,
                                      const ProgressSink& progress) = 0;

  // By reference, or by digest ("sha256:…"). NOT_FOUND if absent, or if what is
  // kept of an index has no image for this host: the message lists platforms.
  virtual absl::StatusOr<Image> Get(absl::string_view reference) = 0;
  virtual std::vector<Image> List() = 0;
  virtual absl::Status Tag(absl::string_view source,
                           absl::string_view target) = 0;
  // Drops a name alone: the image stays, also without one, until it is pruned.
  // NOT_FOUND; INVALID_ARGUMENT for a digest.
  virtual absl::Status Untag(absl::string_view reference) = 0;
  // Drops a reference; content that nothing needs goes with it, except that of
  // the digests in `in_use`.
  virtual absl::Status Remove(absl::string_view reference,
                              const std::vector<std::string>& in_use) = 0;

  // What is on the disk; `in_use` as in PruneImagesRequest. Reads the whole
  // store's directories: seconds, with many files.
  virtual absl::StatusOr<ImagesUsage> Usage(
      const std::vector<std::string>& in_use) = 0;
  // Removes what nothing needs. What operations that run hold stays.
  virtual absl::StatusOr<PruneImagesResult> Prune(
      const PruneImagesRequest& request) = 0;
};

// "nginx" -> "docker.io/library/nginx:latest", and so on. INVALID_ARGUMENT
// says what is wrong with the reference.
absl::StatusOr<std::string> NormalizeReference(absl::string_view reference);

}  // namespace bulwark::engine

#endif  // ENGINE_IMAGES_H_
