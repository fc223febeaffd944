#include "engine/build/layer_sink.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::engine::build {

LayerSink::LayerSink(image::Ingest* to, bool zstd) : to_(to), out_(256 << 10) {
  if (zstd) {
    zstd_.reset(ZSTD_createCCtx());
    CHECK(zstd_ != nullptr);
    ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_compressionLevel, 3);
    ZSTD_CCtx_setParameter(zstd_.get(), ZSTD_c_checksumFlag, 1);
    return;
  }
  level_buffer_.resize(ISAL_DEF_LVL1_DEFAULT);
  isal_deflate_init(&stream_);
  stream_.level = 1;
  stream_.level_buf = level_buffer_.data();
  stream_.level_buf_size = level_buffer_.size();
  stream_.gzip_flag = IGZIP_GZIP;
  stream_.flush = NO_FLUSH;
}

absl::Status LayerSink::Write(absl::string_view data) {
  hash_.Update(data);
  return Compress(data, /*last=*/false);
}

absl::Status LayerSink::Finish() { return Compress("", /*last=*/true); }

absl::Status LayerSink::Compress(absl::string_view data, bool last) {
  return zstd_ != nullptr ? Zstd(data, last) : Deflate(data, last);
}

absl::Status LayerSink::Deflate(absl::string_view data, bool last) {
  stream_.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(data.data()));
  stream_.avail_in = data.size();
  stream_.end_of_stream = last ? 1 : 0;
  do {
    stream_.next_out = out_.data();
    stream_.avail_out = out_.size();
    int result = isal_deflate(&stream_);
    if (result != COMP_OK) {
      return absl::InternalError(absl::StrCat("compress: error ", result));
    }
    RETURN_IF_ERROR(
        to_->Write(absl::string_view(reinterpret_cast<const char*>(out_.data()),
                                     out_.size() - stream_.avail_out)));
  } while (stream_.avail_in > 0 || stream_.avail_out == 0);
  return absl::OkStatus();
}

absl::Status LayerSink::Zstd(absl::string_view data, bool last) {
  ZSTD_inBuffer in = {data.data(), data.size(), 0};
  for (;;) {
    ZSTD_outBuffer out = {out_.data(), out_.size(), 0};
    const size_t left = ZSTD_compressStream2(
        zstd_.get(), &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left) != 0) {
      return absl::InternalError(
          absl::StrCat("compress: ", ZSTD_getErrorName(left)));
    }
    RETURN_IF_ERROR(to_->Write(absl::string_view(
        reinterpret_cast<const char*>(out_.data()), out.pos)));
    if (last ? left == 0 : in.pos == in.size) return absl::OkStatus();
  }
}

}  // namespace bulwark::engine::build
