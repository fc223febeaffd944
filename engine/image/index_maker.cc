#include "engine/image/index_maker.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/index_tree.h"

namespace bulwark::engine::image {
namespace {

absl::StatusOr<IndexEntry> EntryOf(ImageStore* store, const Image& image) {
  ASSIGN_OR_RETURN(const std::string text,
                   store->blobs().ReadAll(image.digest, kMaxManifestBytes));
  ASSIGN_OR_RETURN(
      const std::string config,
      store->blobs().ReadAll(image.config_digest, kMaxConfigBytes));
  ASSIGN_OR_RETURN(const ConfigFile parsed, ParseConfig(config));
  IndexEntry entry;
  entry.descriptor.digest = image.digest;
  entry.descriptor.size = static_cast<int64_t>(text.size());
  ASSIGN_OR_RETURN(entry.descriptor.media_type,
                   DocumentType(text, kOciManifest));
  entry.platform = parsed.platform;
  if (entry.platform.os.empty() || entry.platform.architecture.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        image.digest, " does not say for which platform it is; build it with",
        " --platform"));
  }
  return entry;
}

}  // namespace

absl::StatusOr<Image> MakeIndex(ImageStore* store,
                                const std::vector<std::string>& digests,
                                const std::string& name) {
  if (digests.empty() || digests.size() > kMaxIndexDocuments) {
    return absl::InvalidArgumentError(
        absl::StrCat("name 1 to ", kMaxIndexDocuments, " images"));
  }
  ImageStore::Lease lease(store);
  std::vector<IndexEntry> entries;
  ImageStore::Source source;
  std::set<std::string> platforms;
  for (const std::string& digest : digests) {
    lease.Hold(digest);
    ASSIGN_OR_RETURN(const Image image, store->Get(digest));
    ASSIGN_OR_RETURN(IndexEntry entry, EntryOf(store, image));
    if (!platforms.insert(entry.platform.ToString()).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "two images are for ", entry.platform.ToString(), ", the second is ",
          digest, "; name one for each platform"));
    }
    source.kept.insert(digest);
    entries.push_back(std::move(entry));
  }
  const std::string text = FormatIndex(entries);
  source.document = DigestOf(text);
  lease.Hold(source.document);
  RETURN_IF_ERROR(store->blobs().Put(text).status());
  ASSIGN_OR_RETURN(const Platform host, ParsePlatform(""));
  const absl::StatusOr<Descriptor> chosen = ChoosePlatform(entries, host);
  return chosen.ok() ? store->Add(chosen->digest, {name}, source)
                     : store->AddIndex({name}, source);
}

}  // namespace bulwark::engine::image
