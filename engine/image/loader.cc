#include "engine/image/loader.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "engine/image/archive_files.h"
#include "engine/image/index_content.h"
#include "engine/image/json.h"
#include "engine/image/layer_set.h"
#include "engine/image/manifest.h"
#include "engine/image/progress.h"
#include "engine/image/reference.h"

namespace bulwark::engine::image {
namespace {

std::string BlobName(absl::string_view digest) {
  return absl::StrCat("blobs/sha256/", HexOf(digest));
}

// One archive being loaded.
class Loader {
 public:
  Loader(ImageStore* store, ArchiveFiles files, Reporter* reporter)
      : store_(store),
        files_(std::move(files)),
        reporter_(reporter),
        lease_(store) {}

  absl::StatusOr<std::vector<Image>> Run() {
    const bool docker = files_.Has("manifest.json");
    const bool layout = files_.Has("oci-layout") && files_.Has("index.json");
    // An archive that is both keeps its digests as a layout.
    if (layout || (files_.Has("index.json") && !docker)) {
      absl::StatusOr<std::vector<Image>> images = LoadOciLayout();
      if (!docker || !absl::IsInvalidArgument(images.status())) return images;
    }
    if (docker) return LoadDockerArchive();
    return absl::InvalidArgumentError(
        "read archive: it holds neither manifest.json (docker-archive) nor"
        " index.json (OCI layout); make one with `ctl save`, `docker save` or"
        " `skopeo copy`");
  }

  absl::StatusOr<Image> RunLayout(const std::string& reference,
                                  const std::string& platform) {
    keep_indexes_ = false;
    ASSIGN_OR_RETURN(std::string text,
                     files_.Text("index.json", kMaxManifestBytes));
    ASSIGN_OR_RETURN(const std::vector<IndexEntry> index, ParseIndex(text));
    std::vector<std::string> names;
    const IndexEntry* chosen =
        index.size() == 1 && reference.empty() ? &index.front() : nullptr;
    const std::string wanted = reference.empty() ? "latest" : reference;
    for (const IndexEntry& entry : index) {
      const std::string& name = entry.ref_name;
      if (chosen == nullptr &&
          (entry.descriptor.digest == wanted || name == wanted ||
           absl::EndsWith(name, absl::StrCat(":", wanted)))) {
        chosen = &entry;
      }
      names.push_back(name.empty() ? entry.descriptor.digest : name);
    }
    if (chosen == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("the layout has no image \"", wanted, "\"; it has ",
                       names.empty() ? "none" : absl::StrJoin(names, ", ")));
    }
    return LoadOciImage(*chosen, platform, {});
  }

 private:
  // [{"Config": NAME, "RepoTags": [REFERENCE…], "Layers": [NAME…]}…]
  absl::StatusOr<std::vector<Image>> LoadDockerArchive() {
    ASSIGN_OR_RETURN(std::string text,
                     files_.Text("manifest.json", kMaxManifestBytes));
    // ParseObject wants an object.
    ASSIGN_OR_RETURN(Json list,
                     ParseObject(absl::StrCat("{\"images\":", text, "}"),
                                 "read archive: manifest.json"));
    const Json* images = Find(list, "images");
    if (images == nullptr || !images->is_array() || images->empty()) {
      return absl::InvalidArgumentError(
          "read archive: manifest.json lists no images");
    }
    std::vector<Image> result;
    for (const Json& item : *images) {
      ASSIGN_OR_RETURN(Image image, LoadDockerImage(item));
      result.push_back(std::move(image));
    }
    return result;
  }

  absl::StatusOr<Image> LoadDockerImage(const Json& item) {
    std::string config_name = StringField(item, "Config");
    std::vector<std::string> layer_names = StringList(item, "Layers");
    ASSIGN_OR_RETURN(std::string config_text,
                     files_.Text(config_name, kMaxConfigBytes));
    ASSIGN_OR_RETURN(ConfigFile config, ParseConfig(config_text));
    if (layer_names.size() > kMaxLayers) {
      return absl::InvalidArgumentError(
          absl::StrCat("read archive: ", layer_names.size(),
                       " layers are more than the ", kMaxLayers, " supported"));
    }
    std::vector<std::string> names;
    for (const std::string& name : StringList(item, "RepoTags")) {
      ASSIGN_OR_RETURN(Reference reference, ParseReference(name));
      names.push_back(reference.ToString());
    }
    Manifest manifest;
    ASSIGN_OR_RETURN(manifest.config, Store(config_name, kOciConfig));
    for (const std::string& name : layer_names) {
      ASSIGN_OR_RETURN(Descriptor layer, Store(name, kOciLayer));
      // Its own documents name layers by diff id: the media type is ours to
      // say, and tells compressed layers apart.
      ASSIGN_OR_RETURN(layer.media_type, LayerType(layer.digest));
      manifest.layers.push_back(std::move(layer));
    }
    return Finish(FormatManifest(manifest), manifest, config, names);
  }

  absl::StatusOr<std::vector<Image>> LoadOciLayout() {
    ASSIGN_OR_RETURN(std::string text,
                     files_.Text("index.json", kMaxManifestBytes));
    ASSIGN_OR_RETURN(std::vector<IndexEntry> index, ParseIndex(text));
    // What has several names has an entry for each.
    std::vector<IndexEntry> entries;
    std::map<std::string, std::vector<std::string>> names;  // by digest
    for (IndexEntry& entry : index) {
      ASSIGN_OR_RETURN(const std::vector<std::string> its, NamesOf(entry));
      const auto [it, is_new] = names.try_emplace(entry.descriptor.digest);
      it->second.insert(it->second.end(), its.begin(), its.end());
      if (is_new) entries.push_back(std::move(entry));
    }
    std::vector<Image> result;
    for (const IndexEntry& entry : entries) {
      RETURN_IF_ERROR(reporter_->Check());
      ASSIGN_OR_RETURN(
          Image image,
          LoadOciImage(entry, "", names.at(entry.descriptor.digest)));
      // Several indexes may have one image for this host.
      const auto same = std::find_if(result.begin(), result.end(),
                                     [&image](const Image& other) {
                                       return other.digest == image.digest;
                                     });
      if (same == result.end()) {
        result.push_back(std::move(image));
      } else {
        *same = std::move(image);
      }
    }
    if (result.empty()) {
      return absl::InvalidArgumentError(
          "read archive: index.json lists no images");
    }
    return result;
  }

  absl::StatusOr<Image> LoadOciImage(const IndexEntry& entry,
                                     const std::string& wanted,
                                     const std::vector<std::string>& names) {
    ASSIGN_OR_RETURN(std::string text, Document(entry.descriptor.digest));
    ASSIGN_OR_RETURN(std::string type,
                     DocumentType(text, entry.descriptor.media_type));
    ImageStore::Source source;
    if (IsIndexType(type)) {
      ASSIGN_OR_RETURN(Platform platform, ParsePlatform(wanted));
      const absl::StatusOr<ChosenManifest> chosen = ChooseManifest(
          text, platform,
          [this](const Descriptor& inner) { return Document(inner.digest); });
      // A build context is of one platform.
      if (keep_indexes_) {
        absl::StatusOr<ImageStore::Source> kept =
            KeepIndex(entry.descriptor, text);
        if (kept.ok()) {
          source = *std::move(kept);
        } else if (chosen.ok() && (absl::IsInvalidArgument(kept.status()) ||
                                   absl::IsFailedPrecondition(kept.status()))) {
          // What it lists beside is of no kind that can be kept. The index
          // itself is, so that nobody takes the one image for all.
          RETURN_IF_ERROR(
              Store(BlobName(entry.descriptor.digest), type).status());
          source.document = entry.descriptor.digest;
        } else {
          return kept.status();
        }
        const bool here =
            chosen.ok() && files_.Has(BlobName(chosen->descriptor.digest));
        if (!here && !source.kept.empty() &&
            (chosen.ok() || absl::IsNotFound(chosen.status()))) {
          return store_->AddIndex(names, source);
        }
      }
      RETURN_IF_ERROR(chosen.status());
      ASSIGN_OR_RETURN(text, Document(chosen->descriptor.digest));
    }
    ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(text));
    ASSIGN_OR_RETURN(std::string config_text,
                     Document(manifest.config.digest, kMaxConfigBytes));
    ASSIGN_OR_RETURN(ConfigFile config, ParseConfig(config_text));
    RETURN_IF_ERROR(
        Store(BlobName(manifest.config.digest), kOciConfig).status());
    for (const Descriptor& layer : manifest.layers) {
      ASSIGN_OR_RETURN(Descriptor stored,
                       Store(BlobName(layer.digest), kOciLayer));
      RETURN_IF_ERROR(Same(stored.digest, layer.digest));
    }
    return Finish(text, manifest, config, names, source);
  }

  // Takes in the index and what the archive has of what it lists: others leave
  // platforms out.
  absl::StatusOr<ImageStore::Source> KeepIndex(const Descriptor& index,
                                               const std::string& text) {
    Descriptor root = index;
    root.size = static_cast<int64_t>(text.size());
    ASSIGN_OR_RETURN(
        const IndexTree tree,
        ReadIndexTree(root, [&](const Descriptor& document) {
          if (files_.Has(BlobName(document.digest))) {
            return Document(document.digest);
          }
          return absl::StatusOr<std::string>(absl::NotFoundError("left out"));
        }));
    for (const IndexNode& node : tree.nodes) {
      if (node.missing) continue;
      RETURN_IF_ERROR(KeepBlob(node.descriptor));
      for (const Descriptor& blob : node.blobs) {
        if (!files_.Has(BlobName(blob.digest))) continue;
        RETURN_IF_ERROR(KeepBlob(blob));
      }
    }
    ImageStore::Source source;
    source.document = root.digest;
    source.kept = WholeDocuments(store_, &lease_, tree);
    return source;
  }

  absl::Status KeepBlob(const Descriptor& blob) {
    ASSIGN_OR_RETURN(const Descriptor stored,
                     Store(BlobName(blob.digest), blob.media_type));
    RETURN_IF_ERROR(Same(stored.digest, blob.digest));
    if (stored.size == blob.size) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrCat("read archive: ", blob.digest, " has ", stored.size,
                     " bytes, not the ", blob.size, " that its manifest says"));
  }

  // A bare tag, as some tools write, names no repository: no name then.
  static absl::StatusOr<std::vector<std::string>> NamesOf(
      const IndexEntry& entry) {
    std::string name = entry.image_name;
    if (name.empty() && (absl::StrContains(entry.ref_name, "/") ||
                         absl::StrContains(entry.ref_name, ":"))) {
      name = entry.ref_name;
    }
    if (name.empty()) return std::vector<std::string>();
    ASSIGN_OR_RETURN(Reference reference, ParseReference(name));
    return std::vector<std::string>{reference.ToString()};
  }

  absl::StatusOr<Image> Finish(const std::string& manifest_text,
                               const Manifest& manifest,
                               const ConfigFile& config,
                               const std::vector<std::string>& names,
                               const ImageStore::Source& source = {}) {
    lease_.Hold(DigestOf(manifest_text));
    ASSIGN_OR_RETURN(std::string digest, store_->blobs().Put(manifest_text));
    RETURN_IF_ERROR(MaterializeLayers(
        store_, &lease_, manifest, config.diff_ids,
        [](const Descriptor& blob) {
          return absl::InternalError(
              absl::StrCat("blob ", blob.digest, " vanished"));
        },
        reporter_));
    return store_->Add(digest, names, source);
  }

  static absl::Status Same(absl::string_view got, absl::string_view expected) {
    if (got == expected) return absl::OkStatus();
    return absl::DataLossError(
        absl::StrCat("read archive: content does not match its name: expected ",
                     expected, ", got ", got));
  }

  // A document of the layout, its digest checked. No larger than the store
  // reads it afterwards.
  absl::StatusOr<std::string> Document(
      const std::string& digest, int64_t max_bytes = kMaxManifestBytes) const {
    ASSIGN_OR_RETURN(std::string text,
                     files_.Text(BlobName(digest), max_bytes));
    RETURN_IF_ERROR(Same(DigestOf(text), digest));
    return text;
  }

  absl::StatusOr<Descriptor> Store(const std::string& name,
                                   absl::string_view type) {
    Descriptor result;
    result.media_type = std::string(type);
    ASSIGN_OR_RETURN(result.size, files_.Size(name));
    ASSIGN_OR_RETURN(result.digest, files_.Digest(name));
    lease_.Hold(result.digest);
    RETURN_IF_ERROR(files_.Commit(name).status());
    return result;
  }

  absl::StatusOr<std::string> LayerType(const std::string& digest) {
    ASSIGN_OR_RETURN(UniqueFd fd, store_->blobs().Read(digest));
    ASSIGN_OR_RETURN(
        std::unique_ptr<Decompressor> stream,
        NewDecompressor(std::make_unique<FdSource>(std::move(fd))));
    switch (stream->compression()) {
      case Compression::kGzip:
        return std::string(kOciLayerGzip);
      case Compression::kZstd:
        return std::string(kOciLayerZstd);
      default:
        return std::string(kOciLayer);
    }
  }

  ImageStore* const store_;
  ArchiveFiles files_;
  Reporter* const reporter_;
  ImageStore::Lease lease_;
  bool keep_indexes_ = true;
};

}  // namespace

absl::StatusOr<std::vector<Image>> LoadImages(ImageStore* store, int fd,
                                              const ProgressSink& progress) {
  Reporter reporter(progress);
  absl::StatusOr<ArchiveFiles> files =
      ArchiveFiles::Read(&store->blobs(), fd, &reporter);
  if (!files.ok()) return Annotate(files.status(), "load image");
  absl::StatusOr<std::vector<Image>> images =
      Loader(store, *std::move(files), &reporter).Run();
  if (!images.ok()) return Annotate(images.status(), "load image");
  return images;
}

absl::StatusOr<Image> LoadLayoutImage(ImageStore* store, int fd,
                                      const std::string& reference,
                                      const std::string& platform,
                                      const ProgressSink& progress) {
  Reporter reporter(progress);
  absl::StatusOr<ArchiveFiles> files =
      ArchiveFiles::Read(&store->blobs(), fd, &reporter);
  if (!files.ok()) return Annotate(files.status(), "load OCI layout");
  absl::StatusOr<Image> image = Loader(store, *std::move(files), &reporter)
                                    .RunLayout(reference, platform);
  if (!image.ok()) return Annotate(image.status(), "load OCI layout");
  return image;
}

}  // namespace bulwark::engine::image
