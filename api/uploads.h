// What clients send, on disk while it is worked on.
#ifndef API_UPLOADS_H_
#define API_UPLOADS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/entropy.h"
#include "base/unique_fd.h"

namespace bulwark::api {

// A file without a name: it goes with its descriptor, whatever happens.
// Thread-compatible.
class UploadFile {
 public:
  // More than `limit` bytes are refused.
  UploadFile(UniqueFd fd, int64_t limit) : fd_(std::move(fd)), limit_(limit) {}

  // RESOURCE_EXHAUSTED if it grows above the limit, or the disk is full.
  absl::Status Append(absl::string_view data);
  // To the start, for reading.
  absl::Status Rewind();

  int fd() const { return fd_.get(); }
  int64_t size() const { return size_; }

 private:
  UniqueFd fd_;
  const int64_t limit_;
  int64_t size_ = 0;
};

// A directory, removed with all it holds on destruction. Thread-compatible.
class UploadDir {
 public:
  explicit UploadDir(std::string path) : path_(std::move(path)) {}
  UploadDir(const UploadDir&) = delete;
  UploadDir& operator=(const UploadDir&) = delete;
  ~UploadDir();
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// The folder that both lie in. Thread-safe.
class Uploads {
 public:
  // `entropy` must outlive this object.
  Uploads(const std::string& state_dir, Entropy& entropy)
      : path_(state_dir + "/uploads"), entropy_(entropy) {}

  // Makes the folder, 0700, and removes what a crash left in it.
  absl::Status Prepare();

  absl::StatusOr<UploadFile> NewFile(int64_t limit);
  absl::StatusOr<std::unique_ptr<UploadDir>> NewDir();

 private:
  const std::string path_;
  Entropy& entropy_;
};

}  // namespace bulwark::api

#endif  // API_UPLOADS_H_
