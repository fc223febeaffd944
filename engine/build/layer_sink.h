// A compressed stream into an ingest.
#ifndef ENGINE_BUILD_LAYER_SINK_H_
#define ENGINE_BUILD_LAYER_SINK_H_

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/blob_store.h"
#include "engine/image/digest.h"

namespace bulwark::engine::build {

// Thread-compatible. The same data gives the same bytes.
class LayerSink {
 public:
  // Compresses by zstd or by gzip (isa-l). `to` is borrowed.
  LayerSink(image::Ingest* to, bool zstd);
  LayerSink(const LayerSink&) = delete;
  LayerSink& operator=(const LayerSink&) = delete;

  absl::Status Write(absl::string_view data);
  // Ends the stream; call once.
  absl::Status Finish();
  // The digest of what was written, uncompressed; call once, after Finish().
  std::string Digest() { return hash_.Digest(); }

 private:
  struct FreeZstd {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };

  absl::Status Compress(absl::string_view data, bool last);
  absl::Status Deflate(absl::string_view data, bool last);
  absl::Status Zstd(absl::string_view data, bool last);

  image::Ingest* to_;
  image::Sha256 hash_;
  std::vector<uint8_t> out_;
  std::unique_ptr<ZSTD_CCtx, FreeZstd> zstd_;  // null: gzip
  std::vector<uint8_t> level_buffer_;
  isal_zstream stream_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_LAYER_SINK_H_
