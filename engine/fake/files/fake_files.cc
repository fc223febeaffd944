#include "engine/fake/files/fake_files.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/byte_source.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using Type = image::TarEntry::Type;

constexpr int kMaxLinks = 40;
constexpr size_t kBlock = 512;

// The head of an entry of POSIX' ustar format; names of up to 100 bytes.
std::string Header(const std::string& name, char type, mode_t mode, int64_t uid,
                   int64_t gid, size_t size, const std::string& link) {
  std::string block(kBlock, '\0');
  const auto put = [&](size_t at, const std::string& text) {
    block.replace(at, text.size(), text);
  };
  const auto octal = [&](size_t at, int digits, int64_t value) {
    char text[24];
    std::snprintf(text, sizeof(text), "%0*llo", digits,
                  static_cast<unsigned long long>(value));
    put(at, text);
  };
  put(0, name.substr(0, 100));
  octal(100, 7, mode);
  octal(108, 7, uid);
  octal(116, 7, gid);
  octal(124, 11, static_cast<int64_t>(size));
  octal(136, 11, 0);
  block[156] = type;
  put(157, link.substr(0, 100));
  put(257, std::string("ustar\00000", 8));
  put(148, "        ");
  int64_t sum = 0;
  for (const unsigned char c : block) sum += c;
  octal(148, 6, sum);
  block[154] = '\0';
  return block;
}

std::string Parent(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

bool IsBelow(const std::string& path, const std::string& top) {
  return path.size() > top.size() && absl::StartsWith(path, top) &&
         path[top.size()] == '/';
}

template <typename Tree>
void EraseTree(Tree& tree, const std::string& path) {
  std::erase_if(tree, [&path](const auto& entry) {
    return entry.first == path || IsBelow(entry.first, path);
  });
}

}  // namespace

FakeFiles::~FakeFiles() {
  absl::MutexLock lock(&mu_);
  for (const std::string& folder : folders_) {
    os::RemoveTree(folder).IgnoreError();
  }
}

void FakeFiles::Make(Tree& tree, const std::string& path,
                     const std::string& text) {
  for (std::string at = Parent(path); !at.empty(); at = Parent(at)) {
    tree.try_emplace(at);
  }
  tree[path] = {Type::kFile, 0644, 0, 0, text};
}

void FakeFiles::SetImage(std::map<std::string, std::string> files) {
  absl::MutexLock lock(&mu_);
  image_ = {{"", Node()}};
  for (const auto& [path, text] : files) Make(image_, path, text);
}

void FakeFiles::Write(const std::string& id, const std::string& path,
                      const std::string& text) {
  absl::MutexLock lock(&mu_);
  Make(Of(id).now, path, text);
}

void FakeFiles::Erase(const std::string& id, const std::string& path) {
  absl::MutexLock lock(&mu_);
  EraseTree(Of(id).now, path);
}

FakeFiles::Container& FakeFiles::Of(absl::string_view id) {
  return containers_.try_emplace(std::string(id), Container{image_, image_})
      .first->second;
}

absl::Status FakeFiles::Check(absl::string_view id, bool running) {
  ASSIGN_OR_RETURN(const ContainerInfo info, engine_.Inspect(id));
  if (running && info.state != ContainerState::kRunning) {
    return absl::FailedPreconditionError(
        absl::StrCat("reach files of container ", id, ": it has exited"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FakeFiles::Resolve(const Tree& tree,
                                               const std::string& path,
                                               bool last) {
  std::vector<std::string> rest = absl::StrSplit(path, '/', absl::SkipEmpty());
  std::reverse(rest.begin(), rest.end());
  std::string at;
  for (int links = 0; !rest.empty();) {
    const std::string part = rest.back();
    rest.pop_back();
    if (part == ".") continue;
    if (part == "..") {
      at = Parent(at);
      continue;
    }
    const std::string next = absl::StrCat(at, "/", part);
    const auto node = tree.find(next);
    if (node == tree.end()) {
      return absl::NotFoundError(absl::StrCat("find ", path, ": not there"));
    }
    if (node->second.type != Type::kSymlink || (rest.empty() && !last)) {
      at = next;
      continue;
    }
    if (++links > kMaxLinks) {
      return absl::FailedPreconditionError(
          absl::StrCat("find ", path, ": too many links"));
    }
    if (absl::StartsWith(node->second.text, "/")) at = "";
    std::vector<std::string> target =
        absl::StrSplit(node->second.text, '/', absl::SkipEmpty());
    rest.insert(rest.end(), target.rbegin(), target.rend());
  }
  return at;
}

absl::Status FakeFiles::Pack(const Tree& tree, const std::string& top,
                             const std::string& name, const TarSink& sink) {
  for (const auto& [path, node] : tree) {
    if (path != top && !IsBelow(path, top)) continue;
    std::string entry = absl::StrCat(name, path.substr(top.size()));
    if (absl::StartsWith(entry, "/")) entry.erase(0, 1);
    if (entry.empty()) continue;
    const bool file = node.type == Type::kFile;
    const bool link = node.type == Type::kSymlink;
    if (!file && !link) entry += '/';
    std::string bytes =
        Header(entry,
               file   ? '0'
               : link ? '2'
                      : '5',
               node.mode, node.uid, node.gid, file ? node.text.size() : 0,
               link ? node.text : "");
    if (file) {
      bytes += node.text;
      bytes.resize((bytes.size() + kBlock - 1) / kBlock * kBlock);
    }
    RETURN_IF_ERROR(sink(bytes));
  }
  return sink(std::string(2 * kBlock, '\0'));
}

absl::Status FakeFiles::CopyFrom(absl::string_view id, const std::string& path,
                                 bool follow_link, const TarSink& sink) {
  RETURN_IF_ERROR(Check(id, false));
  Tree tree;
  {
    absl::MutexLock lock(&mu_);
    tree = Of(id).now;
  }
  ASSIGN_OR_RETURN(const std::string found, Resolve(tree, path, follow_link));
  // Of the path as it was given: the name of a link, not of what it leads to.
  const size_t end = path.find_last_not_of('/');
  const std::string given = path.substr(0, end + 1);
  return Pack(tree, found, given.substr(given.rfind('/') + 1), sink);
}

absl::Status FakeFiles::Export(absl::string_view id, const TarSink& sink) {
  return CopyFrom(id, "/", false, sink);
}

absl::Status FakeFiles::Unpack(const std::string& archive, bool keep_ids,
                               const std::string& folder, Tree& tree) {
  image::StringSource source(archive);
  image::TarReader reader(&source);
  image::TarEntry entry;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.Next(&entry));
    if (!more) return absl::OkStatus();
    std::vector<std::string> parts =
        absl::StrSplit(entry.path, '/', absl::SkipEmpty());
    std::erase(parts, ".");
    const bool leads_out =
        std::find(parts.begin(), parts.end(), "..") != parts.end();
    Node node = {entry.type, entry.mode, keep_ids ? entry.uid : 0,
                 keep_ids ? entry.gid : 0, ""};
    if (leads_out || entry.type == Type::kHardlink) {
      return absl::InvalidArgumentError(
          absl::StrCat("unpack ", entry.path, ": it leads out of the folder"));
    }
    if (parts.empty() || entry.type == Type::kOther) continue;
    const std::string name = parts.back();
    parts.pop_back();
    ASSIGN_OR_RETURN(
        const std::string parent,
        Resolve(tree, absl::StrCat(folder, "/", absl::StrJoin(parts, "/")),
                true));
    const std::string path = absl::StrCat(parent, "/", name);
    if (entry.type == Type::kSymlink) node.text = entry.link;
    RETURN_IF_ERROR(reader.ReadData([&](int64_t offset, absl::string_view d) {
      node.text.resize(static_cast<size_t>(offset));
      node.text.append(d.data(), d.size());
      return absl::OkStatus();
    }));
    const auto old = tree.find(path);
    if (old != tree.end() && old->second.type == Type::kDirectory &&
        node.type != Type::kDirectory) {
      return absl::InvalidArgumentError(
          absl::StrCat("unpack ", entry.path, ": a folder is there"));
    }
    tree[path] = std::move(node);
  }
}

absl::StatusOr<int64_t> FakeFiles::CopyTo(absl::string_view id,
                                          const std::string& path,
                                          bool keep_ids,
                                          const TarSource& source) {
  RETURN_IF_ERROR(Check(id, true));
  std::string archive;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string piece, source());
    if (piece.empty()) break;
    archive += piece;
  }
  absl::MutexLock lock(&mu_);
  Tree& tree = Of(id).now;
  ASSIGN_OR_RETURN(const std::string folder, Resolve(tree, path, true));
  if (tree[folder].type != Type::kDirectory) {
    return absl::NotFoundError(absl::StrCat("find ", path, ": no folder"));
  }
  RETURN_IF_ERROR(Unpack(archive, keep_ids, folder, tree));
  return static_cast<int64_t>(archive.size());
}

absl::StatusOr<std::vector<FileChange>> FakeFiles::Diff(absl::string_view id) {
  RETURN_IF_ERROR(Check(id, false));
  absl::MutexLock lock(&mu_);
  const Container& container = Of(id);
  std::vector<FileChange> changes;
  for (const auto& [path, node] : container.now) {
    const auto old = container.image.find(path);
    if (old == container.image.end()) {
      changes.push_back({FileChange::Kind::kAdded, path});
    } else if (!(old->second == node)) {
      changes.push_back({FileChange::Kind::kChanged, path});
    }
  }
  for (const auto& [path, node] : container.image) {
    // What was in a folder that has gone has gone with it.
    if (container.now.count(path) == 0 &&
        container.now.count(Parent(path)) != 0) {
      changes.push_back({FileChange::Kind::kDeleted, path});
    }
  }
  std::sort(
      changes.begin(), changes.end(),
      [](const FileChange& a, const FileChange& b) { return a.path < b.path; });
  return changes;
}

absl::StatusOr<std::string> FakeFiles::WritableLayer(absl::string_view id) {
  ASSIGN_OR_RETURN(const std::vector<FileChange> changes, Diff(id));
  char folder[] = "/tmp/fake_files.XXXXXX";
  if (mkdtemp(folder) == nullptr) return ErrnoStatus("make", folder);
  absl::MutexLock lock(&mu_);
  folders_.push_back(folder);
  const Tree& tree = Of(id).now;
  for (const FileChange& change : changes) {
    const std::string path = folder + change.path;
    RETURN_IF_ERROR(os::MakeDirs(Parent(path), 0755));
    int result = 0;
    if (change.kind == FileChange::Kind::kDeleted) {
      result = mknod(path.c_str(), S_IFCHR, makedev(0, 0));  // a whiteout
    } else if (const Node& node = tree.at(change.path);
               node.type == Type::kFile) {
      RETURN_IF_ERROR(os::WriteFileDurably(path, node.text, node.mode));
    } else if (node.type == Type::kSymlink) {
      result = symlink(node.text.c_str(), path.c_str());
    } else {
      RETURN_IF_ERROR(os::MakeDirs(path, node.mode));
    }
    if (result != 0) return ErrnoStatus("make", path);
  }
  return std::string(folder);
}

}  // namespace bulwark::engine
