#include "engine/build/sources.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status.h"
#include "base/url_text.h"
#include "engine/build/remote_source.h"
#include "engine/build/tree_export.h"
#include "engine/image/byte_source.h"
#include "engine/image/loader.h"
#include "engine/image/reference.h"
#include "engine/image/tar_reader.h"
#include "engine/image/tree_writer.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr char kImage[] = "docker-image://";
constexpr char kLayout[] = "oci-layout:";
constexpr int64_t kMaxDockerfileBytes = 4 << 20;

// Unpacks the tar at `path`, of whatever compression, into `directory`;
// INVALID_ARGUMENT or DATA_LOSS if it is none.
absl::Status UnpackTar(const std::string& path, const std::string& directory) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return ErrnoStatus("open", path);
  UniqueFd root(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return ErrnoStatus("open", directory);
  ASSIGN_OR_RETURN(
      std::unique_ptr<image::Decompressor> source,
      image::NewDecompressor(std::make_unique<image::FdSource>(std::move(fd))));
  image::TarReader reader(source.get(), /*xz_or_bzip2=*/true);
  image::TreeWriter::Options options;
  options.whiteouts = false;
  image::TreeWriter writer(root.get(), options);
  image::TarEntry entry;
  for (;;) {
    ASSIGN_OR_RETURN(bool more, reader.Next(&entry));
    if (!more) return writer.Finish();
    RETURN_IF_ERROR(writer.Apply(entry, &reader));
  }
}

bool IsImage(absl::string_view value) {
  return absl::StartsWith(value, kImage) || absl::StartsWith(value, kLayout);
}

SourceFiles FilesOf(const StageImage& image) {
  SourceFiles files;
  files.directories = image.Directories();
  files.key = absl::StrJoin(image.layers, " ",
                            [](std::string* out, const BuiltLayer& layer) {
                              out->append(layer.diff_id);
                            });
  return files;
}

}  // namespace

Sources::~Sources() {
  for (const std::string& path : temporary_) {
    absl::Status status = os::RemoveTree(path);
    if (status.ok()) continue;
    LOG_WARN("cannot remove the files of a build",
             {{"path", path}, {"error", status}});
  }
}

absl::StatusOr<std::string> Sources::NewDirectory() {
  ASSIGN_OR_RETURN(std::string path,
                   context_->options.store->blobs().NewTemporaryDirectory());
  absl::MutexLock lock(&mu_);
  temporary_.push_back(path);
  return path;
}

absl::StatusOr<std::string> Sources::Fetch(const std::string& url,
                                           std::string* dockerfile) {
  FetchOptions options;
  options.clock = context_->options.clock;
  options.cancelled = context_->Cancelled();
  options.secrets = &context_->request.secrets;
  ASSIGN_OR_RETURN(const std::string directory, NewDirectory());
  if (IsGitUrl(url)) {
    ASSIGN_OR_RETURN(const GitUrl git, ParseGitUrl(url));
    RETURN_IF_ERROR(
        FetchGit(git, "", /*keep_git_dir=*/false, directory, options).status());
    if (git.directory.empty()) return directory;
    // A link in the repository must not lead out of it.
    ASSIGN_OR_RETURN(const FileTree tree, FileTree::Open({directory}));
    absl::StatusOr<FileTree::Node> node = tree.Lookup(git.directory, true);
    if (!node.ok() || !node->IsDirectory()) {
      return absl::InvalidArgumentError(
          absl::StrCat(HidePasswords(url), ": there is no directory ",
                       git.directory, " in the repository"));
    }
    return absl::StrCat(directory, "/", node->path);
  }
  if (!IsHttpUrl(url)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", url, "\" is neither a git URL nor one of http or https"));
  }
  ASSIGN_OR_RETURN(const std::string draft, NewDirectory());
  ASSIGN_OR_RETURN(const std::string name, FetchFile(url, "", draft, options));
  const std::string file = absl::StrCat(draft, "/", name);
  const absl::Status unpacked = UnpackTar(file, directory);
  if (unpacked.ok()) return directory;
  if (dockerfile == nullptr || absl::IsResourceExhausted(unpacked)) {
    return Annotate(unpacked, absl::StrCat("unpack ", HidePasswords(url)));
  }
  ASSIGN_OR_RETURN(*dockerfile, os::ReadFile(file, kMaxDockerfileBytes));
  if (dockerfile->find('\0') != std::string::npos) {
    return Annotate(unpacked, absl::StrCat("unpack ", HidePasswords(url)));
  }
  return NewDirectory();  // an empty context
}

absl::StatusOr<std::string> Sources::OpenMain(std::string* dockerfile) {
  const BuildRequest& request = context_->request;
  if (request.remote_context.empty()) return request.context_dir;
  absl::MutexLock lock(&fetching_);
  return Fetch(request.remote_context, dockerfile);
}

std::set<std::string> Sources::Names() const {
  std::set<std::string> names;
  for (const auto& [name, value] : context_->request.contexts) {
    names.insert(name);
  }
  return names;
}

absl::StatusOr<SourceFiles> Sources::Files(const std::string& name) {
  auto it = context_->request.contexts.find(name);
  if (it == context_->request.contexts.end()) {
    return absl::InternalError(absl::StrCat("there is no context ", name));
  }
  const std::string& value = it->second;
  if (IsImage(value)) {
    absl::StatusOr<StageImage> image =
        ContextImage(value, context_->request.platform);
    if (!image.ok()) {
      return Annotate(image.status(), absl::StrCat("context ", name));
    }
    return FilesOf(*image);
  }
  SourceFiles files;
  if (absl::StartsWith(value, "/")) {
    files.directories = {value};
    return files;
  }
  absl::MutexLock lock(&fetching_);
  auto [known, is_new] = fetched_.try_emplace(name);
  if (is_new) {
    absl::StatusOr<std::string> directory = Fetch(value, nullptr);
    if (!directory.ok()) {
      fetched_.erase(known);
      return Annotate(directory.status(), absl::StrCat("context ", name));
    }
    known->second = *std::move(directory);
  }
  files.directories = {known->second};
  return files;
}

absl::StatusOr<StageImage> Sources::Base(const std::string& name,
                                         const std::string& platform) {
  auto it = context_->request.contexts.find(name);
  if (it == context_->request.contexts.end() || !IsImage(it->second)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the context \"", name,
                     "\" is not an image, and so no base; name one"
                     " with docker-image://REFERENCE, or COPY --from=",
                     name));
  }
  absl::StatusOr<StageImage> image = ContextImage(it->second, platform);
  if (image.ok()) return image;
  return Annotate(image.status(), absl::StrCat("context ", name));
}

absl::StatusOr<StageImage> Sources::ContextImage(const std::string& value,
                                                 const std::string& platform) {
  absl::string_view place = value;
  if (absl::ConsumePrefix(&place, kImage)) {
    return ReadImage(std::string(place), platform);
  }
  absl::ConsumePrefix(&place, kLayout);
  return ReadLayout(place, platform);
}

absl::StatusOr<StageImage> Sources::ReadLayout(absl::string_view place,
                                               const std::string& platform) {
  std::string directory(place);
  std::string reference;
  size_t split = directory.find('@');
  if (split == std::string::npos) split = directory.rfind(':');
  if (split != std::string::npos) {
    reference = directory.substr(split + 1);
    directory.resize(split);
  }
  // The loader reads archives: here one that nobody sees.
  ASSIGN_OR_RETURN(const FileTree tree, FileTree::Open({directory}));
  ASSIGN_OR_RETURN(const std::string draft, NewDirectory());
  UniqueFd fd(open(absl::StrCat(draft, "/layout.tar").c_str(),
                   O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.ok()) return ErrnoStatus("create", draft);
  RETURN_IF_ERROR(ExportTree(tree, absl::InfiniteFuture(), fd.get(),
                             context_->Cancelled()));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return ErrnoStatus("rewind", draft);
  ASSIGN_OR_RETURN(
      const Image image,
      image::LoadLayoutImage(
          context_->options.store, fd.get(), reference, platform,
          [reporter = context_->reporter](const Progress& progress) {
            reporter->Report(progress);
            return !reporter->cancelled();
          }));
  return ReadBase(context_, image);
}

absl::StatusOr<StageImage> Sources::ReadImage(const std::string& reference,
                                              const std::string& platform) {
  PullRequest pull;
  pull.reference = reference;
  pull.platform = platform;
  pull.always = context_->request.pull;
  pull.wanted = [reporter = context_->reporter] {
    return !reporter->cancelled();
  };
  absl::StatusOr<image::Reference> parsed = image::ParseReference(reference);
  if (parsed.ok()) {
    auto it = context_->request.auth.find(parsed->registry);
    if (it != context_->request.auth.end()) pull.auth = it->second;
  }
  ASSIGN_OR_RETURN(
      const Image image,
      context_->options.resolve(
          pull, [reporter = context_->reporter](const Progress& progress) {
            reporter->Report(progress);
            return !reporter->cancelled();
          }));
  return ReadBase(context_, image);
}

absl::StatusOr<SourceFiles> Sources::ImageFiles(const std::string& reference) {
  ASSIGN_OR_RETURN(const StageImage image,
                   ReadImage(reference, context_->request.platform));
  return FilesOf(image);
}

}  // namespace bulwark::engine::build
