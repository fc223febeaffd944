#include "engine/build/tree_export.h"

#include <sys/stat.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/tar_writer.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr int kMaxDepth = 256;

// Writes one tree; see ExportTree.
class Exporter {
 public:
  Exporter(const FileTree& tree, TarWriter* tar,
           const std::function<bool()>& cancelled)
      : tree_(tree), tar_(*tar), cancelled_(cancelled) {}

  absl::Status Directory(const FileTree::Node& directory, int depth) {
    if (depth > kMaxDepth) {
      return absl::FailedPreconditionError(
          absl::StrCat("export: directories deeper than ", kMaxDepth));
    }
    ASSIGN_OR_RETURN(std::vector<FileTree::Node> children,
                     tree_.List(directory));
    for (const FileTree::Node& child : children) {
      if (cancelled_ != nullptr && cancelled_()) {
        return absl::CancelledError("cancelled");
      }
      RETURN_IF_ERROR(Child(child, depth));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Child(const FileTree::Node& node, int depth) {
    const mode_t mode = node.stat.st_mode;
    if (S_ISDIR(mode)) {
      ASSIGN_OR_RETURN(UniqueFd fd, tree_.OpenFile(node));
      RETURN_IF_ERROR(tar_.Directory(node.path, node.stat, fd.get()).status());
      return Directory(node, depth + 1);
    }
    ASSIGN_OR_RETURN(const bool linked, tar_.HardLink(node.path, node.stat));
    if (linked) return absl::OkStatus();
    if (S_ISREG(mode)) {
      ASSIGN_OR_RETURN(UniqueFd fd, tree_.OpenFile(node));
      return tar_.File(node.path, node.stat, fd.get());
    }
    if (S_ISLNK(mode)) {
      ASSIGN_OR_RETURN(const std::string target, tree_.ReadLink(node));
      return tar_.Symlink(node.path, node.stat, target);
    }
    return S_ISFIFO(mode) ? tar_.Fifo(node.path, node.stat) : absl::OkStatus();
  }

  const FileTree& tree_;
  TarWriter& tar_;
  const std::function<bool()>& cancelled_;
};

}  // namespace

absl::Status ExportTree(const FileTree& tree, absl::Time latest, int fd,
                        const std::function<bool()>& cancelled) {
  TarWriter tar(
      [fd](absl::string_view data) {
        return os::WriteAll(fd, data, "the archive");
      },
      latest);
  ASSIGN_OR_RETURN(const FileTree::Node root, tree.Lookup("", true));
  RETURN_IF_ERROR(Exporter(tree, &tar, cancelled).Directory(root, 0));
  return tar.Finish();
}

}  // namespace bulwark::engine::build
