// A gzip stream into an ingest, through isa-l.
#ifndef ENGINE_BUILD_GZIP_SINK_H_
#define ENGINE_BUILD_GZIP_SINK_H_

#include <isa-l/igzip_lib.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "engine/image/blob_store.h"
#include "engine/image/digest.h"

namespace bulwark::engine::build {

// Thread-compatible. `to` is borrowed.
class GzipSink {
 public:
  explicit GzipSink(image::Ingest* to);
  GzipSink(const GzipSink&) = delete;
  GzipSink& operator=(const GzipSink&) = delete;

  absl::Status Write(absl::string_view data);
  // Ends the stream; call once.
  absl::Status Finish();
  // The digest of what was written, uncompressed; call once, after Finish().
  std::string Digest() { return hash_.Digest(); }

 private:
  absl::Status Deflate(absl::string_view data, bool last);

  image::Ingest* to_;
  image::Sha256 hash_;
  std::vector<uint8_t> level_buffer_;
  std::vector<uint8_t> out_;
  isal_zstream stream_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_GZIP_SINK_H_
