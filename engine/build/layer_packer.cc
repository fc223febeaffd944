#include "engine/build/layer_packer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/layer_sink.h"
#include "engine/build/tar_writer.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

// What unpacking takes, too; each level holds a descriptor.
constexpr int kMaxDepth = 256;

bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

// Writes one tree; see PackLayer.
class Packer {
 public:
  Packer(TarWriter* tar, const std::function<bool()>& cancelled)
      : tar_(*tar), cancelled_(cancelled) {}

  absl::Status Directory(int dir_fd, const std::string& path) {
    if (std::count(path.begin(), path.end(), '/') >= kMaxDepth) {
      return absl::FailedPreconditionError(
          absl::StrCat("pack layer: directories deeper than ", kMaxDepth));
    }
    ASSIGN_OR_RETURN(std::vector<std::string> names,
                     os::ListDirFd(dir_fd, path));
    for (const std::string& name : names) {
      if (cancelled_ != nullptr && cancelled_()) {
        return absl::CancelledError("cancelled");
      }
      RETURN_IF_ERROR(
          Child(dir_fd, name, path.empty() ? name : path + "/" + name));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Child(int parent, const std::string& name,
                     const std::string& path) {
    struct stat st;
    if (fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoStatus("stat", path);
    }
    if (IsWhiteout(st)) {
      return tar_.Mark(
          path.substr(0, path.size() - name.size()) + ".wh." + name, st);
    }
    if (absl::StartsWith(name, ".wh.")) {
      return absl::FailedPreconditionError(absl::StrCat(
          "pack /", path, ": a layer cannot hold a file of this name"));
    }
    if (S_ISDIR(st.st_mode)) return Subdirectory(parent, name, path, st);
    ASSIGN_OR_RETURN(const bool linked, tar_.HardLink(path, st));
    if (linked) return absl::OkStatus();
    if (S_ISREG(st.st_mode)) return File(parent, name, path, st);
    if (S_ISLNK(st.st_mode)) {
      char target[PATH_MAX];
      ssize_t n = readlinkat(parent, name.c_str(), target, sizeof(target));
      if (n < 0) return ErrnoStatus("read link", path);
      return tar_.Symlink(path, st, std::string(target, n));
    }
    return S_ISFIFO(st.st_mode) ? tar_.Fifo(path, st) : absl::OkStatus();
  }

  absl::Status Subdirectory(int parent, const std::string& name,
                            const std::string& path, const struct stat& st) {
    UniqueFd fd(openat(parent, name.c_str(),
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.ok()) return ErrnoStatus("open", path);
    ASSIGN_OR_RETURN(bool opaque, tar_.Directory(path, st, fd.get()));
    if (opaque) RETURN_IF_ERROR(tar_.Mark(path + "/.wh..wh..opq", st));
    return Directory(fd.get(), path);
  }

  absl::Status File(int parent, const std::string& name,
                    const std::string& path, const struct stat& st) {
    UniqueFd fd(openat(parent, name.c_str(),
                       O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!fd.ok()) return ErrnoStatus("open", path);
    return tar_.File(path, st, fd.get());
  }

  TarWriter& tar_;
  const std::function<bool()>& cancelled_;
};

}  // namespace

absl::StatusOr<PackedLayer> PackLayer(
    const std::string& dir, const PackOptions& options, image::BlobStore* blobs,
    const std::function<void(absl::string_view)>& hold,
    const std::function<bool()>& cancelled) {
  UniqueFd root(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", dir);
  ASSIGN_OR_RETURN(std::unique_ptr<image::Ingest> ingest, blobs->NewIngest());
  LayerSink sink(ingest.get(), options.zstd);
  TarWriter tar([&sink](absl::string_view data) { return sink.Write(data); },
                options.latest);
  RETURN_IF_ERROR(Packer(&tar, cancelled).Directory(root.get(), ""));
  RETURN_IF_ERROR(tar.Finish());
  RETURN_IF_ERROR(sink.Finish());
  PackedLayer result;
  result.diff_id = sink.Digest();
  result.entries = tar.entries();
  result.size = ingest->size();
  result.blob = ingest->Finish();
  hold(result.blob);
  hold(result.diff_id);
  RETURN_IF_ERROR(ingest->Commit(""));
  return result;
}

}  // namespace bulwark::engine::build
