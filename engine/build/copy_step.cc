#include "engine/build/copy_step.h"

#include <fcntl.h>
#include <unistd.h>

#include <set>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/build/remote_source.h"
#include "engine/image/byte_source.h"
#include "engine/image/digest.h"
#include "engine/image/tar_reader.h"
#include "engine/image/tree_writer.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

// Opens a file as a tar, whatever its compression.
absl::StatusOr<std::unique_ptr<image::Decompressor>> OpenArchive(
    const CopyItem& item) {
  ASSIGN_OR_RETURN(UniqueFd fd, item.tree->OpenFile(item.node));
  return image::NewDecompressor(
      std::make_unique<image::FdSource>(std::move(fd)));
}

// Whether the file begins as an archive does.
absl::StatusOr<bool> IsArchive(const CopyItem& item) {
  if (!S_ISREG(item.node.stat.st_mode)) return false;
  absl::StatusOr<std::unique_ptr<image::Decompressor>> data = OpenArchive(item);
  if (!data.ok()) return absl::StatusOr<bool>(data.status());
  char head[512];
  size_t size = 0;
  while (size < sizeof(head)) {
    absl::StatusOr<size_t> n = (*data)->Read(head + size, sizeof(head) - size);
    if (!n.ok()) return false;  // damaged, so an ordinary file
    if (*n == 0) break;
    size += *n;
  }
  absl::string_view text(head, size);
  if (text.size() == sizeof(head) && text.substr(257, 5) == "ustar") {
    return true;
  }
  bool other = absl::StartsWith(text, "BZh") ||
               absl::StartsWith(text, absl::string_view("\xfd"
                                                        "7zXZ\0",
                                                        6));
  if (!other) return false;
  ASSIGN_OR_RETURN(auto source, OpenArchive(item));
  image::TarReader reader(source.get(), /*xz_or_bzip2=*/true);
  image::TarEntry entry;
  return reader.Next(&entry).value_or(false);
}

}  // namespace

CopyStep::~CopyStep() {
  trees_.clear();
  for (const std::string& path : temporary_) {
    absl::Status status = os::RemoveTree(path);
    if (!status.ok()) {
      LOG_WARN("cannot remove the files of a build step",
               {{"path", path}, {"error", status}});
    }
  }
}

absl::StatusOr<std::unique_ptr<CopyStep>> CopyStep::Plan(
    BuildContext* context, const CopyRequest& request, const FileTree& from,
    const FileTree& below) {
  auto step =
      absl::WrapUnique(new CopyStep(context, request.attributes, below));
  std::string destination = CleanRelative(request.destination);
  bool slash = absl::EndsWith(request.destination, "/") || destination.empty();
  const absl::Status no_directory = absl::InvalidArgumentError(absl::StrCat(
      "with several sources the destination must be a directory and end with"
      " \"/\": ",
      request.destination));
  bool several = request.sources.size() + request.texts.size() > 1;
  if (several && !slash) return no_directory;
  absl::StatusOr<FileTree::Node> existing = below.Lookup(destination, true);
  bool into = slash || request.filter.parents ||
              (existing.ok() && existing->IsDirectory());
  for (const std::string& source : request.sources) {
    RETURN_IF_ERROR(step->Add(request, from, source, destination, into));
  }
  // A pattern may have matched several files.
  if (!into && step->plan_.directory.empty() && step->plan_.items.size() > 1) {
    return no_directory;
  }
  RETURN_IF_ERROR(step->AddTexts(request, destination, into));
  bool is_empty = !request.sources.empty() && step->plan_.directory.empty() &&
                  step->plan_.items.empty() && step->archives_.empty();
  // Patterns that match nothing make no directory, but files that are all
  // excluded do.
  for (const std::string& source : request.sources) {
    if (!is_empty) break;
    if (request.add && IsRemote(source)) {
      is_empty = false;
      break;
    }
    ASSIGN_OR_RETURN(const std::vector<FileTree::Node> matches,
                     MatchSources(from, request.filter.ignored, source));
    is_empty = matches.empty();
  }
  if (into && !is_empty && !destination.empty()) {
    step->plan_.directory = destination;
  }
  return step;
}

absl::Status CopyStep::Add(const CopyRequest& request, const FileTree& from,
                           const std::string& source,
                           const std::string& destination,
                           bool into_directory) {
  if (request.add && IsRemote(source)) {
    return AddRemote(request, source, destination, into_directory);
  }
  if (!request.checksum.empty()) {
    return absl::InvalidArgumentError(
        "--checksum is for sources that are fetched");
  }
  const size_t first = plan_.items.size();
  const std::string directory = plan_.directory;
  RETURN_IF_ERROR(AddSource(from, request.filter, source, destination,
                            into_directory, &plan_));
  // Only files that were named themselves, not those inside a directory.
  if (!request.add || !request.unpack.value_or(true) ||
      plan_.directory != directory) {
    return absl::OkStatus();
  }
  return SetArchivesAside(first, destination);
}

absl::Status CopyStep::AddRemote(const CopyRequest& request,
                                 const std::string& url,
                                 const std::string& destination,
                                 bool into_directory) {
  FetchOptions options;
  options.clock = context_->options.clock;
  options.cancelled = context_->Cancelled();
  options.secrets = &context_->request.secrets;
  std::string path;
  ASSIGN_OR_RETURN(const FileTree* tree, NewTree(&path));
  const size_t first = plan_.items.size();
  CopyFilter filter = request.filter;
  filter.ignored = IgnoreList();
  if (IsGitUrl(url)) {
    ASSIGN_OR_RETURN(const GitUrl git, ParseGitUrl(url));
    ASSIGN_OR_RETURN(
        const GitCheckout checkout,
        FetchGit(git, request.checksum, request.keep_git_dir, path, options));
    if (request.keep_git_dir) {
      absl::StrAppend(&commits_, git.url, " ", checkout.commit, "\n");
    }
    return AddSource(*tree, filter, git.directory.empty() ? "." : git.directory,
                     destination, into_directory, &plan_);
  }
  ASSIGN_OR_RETURN(const std::string name,
                   FetchFile(url, request.checksum, path, options));
  ASSIGN_OR_RETURN(FileTree::Node node, tree->Lookup(name, false));
  plan_.items.push_back(
      {tree, std::move(node),
       into_directory
           ? absl::StrCat(destination, destination.empty() ? "" : "/", name)
           : destination,
       false});
  if (!request.unpack.value_or(false)) return absl::OkStatus();
  return SetArchivesAside(first, destination);
}

absl::StatusOr<const FileTree*> CopyStep::NewTree(std::string* path) {
  ASSIGN_OR_RETURN(*path,
                   context_->options.store->blobs().NewTemporaryDirectory());
  temporary_.push_back(*path);
  ASSIGN_OR_RETURN(FileTree tree, FileTree::Open({*path}));
  trees_.push_back(std::make_unique<FileTree>(std::move(tree)));
  return trees_.back().get();
}

absl::Status CopyStep::AddTexts(const CopyRequest& request,
                                const std::string& destination,
                                bool into_directory) {
  if (request.texts.empty()) return absl::OkStatus();
  std::string path;
  ASSIGN_OR_RETURN(const FileTree* tree, NewTree(&path));
  for (const auto& [name, text] : request.texts) {
    std::string file = absl::StrCat(path, "/", name);
    RETURN_IF_ERROR(os::WriteFileDurably(file, text, 0644));
    timespec times[2] = {};  // the same text gives the same layer
    utimensat(AT_FDCWD, file.c_str(), times, 0);
    RETURN_IF_ERROR(AddSource(*tree, CopyFilter(), name, destination,
                              into_directory, &plan_));
  }
  return absl::OkStatus();
}

absl::Status CopyStep::SetArchivesAside(size_t first,
                                        const std::string& destination) {
  std::vector<CopyItem> kept;
  for (size_t i = 0; i < plan_.items.size(); ++i) {
    CopyItem& item = plan_.items[i];
    bool archive = false;
    if (i >= first) {
      ASSIGN_OR_RETURN(archive, IsArchive(item));
    }
    if (archive) {
      item.destination = destination;
      archives_.push_back(std::move(item));
    } else {
      kept.push_back(std::move(item));
    }
  }
  plan_.items = std::move(kept);
  return absl::OkStatus();
}

absl::StatusOr<std::string> CopyStep::Hash() const {
  FileDigests& known = context_->options.cache->digests();
  Clock& clock = *context_->options.clock;
  ASSIGN_OR_RETURN(std::string files,
                   HashPlan(plan_, attributes_, known, clock));
  CopyPlan archives;
  archives.items = archives_;
  ASSIGN_OR_RETURN(std::string packed,
                   HashPlan(archives, attributes_, known, clock));
  return image::DigestOf(absl::StrCat(files, " ", packed, " ", commits_));
}

absl::Status CopyStep::UnpackArchive(const CopyItem& archive, CopyPlan* plan) {
  std::string path;
  ASSIGN_OR_RETURN(const FileTree* tree, NewTree(&path));
  UniqueFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", path);
  ASSIGN_OR_RETURN(std::unique_ptr<image::Decompressor> source,
                   OpenArchive(archive));
  image::TarReader reader(source.get(), /*xz_or_bzip2=*/true);
  image::TreeWriter::Options options;
  options.whiteouts = false;
  image::TreeWriter writer(root.get(), options);
  image::TarEntry entry;
  for (;;) {
    RETURN_IF_ERROR(context_->reporter->Check());
    ASSIGN_OR_RETURN(bool more, reader.Next(&entry));
    if (!more) break;
    RETURN_IF_ERROR(writer.Apply(entry, &reader));
  }
  RETURN_IF_ERROR(writer.Finish());
  std::set<std::string> implied;
  for (const std::string& name : writer.implied_directories()) {
    implied.insert(name);
  }
  ASSIGN_OR_RETURN(FileTree::Node top, tree->Lookup("", true));
  size_t first = plan->items.size();
  RETURN_IF_ERROR(
      AddContents(*tree, CopyFilter(), top, archive.destination, plan));
  for (size_t i = first; i < plan->items.size(); ++i) {
    CopyItem& item = plan->items[i];
    item.keep_owner = true;
    item.keep_existing = implied.count(item.node.path) > 0;
  }
  return absl::OkStatus();
}

absl::Status CopyStep::Write(const std::string& directory) {
  CopyPlan plan = plan_;
  for (const CopyItem& archive : archives_) {
    if (!archive.destination.empty()) plan.directory = archive.destination;
    RETURN_IF_ERROR_CTX(UnpackArchive(archive, &plan),
                        absl::StrCat("unpack ", archive.node.path));
  }
  UniqueFd root(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", directory);
  return WritePlan(plan, attributes_, below_, root.get(),
                   context_->Cancelled());
}

}  // namespace bulwark::engine::build
