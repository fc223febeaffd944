#include "engine/build/copy_plan.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/digest.h"

namespace bulwark::engine::build {
namespace {

constexpr int kMaxDepth = 256;

std::string Join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : absl::StrCat(directory, "/", name);
}

std::string BaseName(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool Copyable(const FileTree::Node& node) {
  return S_ISREG(node.stat.st_mode) || S_ISLNK(node.stat.st_mode) ||
         S_ISDIR(node.stat.st_mode) || S_ISFIFO(node.stat.st_mode);
}

// `path` without `base`, a directory above it.
absl::string_view Below(absl::string_view path, const std::string& base) {
  return base.empty() ? path : path.substr(base.size() + 1);
}

// Walks pattern components.
absl::Status Match(const FileTree& tree, const IgnoreList& ignored,
                   const FileTree::Node& directory,
                   const std::vector<std::string>& parts, size_t i,
                   std::vector<FileTree::Node>* result) {
  ASSIGN_OR_RETURN(std::vector<FileTree::Node> children, tree.List(directory));
  for (const FileTree::Node& child : children) {
    if (!GlobMatch(parts[i], BaseName(child.path))) continue;
    if (i + 1 < parts.size()) {
      absl::StatusOr<FileTree::Node> next = tree.Lookup(child.path, true);
      if (next.ok() && next->IsDirectory()) {
        RETURN_IF_ERROR(Match(tree, ignored, *next, parts, i + 1, result));
      }
    } else if (!ignored.Ignores(child.path)) {
      ASSIGN_OR_RETURN(FileTree::Node node, tree.Lookup(child.path, true));
      result->push_back(std::move(node));
    }
  }
  return absl::OkStatus();
}

// All paths, for patterns with "**".
absl::Status MatchEverywhere(const FileTree& tree, const IgnoreList& ignored,
                             const FileTree::Node& directory,
                             const std::string& pattern,
                             std::vector<FileTree::Node>* result) {
  ASSIGN_OR_RETURN(std::vector<FileTree::Node> children, tree.List(directory));
  for (FileTree::Node& child : children) {
    if (child.IsDirectory()) {
      RETURN_IF_ERROR(MatchEverywhere(tree, ignored, child, pattern, result));
    }
    if (!GlobMatch(pattern, child.path) || ignored.Ignores(child.path)) {
      continue;
    }
    ASSIGN_OR_RETURN(FileTree::Node node, tree.Lookup(child.path, true));
    result->push_back(std::move(node));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> HashFile(const CopyItem& item, FileDigests& known,
                                     Clock& clock) {
  std::optional<std::string> remembered = known.Find(item.node.stat);
  if (remembered.has_value()) return *std::move(remembered);
  ASSIGN_OR_RETURN(UniqueFd fd, item.tree->OpenFile(item.node));
  const absl::Time began = clock.Now();
  struct stat st;
  if (fstat(fd.get(), &st) != 0) return ErrnoStatus("stat", item.node.path);
  std::vector<char> buffer(256 << 10);
  image::Sha256 contents;
  for (;;) {
    ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0) return ErrnoStatus("read", item.node.path);
    if (n == 0) break;
    contents.Update(absl::string_view(buffer.data(), n));
  }
  std::string digest = contents.Digest();
  known.Put(st, began, digest);
  return digest;
}

}  // namespace

absl::StatusOr<std::vector<FileTree::Node>> MatchSources(
    const FileTree& tree, const IgnoreList& ignored,
    const std::string& source) {
  std::vector<FileTree::Node> result;
  std::string path = CleanRelative(source);
  if (IsGlob(path)) {
    ASSIGN_OR_RETURN(FileTree::Node root, tree.Lookup("", true));
    if (absl::StrContains(path, "**")) {
      RETURN_IF_ERROR(MatchEverywhere(tree, ignored, root, path, &result));
    } else {
      RETURN_IF_ERROR(
          Match(tree, ignored, root, absl::StrSplit(path, '/'), 0, &result));
    }
  } else if (path.empty() || !ignored.Ignores(path) ||
             ignored.HasExceptions()) {
    absl::StatusOr<FileTree::Node> node = tree.Lookup(path, true);
    bool usable = node.ok() && (node->IsDirectory() || path.empty() ||
                                !ignored.Ignores(path));
    if (usable) result.push_back(*std::move(node));
    if (!node.ok() && !absl::IsNotFound(node.status())) return node.status();
  }
  if (!result.empty() || IsGlob(path)) return result;
  absl::string_view hint = !path.empty() && ignored.Ignores(path)
                               ? "; .dockerignore leaves it out"
                               : "; paths are relative to the build context";
  return absl::InvalidArgumentError(
      absl::StrCat("\"", source, "\": no such file or directory", hint));
}

namespace {

// Adds what is below `directory`; `base` is the directory that was named.
absl::Status AddBelow(const FileTree& tree, const CopyFilter& filter,
                      const std::string& base, const FileTree::Node& directory,
                      const std::string& destination, CopyPlan* plan) {
  if (std::count(directory.path.begin(), directory.path.end(), '/') >
      kMaxDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("directories are deeper than ", kMaxDepth));
  }
  const bool exceptions =
      filter.ignored.HasExceptions() || filter.exclude.HasExceptions();
  ASSIGN_OR_RETURN(std::vector<FileTree::Node> children, tree.List(directory));
  for (FileTree::Node& child : children) {
    if (!Copyable(child)) continue;
    bool leave_out = filter.ignored.Ignores(child.path) ||
                     filter.exclude.Ignores(child.path) ||
                     filter.exclude.Ignores(Below(child.path, base));
    bool is_directory = child.IsDirectory();
    if (leave_out && !(is_directory && exceptions)) continue;
    std::string name = Join(destination, BaseName(child.path));
    size_t before = plan->items.size();
    FileTree::Node node = child;
    plan->items.push_back({&tree, std::move(child), name, false});
    if (!is_directory) continue;
    RETURN_IF_ERROR(AddBelow(tree, filter, base, node, name, plan));
    // An ignored directory comes along only for what was taken back in it.
    if (leave_out && plan->items.size() == before + 1) plan->items.pop_back();
  }
  return absl::OkStatus();
}

// With `parents`: the directories on the way, and the item itself, below
// `destination`.
absl::Status AddWithParents(const FileTree& tree, const CopyFilter& filter,
                            const std::string& prefix, FileTree::Node node,
                            const std::string& destination, CopyPlan* plan) {
  const std::string path(Below(node.path, prefix));
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string way = path.substr(0, slash);
    ASSIGN_OR_RETURN(FileTree::Node parent,
                     tree.Lookup(Join(prefix, way), true));
    plan->items.push_back(
        {&tree, std::move(parent), Join(destination, way), true});
  }
  const std::string name = Join(destination, path);
  const bool is_directory = node.IsDirectory();
  const FileTree::Node copy = node;
  if (!path.empty()) {
    plan->items.push_back({&tree, std::move(node), name, false});
  }
  if (!is_directory) return absl::OkStatus();
  return AddBelow(tree, filter, copy.path, copy, name, plan);
}

// What comes before "/./" in a source.
std::string PrefixOf(const std::string& source) {
  const size_t pivot = source.find("/./");
  return pivot == std::string::npos ? ""
                                    : CleanRelative(source.substr(0, pivot));
}

bool IsBelow(const std::string& path, const std::string& directory) {
  return directory.empty() || path == directory ||
         absl::StartsWith(path, directory + "/");
}

}  // namespace

absl::Status AddContents(const FileTree& tree, const CopyFilter& filter,
                         const FileTree::Node& directory,
                         const std::string& destination, CopyPlan* plan) {
  return AddBelow(tree, filter, directory.path, directory, destination, plan);
}

absl::Status AddSource(const FileTree& tree, const CopyFilter& filter,
                       const std::string& source,
                       const std::string& destination, bool into_directory,
                       CopyPlan* plan) {
  ASSIGN_OR_RETURN(std::vector<FileTree::Node> nodes,
                   MatchSources(tree, filter.ignored, source));
  const std::string prefix = filter.parents ? PrefixOf(source) : "";
  for (FileTree::Node& node : nodes) {
    if (!Copyable(node)) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", source, "\": neither a file nor a directory"));
    }
    // The name is the one that was asked for, not that of a link's target.
    std::string name =
        IsGlob(source) ? BaseName(node.path) : BaseName(CleanRelative(source));
    if (!node.path.empty() &&
        (filter.exclude.Ignores(node.path) || filter.exclude.Ignores(name))) {
      continue;
    }
    if (filter.parents) {
      if (!IsBelow(node.path, prefix)) {
        return absl::InvalidArgumentError(absl::StrCat(
            "\"", source, "\": a link leads out of \"", prefix, "\""));
      }
      RETURN_IF_ERROR(AddWithParents(tree, filter,
                                     node.path == prefix ? node.path : prefix,
                                     std::move(node), destination, plan));
      continue;
    }
    if (node.IsDirectory()) {
      plan->directory = destination;
      RETURN_IF_ERROR(AddContents(tree, filter, node, destination, plan));
      continue;
    }
    plan->items.push_back(
        {&tree, std::move(node),
         into_directory ? Join(destination, name) : destination, false});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> HashPlan(const CopyPlan& plan,
                                     const CopyAttributes& attributes,
                                     FileDigests& known, Clock& clock) {
  image::Sha256 hash;
  const Owner maker = attributes.owner.value_or(Owner());
  hash.Update(absl::StrCat("directory ", plan.directory, " ", maker.uid, ":",
                           maker.gid, "\n"));
  // The first names of files with several: what follows becomes links.
  std::map<std::pair<dev_t, ino_t>, std::string> links;
  for (const CopyItem& item : plan.items) {
    const struct stat& st = item.node.stat;
    mode_t mode = attributes.mode.has_value()
                      ? attributes.mode->Apply(st.st_mode)
                      : st.st_mode & 07777;
    Owner owner = attributes.owner.value_or(Owner{st.st_uid, st.st_gid});
    hash.Update(absl::StrCat(item.destination.size(), ":", item.destination,
                             " ", st.st_mode & S_IFMT, " ", mode, " ",
                             owner.uid, ":", owner.gid, " "));
    const auto first = links.find({st.st_dev, st.st_ino});
    if (S_ISREG(st.st_mode) && first != links.end()) {
      hash.Update(absl::StrCat("link ", first->second));
    } else if (S_ISREG(st.st_mode)) {
      ASSIGN_OR_RETURN(const std::string contents,
                       HashFile(item, known, clock));
      hash.Update(contents);
      if (st.st_nlink > 1) links[{st.st_dev, st.st_ino}] = item.destination;
    } else if (S_ISLNK(st.st_mode)) {
      ASSIGN_OR_RETURN(std::string target, item.tree->ReadLink(item.node));
      hash.Update(absl::StrCat(target.size(), ":", target));
    }
    hash.Update("\n");
  }
  return hash.Digest();
}

}  // namespace bulwark::engine::build
