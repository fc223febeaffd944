#include "engine/image/index_book.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::image {
namespace {

// Adds what a document needs.
absl::Status AddDocument(const BlobStore& blobs, const std::string& digest,
                         KeptIndex& index) {
  ASSIGN_OR_RETURN(const std::string text,
                   blobs.ReadAll(digest, kMaxManifestBytes));
  ASSIGN_OR_RETURN(const std::string type, DocumentType(text, kOciManifest));
  if (IsIndexType(type)) return absl::OkStatus();
  ASSIGN_OR_RETURN(Manifest manifest, ParseForeignManifest(text));
  index.content.insert(manifest.config.digest);
  for (const Descriptor& layer : manifest.layers) {
    if (!IsForeignLayer(layer)) index.content.insert(layer.digest);
  }
  return absl::OkStatus();
}

// Adds the platforms of those that it lists and that are kept.
absl::Status AddPlatforms(const BlobStore& blobs, const std::string& digest,
                          KeptIndex& index) {
  ASSIGN_OR_RETURN(const std::string text,
                   blobs.ReadAll(digest, kMaxManifestBytes));
  ASSIGN_OR_RETURN(const std::string type, DocumentType(text, kOciManifest));
  if (!IsIndexType(type)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<IndexEntry> entries, ParseIndex(text));
  for (const IndexEntry& entry : entries) {
    const Platform& platform = entry.platform;
    if (index.documents.count(entry.descriptor.digest) > 0 &&
        !platform.os.empty() && platform.os != "unknown") {
      index.platforms.insert(platform.ToString());
    }
  }
  return absl::OkStatus();
}

}  // namespace

KeptIndex DescribeIndex(const BlobStore& blobs, const std::string& digest,
                        const std::set<std::string>& documents) {
  KeptIndex index;
  index.documents = documents;
  index.content = documents;
  index.content.insert(digest);
  if (documents.empty()) {
    index.size_bytes = blobs.Size(digest).value_or(0);
    return index;
  }
  absl::Status status = AddPlatforms(blobs, digest, index);
  for (const std::string& document : documents) {
    status.Update(AddDocument(blobs, document, index));
    status.Update(AddPlatforms(blobs, document, index));
  }
  index.damaged = !status.ok();
  for (const std::string& blob : index.content) {
    index.size_bytes += blobs.Size(blob).value_or(0);
  }
  return index;
}

void IndexBook::SetSource(const std::string& name,
                          const std::string& document) {
  if (document.empty()) {
    sources_.erase(name);
  } else {
    sources_[name] = document;
  }
}

std::string IndexBook::SourceOf(absl::string_view name) const {
  const auto it = sources_.find(std::string(name));
  return it == sources_.end() ? "" : it->second;
}

std::vector<std::string> IndexBook::NamesOf(absl::string_view document) const {
  std::vector<std::string> names;
  for (const auto& [name, source] : sources_) {
    if (source == document) names.push_back(name);
  }
  return names;
}

std::map<std::string, std::vector<std::string>> IndexBook::Names() const {
  std::map<std::string, std::vector<std::string>> names;
  for (const auto& [name, source] : sources_) names[source].push_back(name);
  return names;
}

void IndexBook::Keep(const std::string& digest, const KeptIndex& index) {
  const auto [it, is_new] = indexes_.emplace(digest, index);
  if (is_new) return;
  KeptIndex& kept = it->second;
  const bool more =
      std::includes(index.documents.begin(), index.documents.end(),
                    kept.documents.begin(), kept.documents.end());
  kept.documents.insert(index.documents.begin(), index.documents.end());
  kept.content.insert(index.content.begin(), index.content.end());
  kept.platforms.insert(index.platforms.begin(), index.platforms.end());
  kept.used = std::max(kept.used, index.used);
  if (more) {
    // What was damaged has come again if all of it has.
    kept.damaged = index.damaged;
    kept.size_bytes = index.size_bytes;
  }
}

const KeptIndex* IndexBook::Find(absl::string_view digest) const {
  const auto it = indexes_.find(std::string(digest));
  return it == indexes_.end() ? nullptr : &it->second;
}

void IndexBook::Touch(const std::string& digest, absl::Time now) {
  const auto it = indexes_.find(digest);
  if (it != indexes_.end()) it->second.used = std::max(it->second.used, now);
}

void IndexBook::Tidy() {
  std::set<std::string> named;
  for (const auto& [name, document] : sources_) named.insert(document);
  for (auto it = indexes_.begin(); it != indexes_.end();) {
    const bool goes =
        it->second.documents.empty() && named.count(it->first) == 0;
    it = goes ? indexes_.erase(it) : ++it;
  }
}

Json IndexBook::Documents() const {
  Json result = Json::object();
  for (const auto& [digest, index] : indexes_) {
    if (!index.documents.empty()) result[digest] = Json(index.documents);
  }
  return result;
}

}  // namespace bulwark::engine::image
