// The files of an image archive, kept outside memory and found by name.
#ifndef ENGINE_IMAGE_ARCHIVE_FILES_H_
#define ENGINE_IMAGE_ARCHIVE_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/blob_store.h"
#include "engine/image/progress.h"

namespace bulwark::engine::image {

// Thread-compatible. Its files go away with it, unless they were committed.
class ArchiveFiles {
 public:
  // Reads a tar, plain or compressed, to its end.
  static absl::StatusOr<ArchiveFiles> Read(BlobStore* blobs, int fd,
                                           Reporter* reporter);

  bool Has(absl::string_view name) const { return Find(name) != nullptr; }
  // The contents of a small file. INVALID_ARGUMENT if there is none.
  absl::StatusOr<std::string> Text(absl::string_view name,
                                   int64_t max_bytes) const;
  // Makes the file a blob; its digest. May be called again.
  absl::StatusOr<std::string> Commit(absl::string_view name);
  absl::StatusOr<int64_t> Size(absl::string_view name) const;
  absl::StatusOr<std::string> Digest(absl::string_view name) const;

 private:
  struct File {
    std::unique_ptr<Ingest> ingest;  // null once committed
    std::string digest;
    int64_t size = 0;
  };
  explicit ArchiveFiles(BlobStore* blobs) : blobs_(blobs) {}
  // Follows links, which old archives use for layers that occur twice.
  const std::string* Find(absl::string_view name) const;
  absl::Status Missing(absl::string_view name) const;

  BlobStore* blobs_;
  std::map<std::string, File> files_;
  std::map<std::string, std::string> links_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_ARCHIVE_FILES_H_
