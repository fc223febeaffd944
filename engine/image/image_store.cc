#include "engine/image/image_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/json.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

constexpr int kVersion = 1;
constexpr int64_t kMaxRecordBytes = 64 << 20;
// Given up when the index cannot be written while images are removed.
constexpr int64_t kReserveBytes = 512 << 10;

absl::Status NotPresent(absl::string_view reference) {
  return absl::NotFoundError(
      absl::StrCat("image ", reference, " is not present"));
}

}  // namespace

ImageStore::Lease::~Lease() {
  absl::MutexLock own(&mu_);
  absl::MutexLock lock(&store_->mu_);
  for (const std::string& digest : held_) {
    store_->leased_.erase(store_->leased_.find(digest));
  }
}

void ImageStore::Lease::Hold(absl::string_view digest) {
  absl::MutexLock own(&mu_);
  held_.emplace_back(digest);
  absl::MutexLock lock(&store_->mu_);
  store_->leased_.emplace(digest);
}

ImageStore::Claim::Claim(ImageStore* store, absl::string_view key)
    : store_(store), key_(key) {
  auto is_free = [this]() ABSL_SHARED_LOCKS_REQUIRED(store_->mu_) {
    return store_->claimed_.count(key_) == 0;
  };
  absl::MutexLock lock(&store_->mu_);
  store_->mu_.Await(absl::Condition(&is_free));
  store_->claimed_.insert(key_);
}

ImageStore::Claim::~Claim() {
  absl::MutexLock lock(&store_->mu_);
  store_->claimed_.erase(key_);
}

ImageStore::ImageStore(std::string state_dir)
    : state_dir_(std::move(state_dir)) {}

absl::StatusOr<std::unique_ptr<ImageStore>> ImageStore::Open(
    const std::string& state_dir) {
  auto store = absl::WrapUnique(new ImageStore(state_dir));
  RETURN_IF_ERROR(os::MakeDirs(state_dir, 0700));
  ASSIGN_OR_RETURN(store->blobs_, BlobStore::Open(state_dir));
  ASSIGN_OR_RETURN(store->layers_,
                   LayerStore::Open(state_dir, store->blobs_.get()));
  RETURN_IF_ERROR(store->Load());
  store->MakeReserve();
  return store;
}

absl::Status ImageStore::Load() {
  std::string path = absl::StrCat(state_dir_, "/index.json");
  absl::StatusOr<std::string> text = os::ReadFile(path, kMaxRecordBytes);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  if (!text.ok()) return text.status();
  absl::StatusOr<Json> index = ParseObject(*text, path);
  if (!index.ok() || IntField(*index, "version") != kVersion) {
    return absl::DataLossError(
        absl::StrCat("read the index of images ", path, ": ",
                     index.ok() ? "unknown version" : index.status().message(),
                     "; move it away to start with none, and pull again"));
  }
  absl::MutexLock lock(&mu_);
  for (const std::string& digest : StringList(*index, "images")) {
    absl::StatusOr<StoredImage> image =
        IsDigest(digest) ? Describe(digest) : NotPresent(digest);
    if (image.ok()) {
      images_[digest] = *std::move(image);
    } else {
      if (IsDigest(digest)) record_.damaged.insert(digest);
      LOG_WARN("an image is damaged on disk, pull it again",
               {{"digest", digest}, {"error", image.status()}});
    }
  }
  LoadIndexes(*index);
  for (auto& [name, digest] : StringMap(*index, "references")) {
    if (images_.count(digest) + record_.damaged.count(digest) > 0 ||
        record_.book.Find(digest) != nullptr) {
      record_.references[name] = digest;
    } else {
      record_.book.Forget(name);
    }
  }
  record_.book.Tidy();
  const Json* pulls = image::Find(*index, "pulls");
  if (pulls != nullptr && pulls->is_object()) {
    for (const auto& [name, digest] : record_.references) {
      const int64_t seconds = IntField(*pulls, name.c_str());
      if (seconds > 0) record_.pulled[name] = absl::FromUnixSeconds(seconds);
    }
  }
  const Json* used = image::Find(*index, "used");
  if (used != nullptr && used->is_object()) {
    for (auto& [digest, image] : images_) {
      const int64_t seconds = IntField(*used, digest.c_str());
      if (seconds > 0) image.used = absl::FromUnixSeconds(seconds);
    }
    for (const auto& [digest, index] : std::map(record_.book.indexes())) {
      const int64_t seconds = IntField(*used, digest.c_str());
      if (seconds <= 0) continue;
      record_.book.Touch(digest, absl::FromUnixSeconds(seconds));
    }
  }
  return absl::OkStatus();
}

absl::Status ImageStore::Save() {
  Json images(record_.damaged);
  Json used = Json::object();
  for (const auto& [digest, image] : images_) {
    images.push_back(digest);
    const int64_t seconds = absl::ToUnixSeconds(image.used);
    if (seconds > 0) used[digest] = seconds;
  }
  for (const auto& [digest, index] : record_.book.indexes()) {
    const int64_t seconds = absl::ToUnixSeconds(index.used);
    if (seconds > 0) used[digest] = seconds;
  }
  Json pulls = Json::object();
  for (auto it = record_.pulled.begin(); it != record_.pulled.end();) {
    if (record_.references.count(it->first) == 0) {
      it = record_.pulled.erase(it);
      continue;
    }
    pulls[it->first] = absl::ToUnixSeconds(it->second);
    ++it;
  }
  Json index = {{"version", kVersion},
                {"images", std::move(images)},
                {"references", Json(record_.references)},
                {"pulls", std::move(pulls)},
                {"sources", record_.book.Sources()},
                {"indexes", record_.book.Documents()},
                {"used", std::move(used)}};
  return os::WriteFileDurably(absl::StrCat(state_dir_, "/index.json"),
                              Dump(index));
}

absl::Status ImageStore::SaveSmaller() {
  absl::Status status = Save();
  if (!absl::IsResourceExhausted(status)) return status;
  if (unlink(ReservePath().c_str()) != 0) return status;
  return Save();
}

std::string ImageStore::ReservePath() const {
  return absl::StrCat(state_dir_, "/reserve");
}

// Without it only removing on a full disk is at risk, so errors do not matter.
void ImageStore::MakeReserve() const {
  UniqueFd fd(
      open(ReservePath().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.ok() || posix_fallocate(fd.get(), 0, kReserveBytes) != 0) {
    unlink(ReservePath().c_str());
    LOG_WARN("cannot reserve room for removing images on a full disk",
             {{"path", ReservePath()}});
  }
}

absl::StatusOr<StoredImage> ImageStore::Describe(
    absl::string_view manifest_digest) const {
  ASSIGN_OR_RETURN(std::string manifest_text,
                   blobs_->ReadAll(manifest_digest, kMaxManifestBytes));
  ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(manifest_text));
  ASSIGN_OR_RETURN(std::string config_text,
                   blobs_->ReadAll(manifest.config.digest, kMaxConfigBytes));
  ASSIGN_OR_RETURN(ConfigFile config, ParseConfig(config_text));
  if (config.diff_ids.size() != manifest.layers.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "image ", manifest_digest, " has ", manifest.layers.size(),
        " layers, but its configuration names ", config.diff_ids.size()));
  }
  StoredImage stored;
  Image& image = stored.image;
  image.digest = std::string(manifest_digest);
  image.config_digest = manifest.config.digest;
  image.config = std::move(config.config);
  image.create_time = config.create_time;
  image.platform = config.platform.ToString();
  image.size_bytes = manifest_text.size() + config_text.size();
  std::vector<std::string> chain_ids = ChainIds(config.diff_ids);
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    image.size_bytes += manifest.layers[i].size;
    std::string dir = layers_->Find(config.diff_ids[i], chain_ids[i]);
    if (dir.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("image ", manifest_digest, ": layer ",
                       config.diff_ids[i], " is not unpacked"));
    }
    image.layers.push_back(dir);
    stored.layers.push_back(
        {manifest.layers[i].digest, config.diff_ids[i], std::move(dir)});
  }
  return stored;
}

absl::StatusOr<Image> ImageStore::Add(
    absl::string_view manifest_digest,
    const std::vector<std::string>& references, const Source& source) {
  ASSIGN_OR_RETURN(StoredImage stored, Describe(manifest_digest));
  const Image image = stored.image;
  const KeptIndex index = IndexOf(image.digest, source);
  // Not if the damage is in what was kept of it before: the image is sound.
  if (index.damaged && index.documents == source.kept) {
    return absl::FailedPreconditionError(absl::StrCat(
        "index ", source.document, " of image ", image.digest,
        ": some of its manifests cannot be read; pull or load it again"));
  }
  absl::MutexLock lock(&mu_);
  const auto [place, is_new] = images_.try_emplace(image.digest);
  StoredImage before = place->second;
  stored.used = before.used;
  place->second = std::move(stored);
  NameRecord old_record = record_;
  record_.damaged.erase(image.digest);
  if (!index.content.empty()) record_.book.Keep(source.document, index);
  SetNames(references, image.digest, source);
  // A build of which nothing has changed: the index says all of it already.
  if (!is_new && record_ == old_record) {
    return WithReferences(image);
  }
  absl::Status saved = Save();
  if (!saved.ok()) {
    if (is_new) {
      images_.erase(place);
    } else {
      place->second = std::move(before);
    }
    record_ = std::move(old_record);
    return saved;
  }
  return WithReferences(image);
}

void ImageStore::SetNames(const std::vector<std::string>& names,
                          const std::string& digest, const Source& source) {
  for (const std::string& name : names) {
    record_.references[name] = digest;
    // Where no registry or archive had another, it is the manifest itself.
    record_.book.SetSource(name,
                           source.document.empty() ? digest : source.document);
    record_.pulled.erase(name);
    if (source.pulled == absl::InfinitePast()) continue;
    record_.pulled[name] = source.pulled;
  }
  record_.book.Tidy();
}

absl::Time ImageStore::PullTime(absl::string_view reference) const {
  absl::MutexLock lock(&mu_);
  auto it = record_.pulled.find(std::string(reference));
  return it == record_.pulled.end() ? absl::InfinitePast() : it->second;
}

Image ImageStore::WithReferences(const Image& image) const {
  Image result = image;
  for (const auto& [name, digest] : record_.references) {
    if (digest == image.digest) result.references.push_back(name);
  }
  AddIndexes(result);
  return result;
}

std::vector<Image> ImageStore::List() const {
  absl::MutexLock lock(&mu_);
  // Not by WithReferences(): all names of all images would be read for each.
  std::map<absl::string_view, std::vector<std::string>> names;
  for (const auto& [name, digest] : record_.references) {
    names[digest].push_back(name);
  }
  std::vector<Image> result;
  result.reserve(images_.size());
  for (const auto& [digest, stored] : images_) {
    result.push_back(stored.image);
    const auto its = names.find(digest);
    if (its != names.end()) result.back().references = std::move(its->second);
    AddIndexes(result.back());
  }
  for (Image& index : BareIndexes()) result.push_back(std::move(index));
  return result;
}

absl::StatusOr<std::vector<LayerParts>> ImageStore::LayersOf(
    absl::string_view digest) const {
  absl::MutexLock lock(&mu_);
  const auto it = images_.find(std::string(digest));
  if (it == images_.end()) return NotPresent(digest);
  return it->second.layers;
}

bool ImageStore::Holds(absl::string_view blob,
                       absl::string_view diff_id) const {
  absl::MutexLock lock(&mu_);
  for (const auto& [digest, stored] : images_) {
    for (const LayerParts& parts : stored.layers) {
      if (parts.blob == blob && parts.diff_id == diff_id) return true;
    }
  }
  return false;
}

void ImageStore::Touch(absl::string_view digest, absl::Time now) {
  absl::MutexLock lock(&mu_);
  const auto it = images_.find(std::string(digest));
  if (it != images_.end()) it->second.used = std::max(it->second.used, now);
  record_.book.Touch(std::string(digest), now);
}

absl::Status ImageStore::Untag(absl::string_view reference) {
  if (IsDigest(reference)) {
    return absl::InvalidArgumentError(
        absl::StrCat("untag ", reference,
                     ": a digest is no name; `ctl rmi` removes images"));
  }
  absl::MutexLock lock(&mu_);
  NameRecord old_record = record_;
  if (record_.references.erase(std::string(reference)) == 0) {
    return NotPresent(reference);
  }
  record_.book.Forget(std::string(reference));
  record_.book.Tidy();
  absl::Status saved = SaveSmaller();
  if (!saved.ok()) {
    record_ = std::move(old_record);
  }
  return saved;
}

absl::Status ImageStore::Tag(absl::string_view source,
                             absl::string_view target) {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(const ImagePlace place, Find(source));
  // What is damaged gets no further name.
  if (record_.damaged.count(place.digest) > 0) return NotPresent(source);
  NameRecord old_record = record_;
  std::string& digest = record_.references[std::string(target)];
  if (digest != place.digest) record_.pulled.erase(std::string(target));
  digest = place.digest;
  record_.book.SetSource(std::string(target), place.source);
  record_.book.Tidy();
  absl::Status saved = Save();
  if (!saved.ok()) {
    record_ = std::move(old_record);
  }
  return saved;
}

}  // namespace bulwark::engine::image
