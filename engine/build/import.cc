#include "engine/build/import.h"

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/changes.h"
#include "engine/build/image_writer.h"
#include "engine/build/layer_sink.h"
#include "engine/image/byte_source.h"
#include "engine/image/digest.h"
#include "engine/image/layer_store.h"

namespace bulwark::engine::build {
namespace {

constexpr size_t kMagicBytes = 4;

// Gives on what it reads, and keeps it: compressed as it is, else as gzip.
class KeepingSource final : public image::ByteSource {
 public:
  KeepingSource(int fd, image::Ingest* blob, image::Reporter* reporter)
      : source_(fd), blob_(blob), reporter_(reporter) {}

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    size_t n = 0;
    // A pipe may give less than the first bytes that tell formats apart.
    do {
      ASSIGN_OR_RETURN(const size_t got, source_.Read(buffer + n, size - n));
      if (got == 0) break;
      n += got;
    } while (bytes_ == 0 && n < kMagicBytes && n < size);
    const absl::string_view data(buffer, n);
    if (bytes_ == 0) {
      const absl::StatusOr<image::Compression> is = Kind(data);
      if (!is.ok()) return is.status();
      compression_ = *is;
      if (compression_ == image::Compression::kNone)
        gzip_.emplace(blob_, /*zstd=*/false);
    }
    bytes_ += static_cast<int64_t>(n);
    if (n > 0) {
      RETURN_IF_ERROR(gzip_.has_value() ? gzip_->Write(data)
                                        : blob_->Write(data));
      reporter_->Report("layer", "unpacking", bytes_);
    }
    return n;
  }

  absl::Status Finish() {
    return gzip_.has_value() ? gzip_->Finish() : absl::OkStatus();
  }
  const char* media_type() const {
    return compression_ == image::Compression::kZstd ? image::kOciLayerZstd
                                                     : image::kOciLayerGzip;
  }

 private:
  static absl::StatusOr<image::Compression> Kind(absl::string_view head) {
    if (head.empty()) {
      return absl::InvalidArgumentError("the archive is empty");
    }
    return image::CompressionOf(head);
  }

  image::FdSource source_;
  image::Ingest* const blob_;
  image::Reporter* const reporter_;
  std::optional<LayerSink> gzip_;
  image::Compression compression_ = image::Compression::kNone;
  int64_t bytes_ = 0;
};

// Hands on what it borrows.
class BorrowedSource final : public image::ByteSource {
 public:
  explicit BorrowedSource(image::ByteSource* source) : source_(source) {}
  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    return source_->Read(buffer, size);
  }

 private:
  image::ByteSource* const source_;
};

absl::StatusOr<BuiltLayer> StoreLayer(BuildContext* context, int fd) {
  image::ImageStore& store = *context->options.store;
  ASSIGN_OR_RETURN(std::unique_ptr<image::Ingest> blob,
                   store.blobs().NewIngest());
  KeepingSource source(fd, blob.get(), context->reporter);
  absl::StatusOr<std::unique_ptr<image::PendingLayer>> layer =
      store.layers().Unpack(std::make_unique<BorrowedSource>(&source), "",
                            image::UnpackLimits(), context->Cancelled());
  if (absl::IsDataLoss(layer.status())) {
    return absl::InvalidArgumentError(absl::StrCat(
        layer.status().message(),
        "; the archive must be a tar of a root file system: plain, gzip or"
        " zstd"));
  }
  RETURN_IF_ERROR(layer.status());
  RETURN_IF_ERROR(source.Finish());
  BuiltLayer result;
  result.diff_id = (*layer)->result().diff_id;
  result.blob.media_type = source.media_type();
  result.blob.size = blob->size();
  result.blob.digest = blob->Finish();
  // The only layer: its chain id is its diff id.
  context->lease->Hold(result.blob.digest);
  context->lease->Hold(result.diff_id);
  RETURN_IF_ERROR(blob->Commit(""));
  ASSIGN_OR_RETURN(result.directory, store.layers().Commit(*std::move(layer),
                                                           result.diff_id, {}));
  return result;
}

absl::StatusOr<Image> Run(const BuilderOptions& options,
                          const ImportRequest& request, int fd,
                          const ProgressSink& progress) {
  std::vector<std::string> names;
  if (!request.reference.empty()) {
    ASSIGN_OR_RETURN(names, ParseTags({request.reference}));
  }
  ASSIGN_OR_RETURN(const std::vector<Instruction> changes,
                   ParseChanges(request.changes));
  StageImage image;
  ASSIGN_OR_RETURN(image.config.platform,
                   image::ParsePlatform(request.platform));
  image::Reporter reporter(progress);
  image::ImageStore::Lease lease(options.store);
  const BuildRequest build;
  BuildContext context{options, build, &reporter, &lease};
  Dockerfile file;
  file.name = kChangeName;
  context.file = &file;
  context.file_name = kChangeName;
  ASSIGN_OR_RETURN(BuiltLayer layer, StoreLayer(&context, fd));
  image.layers.push_back(std::move(layer));
  image.config.create_time = options.clock->Now();
  image.config.history.push_back(
      {absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", image.config.create_time,
                        absl::UTCTimeZone()),
       "import", request.message, false});
  RETURN_IF_ERROR(ApplyChanges(&context, changes, &image));
  return StoreImage(options.store, &lease, std::move(image), names);
}

}  // namespace

absl::StatusOr<Image> ImportImage(const BuilderOptions& options,
                                  const ImportRequest& request, int fd,
                                  const ProgressSink& progress) {
  absl::StatusOr<Image> image = Run(options, request, fd, progress);
  if (image.ok()) return image;
  return Annotate(image.status(), "import image");
}

}  // namespace bulwark::engine::build
