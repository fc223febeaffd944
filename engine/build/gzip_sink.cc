#include "engine/build/gzip_sink.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace bulwark::engine::build {

GzipSink::GzipSink(image::Ingest* to)
    : to_(to), level_buffer_(ISAL_DEF_LVL1_DEFAULT), out_(256 << 10) {
  isal_deflate_init(&stream_);
  stream_.level = 1;
  stream_.level_buf = level_buffer_.data();
  stream_.level_buf_size = level_buffer_.size();
  stream_.gzip_flag = IGZIP_GZIP;
  stream_.flush = NO_FLUSH;
}

absl::Status GzipSink::Write(absl::string_view data) {
  hash_.Update(data);
  return Deflate(data, /*last=*/false);
}

absl::Status GzipSink::Finish() { return Deflate("", /*last=*/true); }

absl::Status GzipSink::Deflate(absl::string_view data, bool last) {
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

}  // namespace bulwark::engine::build
