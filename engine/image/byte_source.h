// Streams of bytes: plain files and decompressed ones.
#ifndef ENGINE_IMAGE_BYTE_SOURCE_H_
#define ENGINE_IMAGE_BYTE_SOURCE_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::engine::image {

// Thread-compatible.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills up to `size` bytes; 0 at the end, and only there. After an error the
  // source is not used any more.
  virtual absl::StatusOr<size_t> Read(char* buffer, size_t size) = 0;
};

// Reads a descriptor, which it borrows or owns.
class FdSource final : public ByteSource {
 public:
  explicit FdSource(int fd) : fd_(fd) {}
  explicit FdSource(UniqueFd fd) : owned_(std::move(fd)), fd_(owned_.get()) {}
  absl::StatusOr<size_t> Read(char* buffer, size_t size) override;

 private:
  UniqueFd owned_;
  int fd_;
};

// Reads text that outlives it.
class StringSource final : public ByteSource {
 public:
  explicit StringSource(absl::string_view data) : rest_(data) {}
  absl::StatusOr<size_t> Read(char* buffer, size_t size) override;

 private:
  absl::string_view rest_;
};

enum class Compression { kNone, kGzip, kZstd };

// By the first bytes of a stream, at least four of them.
Compression CompressionOf(absl::string_view head);

// Decompresses what another source gives.
class Decompressor : public ByteSource {
 public:
  virtual Compression compression() const = 0;
  // Bytes taken from the input so far.
  virtual int64_t input_bytes() const = 0;
};

// Tells gzip (several members too), zstd (several frames too) and plain data
// apart by the first bytes. Damaged or cut input is DATA_LOSS when reached.
// Takes ownership of `input`.
absl::StatusOr<std::unique_ptr<Decompressor>> NewDecompressor(
    std::unique_ptr<ByteSource> input);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_BYTE_SOURCE_H_
