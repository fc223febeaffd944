// Content-addressed files: STATE/blobs/sha256/<hex>.
//
// A blob is visible only when it is complete, verified and durable: it is
// written to STATE/ingest, hashed on the way, flushed, renamed into place, and
// the directory flushed. What a crash leaves in STATE/ingest is removed at the
// next Open.
#ifndef ENGINE_IMAGE_BLOB_STORE_H_
#define ENGINE_IMAGE_BLOB_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "engine/image/digest.h"

namespace bulwark::engine::image {

class BlobStore;

// A blob on its way in. Its file is removed on destruction unless Commit()
// succeeded. Thread-compatible, but for WriteAt(); must not outlive its store.
class Ingest {
 public:
  ~Ingest();
  Ingest(const Ingest&) = delete;
  Ingest& operator=(const Ingest&) = delete;

  absl::Status Write(absl::string_view data);
  // Writes ahead of time, beyond size(), where Advance() is to reach; not where
  // others do. Thread-safe.
  absl::Status WriteAt(int64_t offset, absl::string_view data);
  // Takes what was written ahead, up to `end`, as if it were written now.
  absl::Status Advance(int64_t end);
  // Forgets what was written so far, ahead too.
  absl::Status Restart();
  int64_t size() const { return size_; }

  // Ends writing and closes the file; the digest of what was written. Many
  // finished ingests may wait for their Commit without holding descriptors.
  const std::string& Finish();

  // Makes the blob visible under its digest. DATA_LOSS, naming both digests,
  // if `expected` is not empty and not the digest of what was written.
  absl::Status Commit(absl::string_view expected);

  const std::string& path() const { return path_; }

 private:
  friend class BlobStore;
  Ingest(BlobStore* store, std::string path, UniqueFd fd);

  BlobStore* store_;
  std::string path_;
  UniqueFd fd_;
  std::unique_ptr<Sha256> hash_;
  std::string digest_;  // once finished
  int64_t size_ = 0;
};

// Thread-safe.
class BlobStore {
 public:
  // `state_dir` is created if need be, mode 0700.
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(
      const std::string& state_dir);

  absl::StatusOr<std::unique_ptr<Ingest>> NewIngest();

  // Stores `data` under its digest, which is returned.
  absl::StatusOr<std::string> Put(absl::string_view data);

  bool Has(absl::string_view digest) const;
  // NOT_FOUND if absent.
  absl::StatusOr<UniqueFd> Read(absl::string_view digest) const;
  absl::StatusOr<int64_t> Size(absl::string_view digest) const;
  // The whole blob, its digest checked again. DATA_LOSS if it changed on disk:
  // it is removed then, so that it can come again.
  absl::StatusOr<std::string> ReadAll(absl::string_view digest,
                                      int64_t max_bytes) const;
  std::vector<std::string> List() const;
  // The same check alone, for blobs of any size.
  absl::Status Verify(absl::string_view digest) const;
  // The digest of what the blob holds now; nothing is removed. `on_bytes` is
  // told of each piece, may be null, and ends the reading with CANCELLED.
  absl::StatusOr<std::string> Rehash(
      absl::string_view digest,
      const std::function<bool(int64_t)>& on_bytes) const;
  // Hides the blob, so that it can come anew; its path meanwhile.
  absl::StatusOr<std::string> SetAside(absl::string_view digest);
  // Removes what was set aside; it comes back if nothing took its place.
  absl::Status EndAside(const std::string& path,
                        absl::string_view digest) const;
  absl::Status Remove(absl::string_view digest) const;

  // A new directory in STATE/ingest, mode 0700, for layers in the making. The
  // caller removes it, or renames it away.
  absl::StatusOr<std::string> NewTemporaryDirectory();

 private:
  friend class Ingest;
  explicit BlobStore(std::string state_dir);
  std::string PathOf(absl::string_view digest) const;
  std::string NextTemporaryPath();

  const std::string state_dir_;
  const std::string blob_dir_;
  std::atomic<uint64_t> counter_{0};
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_BLOB_STORE_H_
