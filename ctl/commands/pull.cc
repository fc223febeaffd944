// ctl pull, load: bring images to this host.
#include "ctl/pull.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/references.h"
#include "ctl/registry_auth.h"
#include "manifest/codec.h"

namespace bulwark::ctl {

absl::Status PullImage(Context& context, const v1::PullImageRequest& request,
                       bool quiet, std::vector<v1::ImageInfo>* images) {
  ProgressPrinter printer(context.io, context.clock, quiet);
  absl::Status status = context.client().Pull(
      request, [&](const v1::ImageProgress& p) { printer.Update(p); });
  printer.Finish();
  if (images != nullptr) *images = printer.images();
  return status;
}

void KeepNames(const std::vector<std::string>& wanted, v1::ImageInfo& image) {
  std::set<std::string> full;
  for (const std::string& name : wanted) full.insert(FullReference(name));
  std::vector<std::string> kept;
  for (const std::string& name : image.references()) {
    if (full.count(FullReference(name)) > 0) kept.push_back(name);
  }
  image.mutable_references()->Assign(kept.begin(), kept.end());
}

void PrintImages(Context& context, const std::vector<v1::ImageInfo>& images) {
  for (const v1::ImageInfo& image : images) {
    const std::string names = absl::StrJoin(image.references(), " ");
    context.io.Out(
        absl::StrCat(names, names.empty() ? "" : " ", image.digest(), "\n"));
  }
}

absl::Status CheckImagesOutput(const std::string& output) {
  if (output.empty() || output == "json") return absl::OkStatus();
  return UsageError(absl::StrCat("-o ", output, ": json"));
}

void PrintImages(Context& context, const std::vector<v1::ImageInfo>& images,
                 const std::string& output) {
  if (output.empty()) return PrintImages(context, images);
  v1::ListImagesResponse response;
  response.mutable_images()->Add(images.begin(), images.end());
  context.io.Out(manifest::PrintJson(response));
}

Client::Source FileSource(int fd, std::string name) {
  constexpr size_t kPiece = size_t{1} << 20;
  return [fd, name = std::move(name)]() -> absl::StatusOr<std::string> {
    std::string piece(kPiece, '\0');
    while (true) {
      const ssize_t n = read(fd, piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return ErrnoStatus("read", name);
      piece.resize(static_cast<size_t>(n));
      return piece;
    }
  };
}

namespace {

struct Flags {
  std::vector<std::string> references;
  std::string platform;
  RegistryLogin login;
  std::string file = "-";
  std::string output;
  bool all_tags = false;
  bool all_platforms = false;
  bool quiet = false;
};

absl::StatusOr<v1::RegistryCredentials> GivenCredentials(
    Context& context, const RegistryLogin& login) {
  v1::RegistryCredentials credentials;
  if (login.username.empty() != !login.password_stdin) {
    return UsageError("--username and --password-stdin go together");
  }
  credentials.set_username(login.username);
  if (!login.password_stdin) return credentials;
  Client::Source source = FileSource(context.io.in_fd(), "standard input");
  std::string password;
  while (true) {
    ASSIGN_OR_RETURN(std::string piece, source());
    if (piece.empty()) break;
    password += piece;
  }
  while (!password.empty() &&
         (password.back() == '\n' || password.back() == '\r')) {
    password.pop_back();
  }
  if (password.empty()) return UsageError("the password is empty");
  credentials.set_password(password);
  return credentials;
}

absl::StatusOr<int> Pull(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckImagesOutput(flags.output));
  v1::PullImageRequest request;
  request.set_platform(flags.platform);
  request.set_all_tags(flags.all_tags);
  request.set_all_platforms(flags.all_platforms);
  const bool given =
      !flags.login.username.empty() || flags.login.password_stdin;
  if (given) {
    ASSIGN_OR_RETURN(*request.mutable_credentials(),
                     GivenCredentials(context, flags.login));
  }
  std::vector<v1::ImageInfo> all;
  for (const std::string& reference : flags.references) {
    request.set_reference(reference);
    if (!given) {
      request.clear_credentials();
      if (auto found = FindCredentials(context, RegistryOf(reference))) {
        *request.mutable_credentials() = *std::move(found);
      }
    }
    std::vector<v1::ImageInfo> images;
    RETURN_IF_ERROR(PullImage(context, request,
                              flags.quiet || !flags.output.empty(), &images));
    all.insert(all.end(), images.begin(), images.end());
    if (!flags.output.empty()) continue;
    if (!flags.all_tags) {
      for (v1::ImageInfo& image : images) KeepNames({reference}, image);
    }
    PrintImages(context, images);
  }
  if (!flags.output.empty()) PrintImages(context, all, flags.output);
  return kExitOk;
}

absl::StatusOr<int> Load(Context& context, const Flags& flags) {
  UniqueFd file;
  int fd = context.io.in_fd();
  if (flags.file != "-") {
    file.Reset(open(flags.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.ok()) return ErrnoStatus("open", flags.file);
    fd = file.get();
  } else if (context.io.in_tty()) {
    return UsageError("name an archive with -i, or send one to standard input");
  }
  ProgressPrinter printer(context.io, context.clock, flags.quiet);
  absl::Status status = context.client().Load(
      FileSource(fd, flags.file),
      [&](const v1::ImageProgress& p) { printer.Update(p); });
  printer.Finish();
  if (!status.ok()) return status;
  PrintImages(context, printer.images());
  return kExitOk;
}

}  // namespace

absl::StatusOr<std::optional<v1::RegistryCredentials>> CredentialsFor(
    Context& context, const RegistryLogin& login, absl::string_view reference) {
  if (login.username.empty() && !login.password_stdin) {
    return FindCredentials(context, RegistryOf(reference));
  }
  ASSIGN_OR_RETURN(v1::RegistryCredentials credentials,
                   GivenCredentials(context, login));
  return credentials;
}

void AddPull(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "pull", "Fetch images from a registry")
      .Words("IMAGE", flags->references, "Images", Command::kRequired)
      .Option("--platform", flags->platform,
              "OS/ARCH[/VARIANT]; default the host's")
      .Flag("-a,--all-tags", flags->all_tags,
            "Every tag of the repositories that are named")
      .Flag("--all-platforms", flags->all_platforms,
            "Also what is for other platforms, to be pushed or saved")
      .Option("-u,--username", flags->login.username, "Name at the registry")
      .Flag("--password-stdin", flags->login.password_stdin,
            "Read the password from standard input")
      .Option("-o,--output", flags->output, "json")
      .Flag("-q,--quiet", flags->quiet, "No progress")
      .Action([flags](Context& c) { return Pull(c, *flags); });
  Command(app, context, "load",
          "Take images from an archive (docker save, OCI layout)")
      .Option("-i,--input", flags->file, "The archive; - for standard input")
      .Flag("-q,--quiet", flags->quiet, "No progress")
      .Action([flags](Context& c) { return Load(c, *flags); });
}

}  // namespace bulwark::ctl
