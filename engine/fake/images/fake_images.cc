#include "engine/fake/images/fake_images.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"

namespace bulwark::engine {
namespace {

constexpr int64_t kImageBytes = 1000;
constexpr int64_t kStepBytes = 100;

// FNV-1a, spread over the length of a SHA-256.
std::string FakeDigest(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3;
  return absl::StrFormat("sha256:%016x%016x%016x%016x", hash, ~hash, hash * 3,
                         hash * 7);
}

absl::Status NotFound(absl::string_view reference) {
  return absl::NotFoundError(
      absl::StrCat("get image ", reference, ": no such image"));
}

absl::Status NoPlatform(absl::string_view reference) {
  return absl::NotFoundError(absl::StrCat(
      "get image ", reference, ": there is no image for platform linux/amd64;",
      " available: linux/arm64"));
}

}  // namespace

Image FakeImages::Publish(const std::string& reference, int version,
                          ImageConfig config) {
  Image image;
  image.references = {reference};
  image.digest = FakeDigest(absl::StrCat(reference, "#", version));
  image.config_digest = FakeDigest(absl::StrCat("config ", image.digest));
  image.config = std::move(config);
  image.layers = {absl::StrCat("/layers/", image.digest)};
  image.size_bytes = 1000;
  image.platform = "linux/amd64";
  absl::MutexLock lock(&mu_);
  registry_[reference] = image;
  published_[image.digest] = image;
  return image;
}

std::string FakeImages::PublishIndex(const std::string& reference,
                                     bool for_this_host) {
  Image image = Publish(reference);
  const std::string digest = FakeDigest(absl::StrCat("index ", image.digest));
  if (!for_this_host) {
    image.digest = digest;
    image.layers.clear();
    image.platform = "linux/arm64";
    image.is_index = true;
  }
  image.indexes = {{reference, digest}};
  absl::MutexLock lock(&mu_);
  registry_[reference] = image;
  return digest;
}

Image FakeImages::Keep(Image image, const std::vector<std::string>& names) {
  absl::MutexLock lock(&mu_);
  image.digest = FakeDigest(absl::StrCat("kept ", ++kept_));
  image.config_digest = FakeDigest(absl::StrCat("config ", image.digest));
  image.references = names;
  for (const std::string& name : names) {
    local_[name] = image;
    local_[name].references = {name};
  }
  if (names.empty()) unnamed_[image.digest] = image;
  return image;
}

void FakeImages::FailPulls(absl::Status status, int count) {
  absl::MutexLock lock(&mu_);
  failure_ = std::move(status);
  failures_ = count;
}

int FakeImages::pulls() const {
  absl::MutexLock lock(&mu_);
  return pulls_;
}

absl::Duration FakeImages::last_max_age() const {
  absl::MutexLock lock(&mu_);
  return last_max_age_;
}

void FakeImages::Distrust(const std::string& digest, absl::Status why) {
  absl::MutexLock lock(&mu_);
  distrusted_[digest] = std::move(why);
}

void FakeImages::FailLookups(absl::Status status, int count) {
  absl::MutexLock lock(&mu_);
  lookup_failure_ = std::move(status);
  lookup_failures_ = count;
}

int FakeImages::lookups() const {
  absl::MutexLock lock(&mu_);
  return lookups_;
}

absl::Status FakeImages::TrustOf(const std::string& digest) const {
  auto it = distrusted_.find(digest);
  return it == distrusted_.end() ? absl::OkStatus() : it->second;
}

absl::Status FakeImages::CheckTrust(const TrustRequest& request) {
  absl::MutexLock lock(&mu_);
  return TrustOf(request.digest);
}

absl::StatusOr<std::string> FakeImages::Lookup(absl::string_view reference) {
  absl::MutexLock lock(&mu_);
  ++lookups_;
  if (lookup_failures_ > 0) {
    --lookup_failures_;
    return lookup_failure_;
  }
  auto it = registry_.find(std::string(reference));
  if (it == registry_.end()) return NotFound(reference);
  return it->second.digest;
}

absl::StatusOr<Image> FakeImages::Pull(const PullRequest& request,
                                       const ProgressSink& progress) {
  absl::MutexLock lock(&mu_);
  last_max_age_ = request.max_age;
  if (auto it = local_.find(request.reference);
      it != local_.end() && !request.always) {
    const absl::Status trusted = TrustOf(it->second.digest);
    if (!trusted.ok()) return trusted;
    return it->second;
  }
  ++pulls_;
  if (failures_ > 0) {
    --failures_;
    return failure_;
  }
  if (request.wanted != nullptr && !request.wanted()) {
    return absl::CancelledError("pull cancelled");
  }
  const size_t at = request.reference.find('@');
  const bool pinned = at != std::string::npos;
  const auto& from = pinned ? published_ : registry_;
  auto it =
      from.find(pinned ? request.reference.substr(at + 1) : request.reference);
  if (it == from.end()) return NotFound(request.reference);
  if (it->second.is_index && !request.all_platforms) {
    return NoPlatform(request.reference);
  }
  const absl::Status trusted = TrustOf(it->second.digest);
  if (!trusted.ok()) return trusted;
  if (progress && !progress({it->second.digest, "done", 1000, 1000, ""})) {
    return absl::CancelledError("pull cancelled");
  }
  Image image = it->second;
  image.references = {request.reference};
  return local_[request.reference] = image;
}

absl::StatusOr<std::vector<Image>> FakeImages::Load(int, const ProgressSink&) {
  return absl::InvalidArgumentError("load archive: not an image archive");
}

absl::StatusOr<Image> FakeImages::Build(const BuildRequest& request,
                                        const ProgressSink& progress) {
  if (request.tags.empty()) {
    return absl::InvalidArgumentError("build image: no tag");
  }
  if (progress && !progress({"1/1", "done", 0, 0, "built"})) {
    return absl::CancelledError("build cancelled");
  }
  Image image = Publish(request.tags[0]);
  absl::MutexLock lock(&mu_);
  ++steps_;
  return local_[request.tags[0]] = image;
}

absl::StatusOr<Image> FakeImages::Get(absl::string_view reference) {
  absl::MutexLock lock(&mu_);
  for (const auto& [name, image] : local_) {
    if (name != reference && image.digest != reference) continue;
    if (image.is_index) return NoPlatform(reference);
    return image;
  }
  if (auto it = unnamed_.find(std::string(reference)); it != unnamed_.end()) {
    return it->second;
  }
  return NotFound(reference);
}

std::vector<Image> FakeImages::List() {
  absl::MutexLock lock(&mu_);
  std::vector<Image> images;
  for (const auto& [name, image] : local_) images.push_back(image);
  for (const auto& [digest, image] : unnamed_) images.push_back(image);
  return images;
}

absl::Status FakeImages::Tag(absl::string_view source,
                             absl::string_view target) {
  absl::MutexLock lock(&mu_);
  auto it = std::find_if(local_.begin(), local_.end(), [&](const auto& entry) {
    return entry.first == source || entry.second.digest == source;
  });
  if (it == local_.end()) return NotFound(source);
  Image image = it->second;
  const bool has_index = image.is_index || image.indexes.count(it->first) > 0;
  const std::string index = has_index ? image.indexes.begin()->second : "";
  image.references = {std::string(target)};
  image.indexes.clear();
  if (has_index) image.indexes[std::string(target)] = index;
  local_[std::string(target)] = image;
  return absl::OkStatus();
}

absl::Status FakeImages::Remove(absl::string_view reference,
                                const std::vector<std::string>& in_use) {
  absl::MutexLock lock(&mu_);
  auto it = local_.find(std::string(reference));
  if (it == local_.end()) return NotFound(reference);
  Image image = it->second;
  local_.erase(it);
  const bool named = ByDigest().count(image.digest) > 0;
  if (!named &&
      std::find(in_use.begin(), in_use.end(), image.digest) != in_use.end()) {
    image.references.clear();
    unnamed_[image.digest] = image;
  }
  return absl::OkStatus();
}

absl::Status FakeImages::Untag(absl::string_view reference) {
  if (absl::StartsWith(reference, "sha256:")) {
    return absl::InvalidArgumentError(
        absl::StrCat("untag ", reference, ": it is a digest, not a name"));
  }
  std::string digest;
  {
    absl::MutexLock lock(&mu_);
    const auto it = local_.find(std::string(reference));
    if (it == local_.end()) return NotFound(reference);
    digest = it->second.digest;
  }
  return Remove(reference, {digest});
}

std::map<std::string, Image> FakeImages::ByDigest() const {
  std::map<std::string, Image> images = unnamed_;
  for (const auto& [name, image] : local_) {
    Image& one = images.emplace(image.digest, image).first->second;
    if (one.references != image.references) one.references.push_back(name);
  }
  return images;
}

absl::StatusOr<ImagesUsage> FakeImages::Usage(
    const std::vector<std::string>& in_use) {
  absl::MutexLock lock(&mu_);
  ImagesUsage usage;
  for (const auto& [digest, image] : ByDigest()) {
    ++usage.images.count;
    usage.images.bytes += kImageBytes;
    if (std::find(in_use.begin(), in_use.end(), digest) != in_use.end()) {
      ++usage.images.active;
    } else if (image.references.empty()) {
      usage.images.reclaimable_bytes += kImageBytes;
    }
  }
  usage.build_cache = {steps_, 0, steps_ * kStepBytes, steps_ * kStepBytes};
  return usage;
}

absl::StatusOr<PruneImagesResult> FakeImages::Prune(
    const PruneImagesRequest& request) {
  PruneImagesResult result;
  std::map<std::string, Image> images;
  {
    absl::MutexLock lock(&mu_);
    images = ByDigest();
  }
  for (const auto& [digest, image] : images) {
    const bool used = std::find(request.in_use.begin(), request.in_use.end(),
                                digest) != request.in_use.end();
    if (!request.images || used ||
        (!request.all && !image.references.empty())) {
      continue;
    }
    // Without the lock: it may ask what is here.
    if (request.enough != nullptr && request.enough()) break;
    absl::MutexLock lock(&mu_);
    result.bytes += kImageBytes;
    if (image.references.empty()) {
      result.removed.push_back(absl::StrCat("image ", digest));
    }
    for (const std::string& name : image.references) {
      result.removed.push_back(absl::StrCat("image ", name));
    }
    if (request.dry_run) continue;
    unnamed_.erase(digest);
    for (const std::string& name : image.references) local_.erase(name);
  }
  absl::MutexLock lock(&mu_);
  if (request.build_cache && steps_ > 0) {
    result.bytes += steps_ * kStepBytes;
    result.removed.push_back(
        absl::StrCat(steps_, " build step", steps_ == 1 ? "" : "s"));
    if (!request.dry_run) steps_ = 0;
  }
  return result;
}

}  // namespace bulwark::engine
