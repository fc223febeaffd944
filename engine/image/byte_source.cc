#include "engine/image/byte_source.h"

#include <isa-l/igzip_lib.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kChunk = 256 << 10;
// A frame that needs a larger window is refused: the image formats allow no
// more than zstd's own default for decoders (2^27).
constexpr int kMaxZstdWindowLog = 27;

// The input as chunks, with the bytes that were looked at first.
class Input {
 public:
  explicit Input(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), buffer_(kChunk) {}

  // Makes rest() non-empty unless the source has ended.
  absl::Status Fill() {
    if (begin_ < end_ || ended_) return absl::OkStatus();
    begin_ = 0;
    ASSIGN_OR_RETURN(end_, source_->Read(buffer_.data(), buffer_.size()));
    taken_ += end_;
    ended_ = end_ == 0;
    return absl::OkStatus();
  }
  // Reads until `n` bytes are there or the source has ended.
  absl::Status Peek(size_t n) {
    while (end_ < n && !ended_) {
      ASSIGN_OR_RETURN(size_t got, source_->Read(buffer_.data() + end_,
                                                 buffer_.size() - end_));
      end_ += got;
      taken_ += got;
      ended_ = got == 0;
    }
    return absl::OkStatus();
  }
  absl::string_view rest() const {
    return absl::string_view(buffer_.data() + begin_, end_ - begin_);
  }
  void Consume(size_t n) { begin_ += n; }
  bool AtEnd() const { return ended_ && begin_ == end_; }
  int64_t taken() const { return taken_; }

 private:
  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool ended_ = false;
  int64_t taken_ = 0;
};

class PlainSource final : public Decompressor {
 public:
  explicit PlainSource(Input input) : input_(std::move(input)) {}
  Compression compression() const override { return Compression::kNone; }
  int64_t input_bytes() const override { return input_.taken(); }
  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    RETURN_IF_ERROR(input_.Fill());
    absl::string_view rest = input_.rest();
    size_t n = std::min(size, rest.size());
    std::memcpy(buffer, rest.data(), n);
    input_.Consume(n);
    return n;
  }

 private:
  Input input_;
};

class GzipSource final : public Decompressor {
 public:
  explicit GzipSource(Input input) : input_(std::move(input)) { Reset(); }
  Compression compression() const override { return Compression::kGzip; }
  int64_t input_bytes() const override { return input_.taken(); }

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    while (!finished_) {
      RETURN_IF_ERROR(input_.Fill());
      ASSIGN_OR_RETURN(size_t n, Inflate(buffer, size));
      if (state_.block_state == ISAL_BLOCK_FINISH) {
        RETURN_IF_ERROR(EndMember());
      } else if (n == 0 && input_.AtEnd()) {
        return absl::DataLossError("decompress gzip: the data ends too early");
      }
      if (n > 0) return n;
    }
    return size_t{0};
  }

 private:
  void Reset() {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
  }

  absl::StatusOr<size_t> Inflate(char* buffer, size_t size) {
    absl::string_view rest = input_.rest();
    state_.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(rest.data()));
    state_.avail_in = rest.size();
    state_.next_out = reinterpret_cast<uint8_t*>(buffer);
    state_.avail_out = std::min(size, size_t{1} << 30);
    uint32_t room = state_.avail_out;
    int result = isal_inflate(&state_);
    if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT) {
      return absl::DataLossError(
          absl::StrCat("decompress gzip: the data is damaged (", result, ")"));
    }
    input_.Consume(rest.size() - state_.avail_in);
    return size_t{room - state_.avail_out};
  }

  // Goes on with the next member, or ends; zeros may pad the file.
  absl::Status EndMember() {
    RETURN_IF_ERROR(input_.Fill());
    absl::string_view rest = input_.rest();
    if (!rest.empty() && static_cast<uint8_t>(rest[0]) == 0x1f) {
      Reset();
      return absl::OkStatus();
    }
    while (!input_.AtEnd()) {
      if (input_.rest().find_first_not_of('\0') != absl::string_view::npos) {
        return absl::DataLossError("decompress gzip: something follows it");
      }
      input_.Consume(input_.rest().size());
      RETURN_IF_ERROR(input_.Fill());
    }
    finished_ = true;
    return absl::OkStatus();
  }

  Input input_;
  inflate_state state_;  // set by Reset()
  bool finished_ = false;
};

class ZstdSource final : public Decompressor {
 public:
  explicit ZstdSource(Input input)
      : input_(std::move(input)), context_(ZSTD_createDCtx()) {
    CHECK(context_ != nullptr);
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax,
                           kMaxZstdWindowLog);
  }
  Compression compression() const override { return Compression::kZstd; }
  int64_t input_bytes() const override { return input_.taken(); }

  absl::StatusOr<size_t> Read(char* buffer, size_t size) override {
    ZSTD_outBuffer out = {buffer, size, 0};
    while (out.pos == 0) {
      RETURN_IF_ERROR(input_.Fill());
      if (input_.AtEnd() && !full_) {
        if (!frame_complete_) {
          return absl::DataLossError(
              "decompress zstd: the data ends too early");
        }
        return size_t{0};
      }
      ZSTD_inBuffer in = {input_.rest().data(), input_.rest().size(), 0};
      size_t result = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(result)) {
        return absl::DataLossError(
            absl::StrCat("decompress zstd: ", ZSTD_getErrorName(result)));
      }
      input_.Consume(in.pos);
      frame_complete_ = result == 0;
      full_ = out.pos == out.size;  // there may be more inside the context
    }
    return out.pos;
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  Input input_;
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  bool frame_complete_ = false;
  bool full_ = false;
};

bool IsZstd(absl::string_view head) {
  if (head.size() < 4) return false;
  uint8_t b[4];
  std::memcpy(b, head.data(), 4);
  bool frame = b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd;
  bool skippable =
      (b[0] & 0xf0) == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18;
  return frame || skippable;
}

}  // namespace

Compression CompressionOf(absl::string_view head) {
  if (absl::StartsWith(head, "\x1f\x8b")) return Compression::kGzip;
  return IsZstd(head) ? Compression::kZstd : Compression::kNone;
}

absl::StatusOr<size_t> FdSource::Read(char* buffer, size_t size) {
  for (;;) {
    ssize_t n = read(fd_, buffer, size);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return ErrnoStatus("read", "stream");
  }
}

absl::StatusOr<size_t> StringSource::Read(char* buffer, size_t size) {
  size_t n = std::min(size, rest_.size());
  std::memcpy(buffer, rest_.data(), n);
  rest_.remove_prefix(n);
  return n;
}

absl::StatusOr<std::unique_ptr<Decompressor>> NewDecompressor(
    std::unique_ptr<ByteSource> source) {
  Input input(std::move(source));
  RETURN_IF_ERROR(input.Peek(4));
  switch (CompressionOf(input.rest())) {
    case Compression::kGzip:
      return std::make_unique<GzipSource>(std::move(input));
    case Compression::kZstd:
      return std::make_unique<ZstdSource>(std::move(input));
    case Compression::kNone:
      break;
  }
  return std::make_unique<PlainSource>(std::move(input));
}

}  // namespace bulwark::engine::image
