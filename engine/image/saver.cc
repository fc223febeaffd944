#include "engine/image/saver.h"

#include <unistd.h>

#include <cerrno>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/byte_source.h"
#include "engine/image/index_content.h"
#include "engine/image/json.h"
#include "engine/image/reference.h"
#include "engine/image/tar_writer.h"

namespace bulwark::engine::image {
namespace {

constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr char kImageName[] = "io.containerd.image.name";

std::string BlobName(absl::string_view digest) {
  return absl::StrCat("blobs/sha256/", HexOf(digest));
}

absl::Status Damaged(absl::string_view digest, absl::string_view problem) {
  return absl::DataLossError(
      absl::StrCat("content ", digest, " ", problem,
                   "; `ctl verify --repair` fetches it again"));
}

// One archive in the making.
class Saver {
 public:
  Saver(ImageStore* store, const SaveOptions& options, int fd,
        Reporter* reporter)
      : store_(store),
        options_(options),
        fd_(fd),
        reporter_(reporter),
        lease_(store),
        tar_([this](absl::string_view data) { return Write(data); }) {}

  absl::Status Run(const std::vector<SaveItem>& items) {
    for (const SaveItem& item : items) RETURN_IF_ERROR(Add(item));
    RETURN_IF_ERROR(Folder("blobs/"));
    RETURN_IF_ERROR(Folder("blobs/sha256/"));
    for (const auto& [digest, size] : blobs_) {
      RETURN_IF_ERROR(Blob(digest, size));
    }
    RETURN_IF_ERROR(
        Text("index.json", Dump(Json{{"schemaVersion", 2},
                                     {"mediaType", kOciIndex},
                                     {"manifests", std::move(index_)}})));
    // Without an image for this host it is a layout alone.
    if (options_.docker_archive && !docker_.empty()) {
      RETURN_IF_ERROR(Text("manifest.json", Dump(docker_)));
    }
    RETURN_IF_ERROR(
        Text("oci-layout", Dump(Json{{"imageLayoutVersion", "1.0.0"}})));
    return tar_.Finish();
  }

 private:
  // Takes an image in, and holds what it needs.
  absl::Status Add(const SaveItem& item) {
    std::string type;
    if (options_.all_platforms) {
      ASSIGN_OR_RETURN(type, NeedTree(item));
    } else {
      lease_.Hold(item.digest);
      RETURN_IF_ERROR(store_->Get(item.digest).status());
      ASSIGN_OR_RETURN(type, NeedImage(item.digest, item.names));
    }
    Json entry = {{"mediaType", type},
                  {"digest", item.digest},
                  {"size", blobs_[item.digest]}};
    if (item.names.empty()) index_.push_back(entry);
    for (const std::string& name : item.names) {
      ASSIGN_OR_RETURN(const Reference reference, ParseReference(name));
      entry["annotations"] = {{kImageName, name}, {kRefName, reference.tag}};
      index_.push_back(entry);
    }
    return absl::OkStatus();
  }

  // The media type of what it is.
  absl::StatusOr<std::string> NeedTree(const SaveItem& item) {
    const std::string name = item.names.empty() ? item.digest : item.names[0];
    ASSIGN_OR_RETURN(const IndexTree tree,
                     HoldTree(store_, &lease_, item.digest, name));
    for (const IndexNode& node : tree.nodes) {
      RETURN_IF_ERROR(Need(node.descriptor.digest));
    }
    for (const auto& [digest, blob] : tree.blobs) RETURN_IF_ERROR(Need(digest));
    // Readers of docker-archives find the image that runs here.
    if (!item.image.empty() && blobs_.count(item.image) > 0) {
      RETURN_IF_ERROR(NeedImage(item.image, item.names).status());
    }
    return tree.nodes.back().descriptor.media_type;
  }

  absl::StatusOr<std::string> NeedImage(const std::string& digest,
                                        const std::vector<std::string>& names) {
    ASSIGN_OR_RETURN(const std::string text,
                     store_->blobs().ReadAll(digest, kMaxManifestBytes));
    ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(text));
    Json layers = Json::array();
    RETURN_IF_ERROR(Need(digest));
    RETURN_IF_ERROR(Need(manifest.config.digest));
    for (const Descriptor& layer : manifest.layers) {
      RETURN_IF_ERROR(Need(layer.digest));
      layers.push_back(BlobName(layer.digest));
    }
    docker_.push_back(Json{{"Config", BlobName(manifest.config.digest)},
                           {"RepoTags", names},
                           {"Layers", std::move(layers)}});
    return DocumentType(text, kOciManifest);
  }

  absl::Status Need(const std::string& digest) {
    const absl::StatusOr<int64_t> size = store_->blobs().Size(digest);
    if (absl::IsNotFound(size.status())) return Damaged(digest, "is missing");
    RETURN_IF_ERROR(size.status());
    blobs_[digest] = *size;
    return absl::OkStatus();
  }

  absl::Status Write(absl::string_view data) {
    while (!data.empty()) {
      RETURN_IF_ERROR(reporter_->Check());
      const ssize_t n = write(fd_, data.data(), data.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EPIPE) {
        return absl::CancelledError("whoever read the archive has gone");
      }
      if (n < 0) return ErrnoStatus("write", "the archive");
      data.remove_prefix(static_cast<size_t>(n));
    }
    return absl::OkStatus();
  }

  absl::Status Folder(const std::string& path) {
    TarEntry entry;
    entry.type = TarEntry::Type::kDirectory;
    entry.path = path;
    entry.mode = 0755;
    return tar_.Begin(entry);
  }

  absl::Status BeginFile(const std::string& path, int64_t size) {
    TarEntry entry;
    entry.type = TarEntry::Type::kFile;
    entry.path = path;
    entry.mode = 0644;
    entry.size = size;
    return tar_.Begin(entry);
  }

  absl::Status Text(const std::string& path, const std::string& text) {
    RETURN_IF_ERROR(BeginFile(path, static_cast<int64_t>(text.size())));
    return tar_.Data(text);
  }

  absl::Status Blob(const std::string& digest, int64_t size) {
    RETURN_IF_ERROR(BeginFile(BlobName(digest), size));
    ASSIGN_OR_RETURN(const UniqueFd fd, store_->blobs().Read(digest));
    FdSource source(fd.get());
    Sha256 hash;
    buffer_.resize(256 << 10);
    int64_t done = 0;
    while (done < size) {
      ASSIGN_OR_RETURN(const size_t n,
                       source.Read(buffer_.data(), buffer_.size()));
      if (n == 0) return Damaged(digest, "is shorter than it was");
      const absl::string_view data(buffer_.data(), n);
      hash.Update(data);
      done += static_cast<int64_t>(n);
      if (done > size) return Damaged(digest, "is longer than it was");
      RETURN_IF_ERROR(tar_.Data(data));
      reporter_->Report(digest, "saving", done, size);
    }
    if (hash.Digest() != digest) return Damaged(digest, "is damaged on disk");
    return absl::OkStatus();
  }

  ImageStore* const store_;
  const SaveOptions& options_;
  const int fd_;
  Reporter* const reporter_;
  ImageStore::Lease lease_;
  std::map<std::string, int64_t> blobs_;  // digest -> size
  Json index_ = Json::array();
  Json docker_ = Json::array();
  std::vector<char> buffer_;
  TarWriter tar_;
};

}  // namespace

absl::Status SaveImages(ImageStore* store, const std::vector<SaveItem>& items,
                        const SaveOptions& options, int fd,
                        Reporter* reporter) {
  if (items.empty()) {
    return absl::InvalidArgumentError("save images: name at least one");
  }
  return Annotate(Saver(store, options, fd, reporter).Run(items),
                  "save images");
}

}  // namespace bulwark::engine::image
