#include "engine/build/file_tree.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>
#include <deque>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr int kMaxLinks = 40;

std::deque<std::string> Split(absl::string_view path) {
  return absl::StrSplit(path, '/', absl::SkipEmpty());
}

std::string Join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : absl::StrCat(directory, "/", name);
}

std::string ParentOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// "" is not a path for openat2.
std::string Dotted(const std::string& path) {
  return path.empty() ? "." : path;
}

bool IsWhiteout(const struct stat& st) {
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

}  // namespace

absl::StatusOr<FileTree> FileTree::Open(
    const std::vector<std::string>& layers) {
  FileTree tree;
  for (const std::string& path : layers) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.ok()) return ErrnoStatus("open directory", path);
    tree.layers_.push_back(std::move(fd));
  }
  return tree;
}

absl::StatusOr<FileTree::Node> FileTree::Root() const {
  Node root;
  root.stat.st_mode = S_IFDIR | 0755;
  for (size_t i = layers_.size(); i-- > 0;) root.below.push_back(i);
  if (layers_.empty()) return root;
  root.layer = layers_.size() - 1;
  if (fstat(layers_.back().get(), &root.stat) != 0) {
    return ErrnoStatus("stat", "/");
  }
  return root;
}

absl::StatusOr<FileTree::Node> FileTree::Child(const Node& directory,
                                               const std::string& name) const {
  Node node;
  node.path = Join(directory.path, name);
  bool found = false;
  for (size_t layer : directory.below) {
    absl::StatusOr<UniqueFd> fd =
        os::OpenInRoot(layers_[layer].get(), node.path, O_PATH | O_NOFOLLOW);
    if (absl::IsNotFound(fd.status())) continue;
    if (!fd.ok()) return fd.status();
    struct stat st;
    if (fstat(fd->get(), &st) != 0) return ErrnoStatus("stat", node.path);
    if (IsWhiteout(st) || (found && !S_ISDIR(st.st_mode))) break;
    if (!found) {
      node.stat = st;
      node.layer = layer;
      found = true;
      if (!S_ISDIR(st.st_mode)) break;
    }
    node.below.push_back(layer);
    // Through /proc: an O_PATH descriptor has no attributes.
    std::string path = absl::StrCat("/proc/self/fd/", fd->get());
    char value = 0;
    if (getxattr(path.c_str(), "trusted.overlay.opaque", &value, 1) == 1 &&
        value == 'y') {
      break;
    }
  }
  if (!found) {
    return absl::NotFoundError(absl::StrCat("/", node.path, ": not found"));
  }
  return node;
}

absl::StatusOr<FileTree::Node> FileTree::Lookup(const std::string& path,
                                                bool follow) const {
  std::deque<std::string> rest = Split(path);
  ASSIGN_OR_RETURN(Node node, Root());
  int links = 0;
  while (!rest.empty()) {
    std::string name = std::move(rest.front());
    rest.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      ASSIGN_OR_RETURN(node, Lookup(ParentOf(node.path), false));
      continue;
    }
    if (!node.IsDirectory()) {
      return absl::FailedPreconditionError(
          absl::StrCat("/", node.path, ": not a directory"));
    }
    ASSIGN_OR_RETURN(Node child, Child(node, name));
    if (!S_ISLNK(child.stat.st_mode) || (rest.empty() && !follow)) {
      node = std::move(child);
      continue;
    }
    if (++links > kMaxLinks) {
      return absl::FailedPreconditionError(
          absl::StrCat("/", path, ": too many links"));
    }
    ASSIGN_OR_RETURN(std::string target, ReadLink(child));
    if (absl::StartsWith(target, "/")) {
      ASSIGN_OR_RETURN(node, Root());
    }
    std::deque<std::string> parts = Split(target);
    rest.insert(rest.begin(), parts.begin(), parts.end());
  }
  return node;
}

absl::StatusOr<std::string> FileTree::Resolve(const std::string& path) const {
  std::deque<std::string> rest = Split(path);
  std::string done;
  int links = 0;
  while (!rest.empty()) {
    std::string name = std::move(rest.front());
    rest.pop_front();
    if (name == ".") continue;
    if (name == "..") {
      done = ParentOf(done);
      continue;
    }
    std::string next = Join(done, name);
    absl::StatusOr<Node> node = Lookup(next, false);
    if (!node.ok() || !S_ISLNK(node->stat.st_mode)) {
      done = std::move(next);
      continue;
    }
    if (++links > kMaxLinks) {
      return absl::FailedPreconditionError(
          absl::StrCat("/", path, ": too many links"));
    }
    ASSIGN_OR_RETURN(std::string target, ReadLink(*node));
    if (absl::StartsWith(target, "/")) done.clear();
    std::deque<std::string> parts = Split(target);
    rest.insert(rest.begin(), parts.begin(), parts.end());
  }
  return done;
}

absl::StatusOr<std::vector<FileTree::Node>> FileTree::List(
    const Node& directory) const {
  std::set<std::string> names;
  for (size_t layer : directory.below) {
    ASSIGN_OR_RETURN(
        UniqueFd fd,
        os::OpenInRoot(layers_[layer].get(), Dotted(directory.path),
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    ASSIGN_OR_RETURN(std::vector<std::string> entries,
                     os::ListDirFd(fd.get(), directory.path));
    names.insert(entries.begin(), entries.end());
  }
  std::vector<Node> result;
  for (const std::string& name : names) {
    absl::StatusOr<Node> child = Child(directory, name);
    if (absl::IsNotFound(child.status())) continue;  // hidden by a whiteout
    if (!child.ok()) return child.status();
    result.push_back(*std::move(child));
  }
  return result;
}

absl::StatusOr<UniqueFd> FileTree::OpenFile(const Node& node) const {
  ASSIGN_OR_RETURN(UniqueFd fd,
                   os::OpenInRoot(layers_[node.layer].get(), Dotted(node.path),
                                  O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus("stat", node.path);
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("open /", node.path, ": not a file or directory"));
  }
  return fd;
}

absl::StatusOr<std::string> FileTree::ReadLink(const Node& node) const {
  ASSIGN_OR_RETURN(UniqueFd fd, os::OpenInRoot(layers_[node.layer].get(),
                                               node.path, O_PATH | O_NOFOLLOW));
  char target[PATH_MAX];
  ssize_t n = readlinkat(fd.get(), "", target, sizeof(target));
  if (n < 0) return ErrnoStatus("read link", node.path);
  return std::string(target, n);
}

}  // namespace bulwark::engine::build
