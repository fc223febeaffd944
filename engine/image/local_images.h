// The images of this host: the implementation of Images.
#ifndef ENGINE_IMAGE_LOCAL_IMAGES_H_
#define ENGINE_IMAGE_LOCAL_IMAGES_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "engine/build/build_context.h"
#include "engine/build/cache_mounts.h"
#include "engine/build/step_cache.h"
#include "engine/engine.h"
#include "engine/image/image_store.h"
#include "engine/image/reference.h"
#include "engine/image/signature/gate.h"
#include "engine/image/sources.h"
#include "engine/image_commits.h"
#include "engine/image_content.h"
#include "engine/image_exchange.h"
#include "engine/images.h"
#include "engine/registry/client.h"

namespace bulwark::engine {

struct LocalImagesConfig {
  std::string state_dir;  // made if need be; ours alone
  // HOST or HOST:PORT that may be spoken to without encryption, beside the
  // loopback addresses.
  std::vector<std::string> insecure_registries;
  Clock* clock = nullptr;      // borrowed
  Entropy* entropy = nullptr;  // borrowed
  // Runs the commands of builds; borrowed. Null: RUN is refused.
  Engine* engine = nullptr;
  // What is kept for a registry, for pulls that bring no credentials of their
  // own. Null: nothing.
  std::function<absl::StatusOr<std::optional<RegistryAuth>>(
      const std::string& registry)>
      credentials;
  // A folder in memory that is never swapped out, ours alone: for the secrets
  // of builds. Empty: they are refused.
  std::string memory_dir;
  // Both are called once for each stage that runs a command. Null: such
  // commands have the host's users, and see no network.
  std::function<absl::StatusOr<build::BuildUsers>()> build_users;
  std::function<absl::StatusOr<build::BuildNetwork>(const IdRange& ids)>
      build_network;
  // Directories of certificates for single registries, the first wins: see
  // registry/tls_files.h.
  std::vector<std::string> certificate_dirs;
  // How slow registries may be.
  registry::PaceLimits registry_pace;
  // By registry, in the order in which pulls ask them before it: "HOST",
  // "HOST:PORT" or "HOST:PORT/PREFIX".
  std::map<std::string, std::vector<std::string>> mirrors;
  // Which images must be signed, and by whom: see SignaturePolicy::Parse().
  std::vector<std::string> required_signatures;
};

// Thread-safe; see the ports.
class LocalImages final : public Images,
                          public ImageCommits,
                          public ImageContent,
                          public ImageExchange {
 public:
  // Removes what a crash left half made, containers of builds too: the engine
  // must have recovered. DATA_LOSS if the index of images is damaged; the
  // message says what to do. INVALID_ARGUMENT: `required_signatures`.
  static absl::StatusOr<std::unique_ptr<LocalImages>> Open(
      LocalImagesConfig config);

  absl::StatusOr<Image> Pull(const PullRequest& request,
                             const ProgressSink& progress) override;
  // local_images_trust.cc
  absl::Status CheckTrust(const TrustRequest& request) override;
  absl::StatusOr<std::string> Lookup(absl::string_view reference) override;
  // Asks a registry, by its name in references, whether it takes these
  // credentials: UNAUTHENTICATED or PERMISSION_DENIED if not; others as Pull().
  absl::Status CheckCredentials(const std::string& registry,
                                const RegistryAuth& auth);
  absl::StatusOr<std::vector<Image>> Load(
      int fd, const ProgressSink& progress) override;
  absl::StatusOr<Image> Build(const BuildRequest& request,
                              const ProgressSink& progress) override;
  absl::StatusOr<Image> Commit(const CommitRequest& request) override;
  absl::StatusOr<Image> Get(absl::string_view reference) override;
  std::vector<Image> List() override;
  absl::Status Tag(absl::string_view source, absl::string_view target) override;
  absl::Status Untag(absl::string_view reference) override;
  absl::Status Remove(absl::string_view reference,
                      const std::vector<std::string>& in_use) override;
  absl::StatusOr<ImagesUsage> Usage(
      const std::vector<std::string>& in_use) override;
  absl::StatusOr<PruneImagesResult> Prune(
      const PruneImagesRequest& request) override;

  // local_images_archive.cc
  absl::Status Save(const SaveRequest& request, int fd,
                    const ProgressSink& progress) override;
  absl::StatusOr<Image> Import(const ImportRequest& request, int fd,
                               const ProgressSink& progress) override;

  // local_images_exchange.cc
  absl::StatusOr<std::string> Push(const PushRequest& request,
                                   const ProgressSink& progress) override;
  absl::StatusOr<Image> MakeIndex(const IndexRequest& request) override;
  absl::StatusOr<TagsPage> ListTags(const TagsRequest& request) override;
  absl::StatusOr<Referrers> ListReferrers(
      const ReferrersRequest& request) override;

  // local_images_content.cc
  absl::StatusOr<ImageDocuments> Documents(
      absl::string_view reference) override;
  absl::StatusOr<std::vector<ImageDamage>> Verify(
      const VerifyRequest& request, const VerifyProgress& progress) override;

 private:
  LocalImages(LocalImagesConfig config,
              std::unique_ptr<image::ImageStore> store,
              std::unique_ptr<build::StepCache> cache,
              std::unique_ptr<build::CacheMounts> cache_mounts,
              image::SignaturePolicy policy);
  registry::ClientOptions ClientOptions() const;
  // What the call brings, else what is kept for the registry.
  std::optional<RegistryAuth> AuthFor(
      const std::string& registry,
      const std::optional<RegistryAuth>& given) const;
  std::vector<image::Source> SourcesOf(
      const image::Reference& reference,
      const std::optional<RegistryAuth>& given) const;
  // By which the store may know it, the first of them best: as it is said, and
  // by the digest in it, since the same content may be here under another name.
  static absl::StatusOr<std::vector<std::string>> KeysOf(
      absl::string_view reference);
  // The document that a name or digest stands for, index or manifest.
  absl::StatusOr<std::string> SourceOf(absl::string_view reference);
  void SweepSignatures();
  build::BuilderOptions BuilderOptions();
  absl::StatusOr<Image> Resolve(const PullRequest& request,
                                const ProgressSink& progress);
  void MakeRoomAfter(const absl::Status& failure);

  const LocalImagesConfig config_;
  const std::unique_ptr<image::ImageStore> store_;
  const std::unique_ptr<build::StepCache> cache_;
  const std::unique_ptr<build::CacheMounts> cache_mounts_;
  const std::unique_ptr<image::SignatureGate> gate_;
};

// INVALID_ARGUMENT unless it may be in LocalImagesConfig::mirrors.
absl::Status CheckMirror(absl::string_view mirror);

// The name of a registry as references have it: "" is "docker.io".
// INVALID_ARGUMENT says what is wrong with it.
absl::StatusOr<std::string> NormalizeRegistry(absl::string_view registry);

}  // namespace bulwark::engine

#endif  // ENGINE_IMAGE_LOCAL_IMAGES_H_
