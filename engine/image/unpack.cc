#include "engine/image/unpack.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/image/tar_reader.h"
#include "engine/image/tree_writer.h"

namespace bulwark::engine::image {
namespace {

// Hashes what passes through, and holds it to the limits.
class Meter final : public ByteSource {
 public:
  Meter(Decompressor* input, const UnpackLimits& limits,
        const std::function<bool()>& cancelled)
      : input_(input), limits_(limits), cancelled_(cancelled) {}

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    if (cancelled_ != nullptr && cancelled_()) {
      return absl::CancelledError("unpack layer: cancelled");
    }
    ASSIGN_OR_RETURN(size_t n, input_->Read(buffer, size));
    hash_.Update(absl::string_view(buffer, n));
    bytes_ += n;
    if (bytes_ > limits_.max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("unpack layer: more than the limit of ",
                       limits_.max_bytes, " bytes"));
    }
    if (bytes_ > limits_.ratio_free_bytes &&
        bytes_ / limits_.max_ratio > input_->input_bytes()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("unpack layer: it grows more than ", limits_.max_ratio,
                       " times when decompressed, as only hostile images do"));
    }
    return n;
  }

  // Reads what follows the archive: the digest covers it.
  absl::Status Drain() {
    std::vector<char> buffer(64 << 10);
    for (;;) {
      ASSIGN_OR_RETURN(size_t n, Read(buffer.data(), buffer.size()));
      if (n == 0) return absl::OkStatus();
    }
  }

  int64_t bytes() const { return bytes_; }
  std::string Digest() { return hash_.Digest(); }

 private:
  Decompressor* input_;
  const UnpackLimits& limits_;
  const std::function<bool()>& cancelled_;
  Sha256 hash_;
  int64_t bytes_ = 0;
};

}  // namespace

absl::StatusOr<UnpackResult> UnpackLayer(
    Decompressor* layer, int root_fd, const UnpackLimits& limits,
    const std::function<bool()>& cancelled) {
  Meter meter(layer, limits, cancelled);
  TarReader reader(&meter);
  TreeWriter::Options options;
  options.max_depth = limits.max_depth;
  options.max_path = limits.max_path;
  TreeWriter writer(root_fd, options);
  TarEntry entry;
  for (int64_t entries = 0;; ++entries) {
    ASSIGN_OR_RETURN(bool more, reader.Next(&entry));
    if (!more) break;
    if (entries >= limits.max_entries) {
      return absl::ResourceExhaustedError(
          absl::StrCat("unpack layer: more than the limit of ",
                       limits.max_entries, " entries"));
    }
    if (entry.size > limits.max_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("unpack \"", entry.path, "\": it claims ", entry.size,
                       " bytes, the limit is ", limits.max_bytes));
    }
    RETURN_IF_ERROR(writer.Apply(entry, &reader));
  }
  RETURN_IF_ERROR(meter.Drain());
  RETURN_IF_ERROR(writer.Finish());
  UnpackResult result;
  result.diff_id = meter.Digest();
  result.tar_bytes = meter.bytes();
  result.implied_directories = writer.implied_directories();
  return result;
}

absl::Status CheckDiffId(Decompressor* layer, absl::string_view expected,
                         const UnpackLimits& limits,
                         const std::function<bool()>& cancelled) {
  Meter meter(layer, limits, cancelled);
  RETURN_IF_ERROR(meter.Drain());
  const std::string got = meter.Digest();
  return got == expected ? absl::OkStatus() : WrongDiffId(expected, got);
}

absl::Status WrongDiffId(absl::string_view expected, absl::string_view got) {
  return absl::DataLossError(
      absl::StrCat("unpacked layer does not match the image configuration:"
                   " expected diff id ",
                   expected, ", got ", got));
}

}  // namespace bulwark::engine::image
