// ctl save, import: images as files.
#include <fcntl.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/image_calls.h"
#include "ctl/output_file.h"
#include "ctl/pull.h"

namespace bulwark::ctl {
namespace {

struct Flags {
  std::vector<std::string> references;
  std::vector<std::string> changes;
  std::string reference;
  std::string file;
  std::string format;
  std::string message;
  std::string platform;
  bool all_platforms = false;
  bool quiet = false;
};

// Bytes on standard error, on a terminal.
class Received {
 public:
  Received(Context& context, bool quiet)
      : printer_(context.io, context.clock, quiet || !context.io.err_tty()) {
    state_.set_id("archive");
    state_.set_status("receiving");
  }
  void Add(size_t bytes) {
    state_.set_current(state_.current() + static_cast<int64_t>(bytes));
    printer_.Update(state_);
  }
  void Finish() { printer_.Finish(); }

 private:
  ProgressPrinter printer_;
  v1::ImageProgress state_;
};

absl::StatusOr<int> Save(Context& context, const Flags& flags) {
  const bool standard = flags.file.empty() || flags.file == "-";
  if (standard && context.io.out_tty()) {
    return UsageError(
        "the archive is no text: name a file with -o, or send standard output "
        "elsewhere");
  }
  v1::SaveImagesRequest request;
  for (const std::string& name : flags.references) request.add_references(name);
  request.set_format(flags.format);
  request.set_all_platforms(flags.all_platforms);
  std::optional<OutputFile> file;
  if (!standard) {
    ASSIGN_OR_RETURN(OutputFile made,
                     OutputFile::Create(flags.file, /*replace=*/true));
    file.emplace(std::move(made));
  }
  Received received(context, flags.quiet);
  const absl::Status status = SaveImages(
      context.client(), request, [&](absl::string_view data) -> absl::Status {
        received.Add(data.size());
        if (file.has_value()) return file->Write(data);
        context.io.Out(data);
        const int lost = context.io.out_error();
        return lost == 0 ? absl::OkStatus()
                         : ErrnoStatus(lost, "write", "standard output");
      });
  received.Finish();
  RETURN_IF_ERROR(status);
  if (file.has_value()) RETURN_IF_ERROR(file->Commit());
  return kExitOk;
}

absl::StatusOr<int> Import(Context& context, const Flags& flags) {
  UniqueFd file;
  int fd = context.io.in_fd();
  if (flags.file != "-") {
    file.Reset(open(flags.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.ok()) return ErrnoStatus("open", flags.file);
    fd = file.get();
  } else if (context.io.in_tty()) {
    return UsageError("name an archive, or send one to standard input");
  }
  v1::ImportImageOptions options;
  options.set_reference(flags.reference);
  options.set_message(flags.message);
  options.set_platform(flags.platform);
  for (const std::string& change : flags.changes) options.add_changes(change);
  ProgressPrinter printer(context.io, context.clock, flags.quiet);
  const absl::Status status =
      ImportImage(context.client(), options, FileSource(fd, flags.file),
                  [&](const v1::ImageProgress& p) { printer.Update(p); });
  printer.Finish();
  RETURN_IF_ERROR(status);
  PrintImages(context, printer.images());
  return kExitOk;
}

}  // namespace

void AddArchive(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  Command(app, context, "save",
          "Write images to one archive, which `ctl load`, docker, podman and "
          "skopeo read")
      .Words("IMAGE", flags->references, "Images", Command::kRequired)
      .Option("-o,--output", flags->file,
              "The archive; default standard output")
      .Option("--format", flags->format,
              "docker (default): a docker-archive, also an OCI layout; oci: an "
              "OCI layout alone")
      .Flag("--all-platforms", flags->all_platforms,
            "The indexes that they stand for, with all that these list")
      .Flag("-q,--quiet", flags->quiet, "No progress")
      .Action([flags](Context& c) { return Save(c, *flags); });
  flags = std::make_shared<Flags>();
  Command(app, context, "import",
          "Make an image of one layer from a tar of a root file system (plain, "
          "gzip, zstd)")
      .Word("FILE", flags->file, "The archive; - for standard input",
            Command::kRequired)
      .Word("NAME", flags->reference, "The image's name; default none")
      .Option("-c,--change", flags->changes,
              "An instruction of a Dockerfile for its configuration, e.g. "
              "'CMD [\"/bin/sh\"]'; may be repeated")
      .Option("-m,--message", flags->message, "For `ctl history`")
      .Option("--platform", flags->platform, "OS/ARCH; default the host's")
      .Flag("-q,--quiet", flags->quiet, "No progress")
      .Action([flags](Context& c) { return Import(c, *flags); });
}

}  // namespace bulwark::ctl
