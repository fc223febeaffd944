// Unpacked layers: STATE/layers/<hex>/fs, ready to be a lower directory of an
// overlay.
//
// <hex> is that of the layer's diff id, so that images share layers; or, for a
// layer that leaves out directories it needs, that of its chain id (OCI image
// specification, "Layer ChainID"): such a directory takes its attributes from
// the layers below. A layer is visible only when it is whole and flushed.
#ifndef ENGINE_IMAGE_LAYER_STORE_H_
#define ENGINE_IMAGE_LAYER_STORE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/blob_store.h"
#include "engine/image/unpack.h"

namespace bulwark::engine::image {

// Chain ids for these diff ids, lowest first.
std::vector<std::string> ChainIds(const std::vector<std::string>& diff_ids);

// A layer that was unpacked but is not visible yet. Removed on destruction
// unless committed. Thread-compatible.
class PendingLayer {
 public:
  ~PendingLayer();
  PendingLayer(const PendingLayer&) = delete;
  PendingLayer& operator=(const PendingLayer&) = delete;

  const UnpackResult& result() const { return result_; }
  std::string directory() const { return path_ + "/fs"; }
  // True if it looks the same above any other layers.
  bool independent() const { return result_.implied_directories.empty(); }

 private:
  friend class LayerStore;
  PendingLayer(std::string path, UnpackResult result)
      : path_(std::move(path)), result_(std::move(result)) {}
  std::string path_;  // holds fs/
  UnpackResult result_;
};

// Thread-safe.
class LayerStore {
 public:
  // `blobs` is borrowed: its ingest directory holds layers in the making.
  static absl::StatusOr<std::unique_ptr<LayerStore>> Open(
      const std::string& state_dir, BlobStore* blobs);

  // The directory of a layer, or "" if it is not there.
  std::string Find(absl::string_view diff_id, absl::string_view chain_id) const;

  // Unpacks a compressed or plain tar. DATA_LOSS if its diff id is not
  // `expected` ("": any). Other errors as UnpackLayer's.
  absl::StatusOr<std::unique_ptr<PendingLayer>> Unpack(
      std::unique_ptr<ByteSource> blob, absl::string_view expected,
      const UnpackLimits& limits, const std::function<bool()>& cancelled);

  // Gives directories that the tar leaves out the attributes that they have in
  // `parents` (directories, lowest first).
  static absl::Status Settle(const PendingLayer& layer,
                             const std::vector<std::string>& parents);

  // Makes it visible, above `parents` (directories, lowest first), and returns
  // its directory. OK if another thread was first.
  absl::StatusOr<std::string> Commit(std::unique_ptr<PendingLayer> layer,
                                     absl::string_view chain_id,
                                     const std::vector<std::string>& parents);

  // Commit() in two steps, for several layers at once: Place() without the
  // flush that must come before it, and what makes the new names durable after
  // it. Flushes the whole file system.
  absl::Status Flush() const;
  absl::StatusOr<std::string> Place(std::unique_ptr<PendingLayer> layer,
                                    absl::string_view chain_id);
  absl::Status FlushNames() const;

  // Makes a directory that was filled by other means (STATE/ingest/X, holding
  // fs/) the layer with this diff id.
  absl::StatusOr<std::string> Adopt(const std::string& path,
                                    absl::string_view diff_id);

  // Names of all layers, "sha256:<hex>".
  std::vector<std::string> List() const;
  // Takes the layer away at once; the path that was moved aside is to be
  // removed with os::RemoveTree by the caller.
  absl::StatusOr<std::string> Detach(absl::string_view name);

 private:
  LayerStore(std::string dir, BlobStore* blobs)
      : dir_(std::move(dir)), blobs_(blobs) {}
  // Gives the directory its name, unless another thread was first.
  absl::StatusOr<std::string> Rename(const std::string& path,
                                     absl::string_view name);
  std::string PathOf(absl::string_view name) const;

  const std::string dir_;
  BlobStore* const blobs_;
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_LAYER_STORE_H_
