#include "engine/image/local_images.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/build/builder.h"
#include "engine/build/commit.h"
#include "engine/build/run_step.h"
#include "engine/image/digest.h"
#include "engine/image/loader.h"
#include "engine/image/puller.h"
#include "engine/image/reference.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

// The key of the store: a digest as it is, else the full name.
absl::StatusOr<std::string> KeyOf(absl::string_view reference) {
  if (image::IsDigest(reference)) return std::string(reference);
  return NormalizeReference(reference);
}

}  // namespace

LocalImages::LocalImages(LocalImagesConfig config,
                         std::unique_ptr<image::ImageStore> store,
                         std::unique_ptr<build::StepCache> cache,
                         std::unique_ptr<build::CacheMounts> cache_mounts,
                         image::SignaturePolicy policy)
    : config_(std::move(config)),
      store_(std::move(store)),
      cache_(std::move(cache)),
      cache_mounts_(std::move(cache_mounts)),
      gate_(std::make_unique<image::SignatureGate>(
          std::move(policy), config_.state_dir, &store_->blobs())) {}

absl::StatusOr<std::unique_ptr<LocalImages>> LocalImages::Open(
    LocalImagesConfig config) {
  for (const auto& [registry, mirrors] : config.mirrors) {
    for (const std::string& mirror : mirrors) {
      RETURN_IF_ERROR(CheckMirror(mirror));
    }
  }
  ASSIGN_OR_RETURN(image::SignaturePolicy policy,
                   image::SignaturePolicy::Parse(config.required_signatures));
  if (config.engine != nullptr) {
    absl::Status status = build::RemoveAbandonedBuilds(config.engine);
    if (!status.ok()) {
      LOG_WARN("cannot remove the containers of an interrupted build",
               {{"error", status}});
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<image::ImageStore> store,
                   image::ImageStore::Open(config.state_dir));
  ASSIGN_OR_RETURN(
      std::unique_ptr<build::StepCache> cache,
      build::StepCache::Open(config.state_dir, store.get(), config.clock));
  ASSIGN_OR_RETURN(std::unique_ptr<build::CacheMounts> cache_mounts,
                   build::CacheMounts::Open(config.state_dir, config.clock));
  if (!config.memory_dir.empty()) {
    // Secrets of builds that a crash interrupted.
    ASSIGN_OR_RETURN(const std::vector<std::string> left,
                     os::ListDir(config.memory_dir));
    for (const std::string& name : left) {
      RETURN_IF_ERROR(
          os::RemoveTree(absl::StrCat(config.memory_dir, "/", name)));
    }
  }
  std::unique_ptr<LocalImages> images = absl::WrapUnique(
      new LocalImages(std::move(config), std::move(store), std::move(cache),
                      std::move(cache_mounts), std::move(policy)));
  images->SweepSignatures();
  return images;
}

registry::ClientOptions LocalImages::ClientOptions() const {
  registry::ClientOptions options;
  options.clock = config_.clock;
  options.entropy = config_.entropy;
  options.insecure_registries = config_.insecure_registries;
  options.certificate_dirs = config_.certificate_dirs;
  options.pace = config_.registry_pace;
  return options;
}

absl::Status LocalImages::CheckCredentials(const std::string& registry,
                                           const RegistryAuth& auth) {
  registry::RegistryClient client(registry, "", auth, ClientOptions());
  return Annotate(client.CheckCredentials(),
                  absl::StrCat("log in to ", registry));
}

std::optional<RegistryAuth> LocalImages::AuthFor(
    const std::string& registry,
    const std::optional<RegistryAuth>& given) const {
  if (given.has_value() || config_.credentials == nullptr) return given;
  absl::StatusOr<std::optional<RegistryAuth>> kept =
      config_.credentials(registry);
  if (kept.ok()) return *std::move(kept);
  // Without them the registry may still give what everybody may have.
  LOG_WARN("credentials for a registry cannot be used",
           {{"registry", registry}, {"cause", kept.status()}});
  return std::nullopt;
}

std::vector<image::Source> LocalImages::SourcesOf(
    const image::Reference& reference,
    const std::optional<RegistryAuth>& given) const {
  std::vector<image::Source> sources;
  const auto mirrors = config_.mirrors.find(reference.registry);
  if (mirrors != config_.mirrors.end()) {
    for (const std::string& mirror : mirrors->second) {
      const size_t slash = mirror.find('/');
      const std::string host = mirror.substr(0, slash);
      const std::string prefix =
          slash == std::string::npos ? "" : mirror.substr(slash + 1) + "/";
      // What was given is for the registry itself.
      sources.push_back(
          {host, prefix + reference.repository, AuthFor(host, std::nullopt)});
    }
  }
  sources.push_back({reference.registry, reference.repository,
                     AuthFor(reference.registry, given)});
  return sources;
}

absl::StatusOr<Image> LocalImages::Pull(const PullRequest& request,
                                        const ProgressSink& progress) {
  image::PullOrigin origin;
  ASSIGN_OR_RETURN(origin.reference, image::ParseReference(request.reference));
  origin.sources = SourcesOf(origin.reference, request.auth);
  origin.options = ClientOptions();
  absl::StatusOr<Image> image = image::PullImage(
      {store_.get(), gate_.get(), config_.clock}, request, origin, progress);
  MakeRoomAfter(image.status());
  return image;
}

absl::StatusOr<std::vector<Image>> LocalImages::Load(
    int fd, const ProgressSink& progress) {
  absl::StatusOr<std::vector<Image>> images =
      image::LoadImages(store_.get(), fd, progress);
  MakeRoomAfter(images.status());
  return images;
}

// Others need the room that was too small for what failed.
void LocalImages::MakeRoomAfter(const absl::Status& failure) {
  if (!absl::IsResourceExhausted(failure)) return;
  const absl::Status swept = store_->SweepContent();
  if (!swept.ok()) {
    LOG_WARN("cannot remove what an image too large for the disk has left",
             {{"error", swept}});
  }
}

build::BuilderOptions LocalImages::BuilderOptions() {
  build::BuilderOptions options;
  options.store = store_.get();
  options.cache = cache_.get();
  options.clock = config_.clock;
  options.entropy = config_.entropy;
  options.engine = config_.engine;
  options.users = config_.build_users;
  options.network = config_.build_network;
  options.cache_mounts = cache_mounts_.get();
  options.memory_dir = config_.memory_dir;
  options.resolve = [this](const PullRequest& request,
                           const ProgressSink& progress) {
    return Resolve(request, progress);
  };
  return options;
}

absl::StatusOr<Image> LocalImages::Build(const BuildRequest& request,
                                         const ProgressSink& progress) {
  cache_mounts_->Expire();
  using Output = BuildRequest::Output;
  absl::StatusOr<Image> image =
      build::BuildImage(BuilderOptions(), request, progress);
  MakeRoomAfter(image.status());
  if (!image.ok() ||
      (request.output != Output::kOci && request.output != Output::kDocker)) {
    return image;
  }
  SaveRequest save;
  save.references = request.tags;
  if (save.references.empty()) save.references = {image->digest};
  save.format =
      request.output == Output::kOci ? ImageFormat::kOci : ImageFormat::kDocker;
  RETURN_IF_ERROR(Save(save, request.output_fd, progress));
  return image;
}

absl::StatusOr<Image> LocalImages::Commit(const CommitRequest& request) {
  RETURN_IF_ERROR(
      build::CheckRoomToCommit(config_.state_dir, request.upper_dir));
  build::BuilderOptions options = BuilderOptions();
  // The container runs already.
  options.resolve = [this](const PullRequest& base, const ProgressSink&) {
    return Get(base.reference);
  };
  absl::StatusOr<Image> image = build::CommitImage(options, request);
  MakeRoomAfter(image.status());
  return image;
}

namespace {

// An image that is here stands in for another, but not on another machine.
absl::Status CheckPlatform(const Image& image, const std::string& wanted) {
  if (wanted.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const image::Platform platform,
                   image::ParsePlatform(wanted));
  const absl::StatusOr<image::Platform> has =
      image::ParsePlatform(image.platform);
  // A configuration may name none.
  if (!has.ok() || image::Runs(*has, platform)) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(
      image.references.empty() ? image.digest : image.references.front(),
      " is for ", image.platform, " and not for ", wanted));
}

}  // namespace

absl::StatusOr<Image> LocalImages::Resolve(const PullRequest& request,
                                           const ProgressSink& progress) {
  const bool by_digest = image::IsDigest(request.reference);
  absl::StatusOr<Image> image = absl::NotFoundError("");
  if (!by_digest) {
    image = Pull(request, progress);
    if (image.ok() || request.always) return image;
  }
  // Perhaps it is here under another name.
  absl::StatusOr<Image> present = Get(request.reference);
  if (!present.ok()) return by_digest ? present : image;
  const absl::Status fits = CheckPlatform(*present, request.platform);
  if (!fits.ok()) {
    if (by_digest) return fits;
    return absl::Status(
        image.status().code(),
        absl::StrCat(image.status().message(), "; here ", fits.message()));
  }
  const absl::Status trusted = CheckTrust({request.reference, present->digest});
  if (trusted.ok()) return present;
  return by_digest ? trusted : image.status();
}

absl::StatusOr<std::vector<std::string>> LocalImages::KeysOf(
    absl::string_view reference) {
  ASSIGN_OR_RETURN(std::string key, KeyOf(reference));
  std::vector<std::string> keys = {key};
  if (image::IsDigest(key)) return keys;
  ASSIGN_OR_RETURN(const image::Reference parsed, image::ParseReference(key));
  if (!parsed.digest.empty()) keys.push_back(parsed.digest);
  return keys;
}

absl::StatusOr<Image> LocalImages::Get(absl::string_view reference) {
  ASSIGN_OR_RETURN(const std::vector<std::string> keys, KeysOf(reference));
  absl::StatusOr<Image> image = store_->Get(keys.front());
  if (!image.ok() && keys.size() > 1) {
    absl::StatusOr<Image> by_digest = store_->Get(keys.back());
    if (by_digest.ok()) image = std::move(by_digest);
  }
  if (image.ok() && config_.clock != nullptr) {
    store_->Touch(image->digest, config_.clock->Now());
  }
  return image;
}

std::vector<Image> LocalImages::List() { return store_->List(); }

absl::Status LocalImages::Tag(absl::string_view source,
                              absl::string_view target) {
  ASSIGN_OR_RETURN(std::string key, KeyOf(source));
  ASSIGN_OR_RETURN(image::Reference name, image::ParseReference(target));
  if (!name.digest.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tag ", target, ": a new name cannot hold a digest"));
  }
  return store_->Tag(key, name.ToString());
}

absl::Status LocalImages::Untag(absl::string_view reference) {
  ASSIGN_OR_RETURN(std::string key, KeyOf(reference));
  return store_->Untag(key);
}

absl::Status LocalImages::Remove(absl::string_view reference,
                                 const std::vector<std::string>& in_use) {
  ASSIGN_OR_RETURN(std::string key, KeyOf(reference));
  RETURN_IF_ERROR(store_->Remove(key, in_use));
  SweepSignatures();
  return absl::OkStatus();
}

absl::StatusOr<ImagesUsage> LocalImages::Usage(
    const std::vector<std::string>& in_use) {
  ASSIGN_OR_RETURN(ImagesUsage usage, store_->Usage(in_use));
  const int64_t mounts = cache_mounts_->Bytes();
  usage.build_cache.count = cache_->Count() + cache_mounts_->Count();
  usage.build_cache.bytes += mounts;
  usage.build_cache.reclaimable_bytes += mounts;
  return usage;
}

absl::Status CheckMirror(absl::string_view mirror) {
  const absl::StatusOr<image::Reference> parsed =
      image::ParseReference(absl::StrCat(mirror, "/a"));
  const absl::string_view host = mirror.substr(0, mirror.find('/'));
  if (parsed.ok() && parsed->registry == host && !mirror.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", mirror.substr(0, 80),
                   "\" is not a mirror; write it like mirror.local:5000 or "
                   "mirror.local:5000/prefix, without https://"));
}

absl::StatusOr<std::string> NormalizeRegistry(absl::string_view registry) {
  // Docker Hub by its other names.
  if (registry.empty() || registry == "index.docker.io" ||
      registry == "registry-1.docker.io") {
    registry = "docker.io";
  }
  absl::StatusOr<image::Reference> parsed =
      image::ParseReference(absl::StrCat(registry, "/a"));
  if (parsed.ok() && parsed->registry == registry) return parsed->registry;
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", registry.substr(0, 80),
      "\" is not a registry; write it like registry.local:5000, without "
      "https:// and without a path"));
}

}  // namespace bulwark::engine
