// Indexes in the store: which names stand for one, and what of it is kept.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/image/image_store.h"

namespace bulwark::engine::image {
namespace {

absl::Status NotPresent(absl::string_view reference) {
  return absl::NotFoundError(
      absl::StrCat("image ", reference, " is not present"));
}

}  // namespace

void ImageStore::LoadIndexes(const Json& index) {
  std::map<std::string, std::set<std::string>> documents;  // by index
  const Json* kept = image::Find(index, "indexes");
  if (kept != nullptr && kept->is_object()) {
    for (const auto& [digest, list] : kept->items()) {
      if (!IsDigest(digest)) continue;
      for (const std::string& document : StringList(*kept, digest.c_str())) {
        if (IsDigest(document)) documents[digest].insert(document);
      }
    }
  }
  const auto references = StringMap(index, "references");
  for (const auto& [name, source] : StringMap(index, "sources")) {
    if (!IsDigest(source) || references.count(name) == 0) continue;
    record_.book.SetSource(name, source);
    if (images_.count(source) + record_.damaged.count(source) > 0) continue;
    documents[source];
  }
  for (const auto& [digest, list] : documents) {
    const KeptIndex described = DescribeIndex(*blobs_, digest, list);
    if (described.damaged) {
      LOG_WARN("an index of images is damaged on disk, pull it again",
               {{"digest", digest}});
    }
    record_.book.Keep(digest, described);
  }
}

KeptIndex ImageStore::IndexOf(const std::string& manifest,
                              const Source& source) const {
  if (source.document.empty() || source.document == manifest) return {};
  KeptIndex index = DescribeIndex(*blobs_, source.document, source.kept);
  if (!index.damaged) {
    std::set<std::string> all = source.kept;
    {
      absl::MutexLock lock(&mu_);
      const KeptIndex* kept = record_.book.Find(source.document);
      if (kept != nullptr) {
        all.insert(kept->documents.begin(), kept->documents.end());
      }
    }
    // Parts of one index may come one after the other.
    if (all != source.kept) {
      index = DescribeIndex(*blobs_, source.document, all);
    }
  }
  index.used = source.pulled;
  return index;
}

absl::StatusOr<Image> ImageStore::AddIndex(
    const std::vector<std::string>& references, const Source& source) {
  const KeptIndex index = IndexOf("", source);
  if ((index.damaged && index.documents == source.kept) ||
      !blobs_->Has(source.document)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "index ", source.document, ": some of its manifests are not here"));
  }
  absl::MutexLock lock(&mu_);
  NameRecord old_record = record_;
  record_.book.Keep(source.document, index);
  SetNames(references, source.document, source);
  absl::Status saved = Save();
  if (!saved.ok()) {
    record_ = std::move(old_record);
    return saved;
  }
  return AsImage(source.document, index);
}

absl::StatusOr<ImagePlace> ImageStore::Find(absl::string_view reference) const {
  const std::string key(reference);
  if (const auto name = record_.references.find(key);
      name != record_.references.end()) {
    return ImagePlace{name->second, record_.book.SourceOf(key)};
  }
  if (images_.count(key) > 0) return ImagePlace{key, key};
  const KeptIndex* index = record_.book.Find(key);
  if (index == nullptr) return NotPresent(reference);
  for (const std::string& name : record_.book.NamesOf(key)) {
    const auto it = record_.references.find(name);
    if (it != record_.references.end()) return ImagePlace{it->second, key};
  }
  // It has lost its names; perhaps an image of it is still here.
  ASSIGN_OR_RETURN(const Platform host, ParsePlatform(""));
  for (const std::string& document : index->documents) {
    const auto it = images_.find(document);
    if (it == images_.end()) continue;
    const absl::StatusOr<Platform> platform =
        ParsePlatform(it->second.image.platform);
    if (platform.ok() && Runs(*platform, host)) {
      return ImagePlace{document, key};
    }
  }
  return ImagePlace{key, key};
}

absl::StatusOr<Image> ImageStore::Get(absl::string_view reference) const {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(const ImagePlace place, Find(reference));
  const auto it = images_.find(place.digest);
  if (it != images_.end()) return WithReferences(it->second.image);
  const KeptIndex* index = record_.book.Find(place.digest);
  if (index == nullptr) return NotPresent(reference);
  ASSIGN_OR_RETURN(const Platform host, ParsePlatform(""));
  return absl::NotFoundError(absl::StrCat(
      "image ", reference, " is kept for others: there is no image for",
      " platform ", host.ToString(), "; available: ",
      index->platforms.empty() ? "none"
                               : absl::StrJoin(index->platforms, ", ")));
}

absl::StatusOr<std::string> ImageStore::SourceOf(
    absl::string_view reference) const {
  absl::MutexLock lock(&mu_);
  ASSIGN_OR_RETURN(const ImagePlace place, Find(reference));
  if (!place.source.empty()) return place.source;
  return absl::FailedPreconditionError(absl::StrCat(
      "image ", reference,
      " is of a time when indexes were not kept yet, so it",
      " may be one of several platforms; `ctl pull --all-platforms ", reference,
      "` fetches all of it; if it was made here, `ctl tag ", place.digest, " ",
      reference, "` says that it is all"));
}

std::vector<NamedIndex> ImageStore::Indexes() const {
  absl::MutexLock lock(&mu_);
  std::vector<NamedIndex> result;
  for (const auto& [digest, index] : record_.book.indexes()) {
    result.push_back({digest, record_.book.NamesOf(digest), index});
  }
  return result;
}

void ImageStore::AddIndexes(Image& image) const {
  for (const std::string& name : image.references) {
    std::string source = record_.book.SourceOf(name);
    if (source.empty() || record_.book.Find(source) == nullptr) continue;
    image.indexes.emplace(name, std::move(source));
  }
}

Image ImageStore::AsImage(const std::string& digest,
                          const KeptIndex& index) const {
  Image image;
  image.digest = digest;
  image.size_bytes = index.size_bytes;
  image.create_time = absl::UnixEpoch();
  image.platform = absl::StrJoin(index.platforms, ",");
  image.is_index = true;
  return WithReferences(image);
}

std::vector<Image> ImageStore::BareIndexes() const {
  std::vector<Image> result;
  const auto names = record_.book.Names();
  for (const auto& [digest, index] : record_.book.indexes()) {
    const auto its = names.find(digest);
    // Others are represented by the images that have their names.
    const bool bare =
        its == names.end() ||
        std::any_of(
            its->second.begin(), its->second.end(),
            [&](const std::string& name) ABSL_SHARED_LOCKS_REQUIRED(mu_) {
              const auto it = record_.references.find(name);
              return it != record_.references.end() && it->second == digest;
            });
    if (bare) result.push_back(AsImage(digest, index));
  }
  return result;
}

}  // namespace bulwark::engine::image
