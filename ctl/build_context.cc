#include "ctl/build_context.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/ignore_list.h"
#include "base/status.h"
#include "ctl/errors.h"
#include "ctl/offer.h"
#include "ctl/pull.h"
#include "ctl/tar.h"

namespace bulwark::ctl {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxDockerfile = 4 << 20;
constexpr char kLayout[] = "oci-layout://";
constexpr size_t kPiece = 256 << 10;
// Of a ustar header: its magic ends here.
constexpr size_t kHead = 512;

bool IsUrl(const std::string& text) {
  for (const char* scheme : {"http://", "https://", "git://", "ssh://"}) {
    if (absl::StartsWith(text, scheme)) return true;
  }
  return absl::StartsWith(text, "git@") && absl::StrContains(text, ":");
}

bool LooksLikeArchive(absl::string_view head) {
  for (absl::string_view magic :
       {absl::string_view("\x1f\x8b", 2),
        absl::string_view("\x28\xb5\x2f\xfd", 4), absl::string_view("BZh", 3),
        absl::string_view("\xfd"
                          "7zXZ\0",
                          6)}) {
    if (absl::StartsWith(head, magic)) return true;
  }
  return head.size() >= 262 && head.substr(257, 5) == "ustar";
}

absl::StatusOr<std::string> ReadSome(int fd, size_t want) {
  std::string data;
  while (data.size() < want) {
    std::string piece(std::min(want - data.size(), kPiece), '\0');
    const ssize_t n = read(fd, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", "standard input");
    if (n == 0) break;
    data.append(piece, 0, static_cast<size_t>(n));
  }
  return data;
}

absl::StatusOr<std::string> ReadText(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)),
                   std::istreambuf_iterator<char>());
  if (!in.good() && !in.eof()) {
    return absl::NotFoundError(absl::StrCat("read ", path.string()));
  }
  if (text.size() > kMaxDockerfile) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.string(), " is larger than 4 MiB"));
  }
  return text;
}

// The Dockerfile as the daemon gets it.
struct FoundFile {
  std::string name;              // within the context, or for messages
  std::optional<fs::path> path;  // where it is outside of the context
};

absl::StatusOr<FoundFile> FindDockerfile(const BuildFlags& flags) {
  const fs::path file = flags.dockerfile.empty()
                            ? fs::path(flags.context) / "Dockerfile"
                            : fs::path(flags.dockerfile);
  std::error_code error;
  if (!fs::exists(file, error) || fs::is_directory(file, error)) {
    return WithRemedy(absl::NotFoundError(absl::StrCat("read ", file.string(),
                                                       ": no such file")),
                      "name the Dockerfile with -f");
  }
  const std::string relative =
      fs::relative(file, flags.context, error).string();
  if (!error && !relative.empty() && relative != ".." &&
      !absl::StartsWith(relative, "../")) {
    return FoundFile{relative, std::nullopt};
  }
  return FoundFile{file.filename().string(), file};
}

// Leaves out what the list of `folder` names; `beside`, if it is there, has the
// list instead.
absl::Status Filter(const std::string& folder, const std::string& dockerfile,
                    const std::optional<fs::path>& beside, TarFolder& tar) {
  std::error_code error;
  IgnoreList list;
  if (beside.has_value() && fs::is_regular_file(*beside, error)) {
    ASSIGN_OR_RETURN(const std::string text, ReadText(*beside));
    ASSIGN_OR_RETURN(list, IgnoreList::Parse(text, beside->string()));
    // The daemon reads the list, too.
    tar.AddFile(beside->string(), dockerfile + ".dockerignore");
  } else {
    for (const std::string& name : IgnoreFilesOf(dockerfile)) {
      const fs::path path = fs::path(folder) / name;
      if (!fs::is_regular_file(path, error)) continue;
      ASSIGN_OR_RETURN(const std::string text, ReadText(path));
      ASSIGN_OR_RETURN(list, IgnoreList::Parse(text, path.string()));
      break;
    }
  }
  if (!list.empty()) tar.LeaveOut(std::move(list), AlwaysSent(dockerfile));
  return absl::OkStatus();
}

Client::Source SourceOf(std::shared_ptr<TarFolder> tar) {
  return [tar = std::move(tar)] { return tar->Next(); };
}

// Offers the folder first, and adds what has to be sent of it to `parts`; where
// the daemon finds it.
std::string SendFolder(Context& context, const std::string& folder,
                       const std::string& dockerfile, const std::string& name,
                       std::shared_ptr<TarFolder> tar,
                       std::vector<Client::BuildPart>& parts) {
  std::error_code error;
  const std::string path = fs::canonical(folder, error).string();
  // Another Dockerfile may ignore other files.
  const std::optional<Offer> offer =
      OfferFolder(context, absl::StrCat(path, "\n", dockerfile), *tar);
  if (!offer.has_value() || !offer->complete) {
    parts.push_back({name, SourceOf(std::move(tar))});
  }
  return offer.has_value() ? offer->place : "";
}

// A tar, or a Dockerfile for an empty context.
absl::Status OpenStdin(Context& context, const BuildFlags& flags,
                       v1::BuildOptions& options,
                       std::vector<Client::BuildPart>& parts) {
  const int fd = context.io.in_fd();
  ASSIGN_OR_RETURN(std::string head, ReadSome(fd, kHead));
  if (!LooksLikeArchive(head)) {
    if (!flags.dockerfile.empty()) {
      return UsageError(
          "the context on standard input is no archive, and a Dockerfile was"
          " given with -f");
    }
    ASSIGN_OR_RETURN(const std::string rest, ReadSome(fd, kMaxDockerfile));
    options.set_dockerfile_text(head + rest);
    return absl::OkStatus();
  }
  if (!flags.dockerfile.empty()) options.set_dockerfile(flags.dockerfile);
  auto first = std::make_shared<std::string>(std::move(head));
  parts.push_back({"", [first, rest = FileSource(fd, "standard input")] {
                     if (first->empty()) return rest();
                     return absl::StatusOr<std::string>(
                         std::exchange(*first, std::string()));
                   }});
  return absl::OkStatus();
}

absl::Status OpenFolder(Context& context, const BuildFlags& flags,
                        v1::BuildOptions& options,
                        std::vector<Client::BuildPart>& parts) {
  std::error_code error;
  if (!fs::is_directory(flags.context, error)) {
    return absl::InvalidArgumentError(
        absl::StrCat("build ", flags.context, ": the context is no folder"));
  }
  ASSIGN_OR_RETURN(std::shared_ptr<TarFolder> tar,
                   TarFolder::Open(flags.context));
  if (flags.dockerfile == "-") {
    ASSIGN_OR_RETURN(std::string text,
                     ReadSome(context.io.in_fd(), kMaxDockerfile));
    if (text.empty()) return UsageError("-f -: standard input is empty");
    options.set_dockerfile_text(std::move(text));
    RETURN_IF_ERROR(Filter(flags.context, "Dockerfile", std::nullopt, *tar));
  } else {
    ASSIGN_OR_RETURN(const FoundFile file, FindDockerfile(flags));
    options.set_dockerfile(file.name);
    std::optional<fs::path> beside;
    if (file.path.has_value()) {
      ASSIGN_OR_RETURN(*options.mutable_dockerfile_text(),
                       ReadText(*file.path));
      // Without a text the daemon would look into the context.
      if (options.dockerfile_text().empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat(file.path->string(), ":1: it holds no instructions"));
      }
      beside = file.path->string() + ".dockerignore";
    }
    RETURN_IF_ERROR(Filter(flags.context, file.name, beside, *tar));
  }
  options.set_remote_context(SendFolder(
      context, flags.context, options.dockerfile(), "", std::move(tar), parts));
  return absl::OkStatus();
}

// Of "oci-layout://FOLDER", with "@DIGEST" or ":TAG" behind it or not, leaves
// the folder in `value`; gives what the daemon is told.
std::string TakeLayout(std::string& value) {
  value = value.substr(sizeof(kLayout) - 1);
  size_t split = value.rfind('@');
  if (split == std::string::npos) split = value.rfind(':');
  const size_t slash = value.rfind('/');
  if (split == std::string::npos ||
      (slash != std::string::npos && split < slash)) {
    return "oci-layout:";
  }
  const std::string reference = value.substr(split);
  value.resize(split);
  return absl::StrCat("oci-layout:", reference);
}

absl::Status OpenNamed(Context& context, const BuildFlags& flags,
                       v1::BuildOptions& options,
                       std::vector<Client::BuildPart>& parts) {
  for (const std::string& text : flags.contexts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return UsageError(absl::StrCat("--build-context ", text, ": NAME=FOLDER,",
                                     " NAME=docker-image://IMAGE or NAME=URL"));
    }
    const std::string name = text.substr(0, equals);
    std::string value = text.substr(equals + 1);
    if (IsUrl(value) || absl::StartsWith(value, "docker-image://")) {
      (*options.mutable_contexts())[name] = value;
      continue;
    }
    std::error_code error;
    std::string& place = (*options.mutable_contexts())[name];
    const bool layout = absl::StartsWith(value, kLayout);
    if (layout) place = TakeLayout(value);
    if (!fs::is_directory(value, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--build-context ", name, "=", value, ": ",
                       layout ? "no folder" : "neither a folder nor a URL"));
    }
    ASSIGN_OR_RETURN(std::shared_ptr<TarFolder> tar, TarFolder::Open(value));
    if (layout) {
      parts.push_back({name, SourceOf(std::move(tar))});
      continue;
    }
    RETURN_IF_ERROR(Filter(value, "Dockerfile", std::nullopt, *tar));
    place = SendFolder(context, value, "", name, std::move(tar), parts);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Client::BuildPart>> OpenBuildContexts(
    Context& context, const BuildFlags& flags, v1::BuildOptions& options) {
  std::vector<Client::BuildPart> parts;
  if (flags.context == "-") {
    if (flags.dockerfile == "-") {
      return UsageError(
          "standard input cannot be both the context and the Dockerfile");
    }
    RETURN_IF_ERROR(OpenStdin(context, flags, options, parts));
  } else if (IsUrl(flags.context)) {
    options.set_remote_context(flags.context);
    if (flags.dockerfile == "-") {
      ASSIGN_OR_RETURN(*options.mutable_dockerfile_text(),
                       ReadSome(context.io.in_fd(), kMaxDockerfile));
    } else if (!flags.dockerfile.empty()) {
      options.set_dockerfile(flags.dockerfile);
    }
  } else {
    RETURN_IF_ERROR(OpenFolder(context, flags, options, parts));
  }
  RETURN_IF_ERROR(OpenNamed(context, flags, options, parts));
  return parts;
}

}  // namespace bulwark::ctl
