#include "engine/image/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

// Owner, mode and times of the topmost of `parents` that has this directory.
absl::Status InheritAttributes(int root, const std::string& path,
                               const std::vector<std::string>& parents) {
  for (auto it = parents.rbegin(); it != parents.rend(); ++it) {
    UniqueFd parent(open(it->c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!parent.ok()) return ErrnoStatus("open layer", *it);
    absl::StatusOr<UniqueFd> from =
        os::OpenInRoot(parent.get(), path, O_RDONLY | O_DIRECTORY);
    if (!from.ok()) continue;
    struct stat st;
    ASSIGN_OR_RETURN(UniqueFd to,
                     os::OpenInRoot(root, path, O_RDONLY | O_DIRECTORY));
    if (fstat(from->get(), &st) != 0) return ErrnoStatus("stat", path);
    if (fchown(to.get(), st.st_uid, st.st_gid) != 0 ||
        fchmod(to.get(), st.st_mode & 07777) != 0) {
      return ErrnoStatus("set owner and mode of", path);
    }
    timespec times[2] = {st.st_atim, st.st_mtim};
    if (futimens(to.get(), times) != 0) return ErrnoStatus("set time of", path);
    return absl::OkStatus();
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> ChainIds(const std::vector<std::string>& diff_ids) {
  std::vector<std::string> result;
  for (const std::string& id : diff_ids) {
    result.push_back(
        result.empty() ? id : DigestOf(absl::StrCat(result.back(), " ", id)));
  }
  return result;
}

PendingLayer::~PendingLayer() {
  if (path_.empty()) return;
  absl::Status status = os::RemoveTree(path_);
  if (!status.ok()) {
    LOG_WARN("cannot remove a layer that was not finished",
             {{"path", path_}, {"error", status}});
  }
}

absl::StatusOr<std::unique_ptr<LayerStore>> LayerStore::Open(
    const std::string& state_dir, BlobStore* blobs) {
  std::string dir = absl::StrCat(state_dir, "/layers");
  RETURN_IF_ERROR(os::MakeDirs(dir, 0700));
  RETURN_IF_ERROR(os::SyncDir(state_dir));
  return absl::WrapUnique(new LayerStore(std::move(dir), blobs));
}

std::string LayerStore::Find(absl::string_view diff_id,
                             absl::string_view chain_id) const {
  for (absl::string_view name : {diff_id, chain_id}) {
    std::string path = absl::StrCat(PathOf(name), "/fs");
    struct stat st;
    if (stat(path.c_str(), &st) == 0) return path;
  }
  return "";
}

absl::StatusOr<std::unique_ptr<PendingLayer>> LayerStore::Unpack(
    std::unique_ptr<ByteSource> blob, absl::string_view expected,
    const UnpackLimits& limits, const std::function<bool()>& cancelled) {
  ASSIGN_OR_RETURN(std::unique_ptr<Decompressor> tar,
                   NewDecompressor(std::move(blob)));
  ASSIGN_OR_RETURN(std::string path, blobs_->NewTemporaryDirectory());
  std::string fs = absl::StrCat(path, "/fs");
  // Owns the path from here on.
  auto layer = absl::WrapUnique(new PendingLayer(path, UnpackResult()));
  RETURN_IF_ERROR(os::MakeDirs(fs, 0755));
  UniqueFd root(open(fs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", fs);
  if (fchmod(root.get(), 0755) != 0) return ErrnoStatus("set mode of", fs);
  ASSIGN_OR_RETURN(layer->result_,
                   UnpackLayer(tar.get(), root.get(), limits, cancelled));
  if (!expected.empty() && layer->result_.diff_id != expected) {
    return WrongDiffId(expected, layer->result_.diff_id);
  }
  return layer;
}

absl::Status LayerStore::Settle(const PendingLayer& layer,
                                const std::vector<std::string>& parents) {
  if (layer.independent()) return absl::OkStatus();
  const std::string fs = layer.directory();
  UniqueFd root(open(fs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", fs);
  for (const std::string& path : layer.result_.implied_directories) {
    RETURN_IF_ERROR(InheritAttributes(root.get(), path, parents));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> LayerStore::Commit(
    std::unique_ptr<PendingLayer> layer, absl::string_view chain_id,
    const std::vector<std::string>& parents) {
  RETURN_IF_ERROR(Settle(*layer, parents));
  RETURN_IF_ERROR(Flush());
  ASSIGN_OR_RETURN(std::string result, Place(std::move(layer), chain_id));
  RETURN_IF_ERROR(FlushNames());
  return result;
}

absl::Status LayerStore::Flush() const { return os::SyncFs(dir_); }

absl::Status LayerStore::FlushNames() const { return os::SyncDir(dir_); }

absl::StatusOr<std::string> LayerStore::Place(
    std::unique_ptr<PendingLayer> layer, absl::string_view chain_id) {
  ASSIGN_OR_RETURN(
      std::string result,
      Rename(layer->path_,
             layer->independent() ? layer->result_.diff_id : chain_id));
  layer->path_.clear();
  return result;
}

absl::StatusOr<std::string> LayerStore::Adopt(const std::string& path,
                                              absl::string_view diff_id) {
  RETURN_IF_ERROR(Flush());
  ASSIGN_OR_RETURN(std::string result, Rename(path, diff_id));
  RETURN_IF_ERROR(FlushNames());
  return result;
}

absl::StatusOr<std::string> LayerStore::Rename(const std::string& path,
                                               absl::string_view name) {
  std::string target = PathOf(name);
  std::string fs = absl::StrCat(target, "/fs");
  if (rename(path.c_str(), target.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST) {
      return ErrnoStatus("rename to", target);
    }
    RETURN_IF_ERROR(os::RemoveTree(path));
  }
  return fs;
}

std::vector<std::string> LayerStore::List() const {
  std::vector<std::string> result;
  absl::StatusOr<std::vector<std::string>> names = os::ListDir(dir_);
  if (!names.ok()) return result;
  for (const std::string& name : *names) {
    std::string digest = absl::StrCat("sha256:", name);
    if (IsDigest(digest)) result.push_back(std::move(digest));
  }
  return result;
}

absl::StatusOr<std::string> LayerStore::Detach(absl::string_view name) {
  ASSIGN_OR_RETURN(std::string aside, blobs_->NewTemporaryDirectory());
  if (rename(PathOf(name).c_str(), aside.c_str()) != 0) {
    return ErrnoStatus("move aside layer", name);
  }
  return aside;
}

std::string LayerStore::PathOf(absl::string_view name) const {
  return absl::StrCat(dir_, "/", HexOf(name));
}

}  // namespace bulwark::engine::image
