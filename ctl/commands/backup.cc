// ctl backup, restore: the control state as one encrypted file.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "ctl/commands/commands.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/output_file.h"
#include "ctl/print/changes.h"
#include "ctl/print/progress.h"
#include "ctl/print/text.h"
#include "ctl/pull.h"
#include "ctl/seal.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Minutes(30);

struct Flags {
  std::string file;
  std::string password_file;
  std::string output;
  bool force = false;
  bool replace = false;
  bool dry_run = false;
  bool yes = false;
};

bool IsStandard(const Flags& flags) { return flags.file == "-"; }

absl::Time Deadline(Context& context) {
  return context.clock.Now() + context.Timeout(kDefaultTimeout);
}

// The archive's password, sealed to the daemon.
absl::StatusOr<std::string> Password(Context& context, const Flags& flags,
                                     bool twice) {
  if (flags.password_file.empty() && !context.io.in_tty()) {
    return UsageError(
        "give --password-file FILE (- for standard input): there is no "
        "terminal to ask for the password");
  }
  ValueSource source;
  source.file = flags.password_file;
  source.password = true;
  source.twice = twice;
  ASSIGN_OR_RETURN(Value password, ReadValue(context, source));
  return SealValue(context, std::move(password));
}

// A bar on a terminal, and nothing elsewhere.
class Progress {
 public:
  Progress(Context& context, const std::string& name, const std::string& status,
           int64_t total)
      : printer_(context.io, context.clock, !context.io.err_tty()) {
    state_.set_id(name);
    state_.set_status(status);
    state_.set_total(total);
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

// What is left of a call that broke.
absl::Status Unfinished(const absl::Status& status) {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) {
    return status;
  }
  return WithRemedy(
      Annotate(status,
               "restore: whether it was made is not known; it was as a whole, "
               "or not at all"),
      "look (ctl get services -A), or run it again, with --replace: a second "
      "time changes nothing more");
}

absl::StatusOr<int> Backup(Context& context, const Flags& flags) {
  if (flags.file.empty()) {
    return UsageError("name a file; - is standard output");
  }
  std::optional<OutputFile> file;
  if (!IsStandard(flags)) {
    ASSIGN_OR_RETURN(OutputFile made,
                     OutputFile::Create(flags.file, flags.force));
    file.emplace(std::move(made));
  } else if (context.io.out_tty()) {
    return UsageError("the archive is no text: send standard output elsewhere");
  }
  v1::BackupStateRequest request;
  ASSIGN_OR_RETURN(*request.mutable_sealed_password(),
                   Password(context, flags, true));
  Progress progress(context, "backup", "receiving", 0);
  const absl::Status status = context.client().BackupState(
      request, Deadline(context), [&](absl::string_view data) -> absl::Status {
        progress.Add(data.size());
        if (file.has_value()) return file->Write(data);
        context.io.Out(data);
        const int lost = context.io.out_error();
        return lost == 0 ? absl::OkStatus()
                         : ErrnoStatus(lost, "write", "standard output");
      });
  progress.Finish();
  RETURN_IF_ERROR(status);
  if (!file.has_value()) return kExitOk;
  RETURN_IF_ERROR(file->Commit());
  context.io.Out(absl::StrCat("the control state is in ", flags.file, " (",
                              HumanSize(file->size()),
                              "); without its password nobody can read it\n"));
  return kExitOk;
}

// The archive, from its start.
class Archive {
 public:
  static absl::StatusOr<Archive> Open(Context& context, const Flags& flags) {
    Archive archive;
    if (IsStandard(flags)) {
      archive.fd_ = context.io.in_fd();
      archive.name_ = "standard input";
      return archive;
    }
    archive.name_ = flags.file;
    archive.file_.Reset(open(flags.file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!archive.file_.ok()) return ErrnoStatus("open", flags.file);
    archive.fd_ = archive.file_.get();
    struct stat info;
    if (fstat(archive.fd_, &info) != 0) return ErrnoStatus("read", flags.file);
    if (S_ISREG(info.st_mode)) {
      archive.regular_ = true;
      archive.size_ = info.st_size;
    } else if (S_ISDIR(info.st_mode)) {
      return UsageError(absl::StrCat(flags.file, " is a folder, no backup"));
    }
    return archive;
  }

  // Else it can be sent only once.
  bool IsRegular() const { return regular_; }

  absl::StatusOr<v1::RestoreStateResponse> Send(
      Context& context, const v1::RestoreStateOptions& options) {
    if (sent_ && lseek(fd_, 0, SEEK_SET) != 0) {
      return ErrnoStatus("read again", name_);
    }
    sent_ = true;
    Progress progress(context, "restore",
                      options.validate_only() ? "checking" : "sending", size_);
    const Client::Source source = FileSource(fd_, name_);
    absl::StatusOr<v1::RestoreStateResponse> response =
        context.client().RestoreState(
            options, Deadline(context), [&]() -> absl::StatusOr<std::string> {
              absl::StatusOr<std::string> piece = source();
              if (piece.ok()) progress.Add(piece->size());
              return piece;
            });
    progress.Finish();
    if (response.ok()) return response;
    return Annotate(response.status(), name_);
  }

 private:
  Archive() = default;

  std::string name_;
  UniqueFd file_;  // none: standard input
  int fd_ = -1;
  int64_t size_ = 0;  // 0: not known
  bool regular_ = false;
  bool sent_ = false;
};

std::string Outcome(const v1::RestoreStateResponse& response,
                    absl::string_view verb) {
  std::string out = absl::StrCat(
      response.objects(), response.objects() == 1 ? " object " : " objects ",
      verb, " declared as of ", FormatTimestamp(response.backup_time()));
  if (response.results().empty()) return out;
  return absl::StrCat(out, ": ", CountResults(response.results()));
}

// What was found, before anything is changed.
void Show(Context& context, const Flags& flags,
          const v1::RestoreStateResponse& response) {
  if (PrintMessage(context, response, flags.output)) return;
  context.io.Out(
      absl::StrCat(FormatResults(response.results(), context.io.color()),
                   Outcome(response, "would be"), "\n"));
}

absl::StatusOr<bool> Agrees(Context& context) {
  context.io.Err("Go on? [y/N] ");
  char answer = 0;
  char last = 0;
  while (last != '\n') {
    const ssize_t n = read(context.io.in_fd(), &last, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    if (answer == 0) answer = last;
  }
  return answer == 'y' || answer == 'Y';
}

absl::Status CheckRestore(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  // Else an answer would stand between two documents.
  if (!flags.output.empty() && !flags.dry_run && !flags.yes) {
    return UsageError("-o goes with --dry-run or --yes");
  }
  if (IsStandard(flags) && flags.password_file.empty()) {
    return UsageError(
        "give --password-file FILE: standard input is the archive");
  }
  if (IsStandard(flags) && flags.password_file == "-") {
    return UsageError(
        "standard input is the archive, and cannot be the password as well");
  }
  if (flags.dry_run || flags.yes) return absl::OkStatus();
  if (context.io.in_tty() && !IsStandard(flags)) return absl::OkStatus();
  return UsageError(
      "give --yes, as nobody can be asked here, or --dry-run to look first");
}

absl::StatusOr<int> Restore(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckRestore(context, flags));
  ASSIGN_OR_RETURN(Archive archive, Archive::Open(context, flags));
  v1::RestoreStateOptions options;
  ASSIGN_OR_RETURN(*options.mutable_sealed_password(),
                   Password(context, flags, false));
  options.set_replace(flags.replace);
  if (!flags.dry_run && !flags.yes && !archive.IsRegular()) {
    return UsageError(absl::StrCat("give --yes, or --dry-run to look first: ",
                                   flags.file, " can be read only once"));
  }
  if (flags.dry_run || !flags.yes) {
    options.set_validate_only(true);
    ASSIGN_OR_RETURN(const v1::RestoreStateResponse response,
                     archive.Send(context, options));
    Show(context, flags, response);
    if (flags.dry_run) return kExitOk;
    ASSIGN_OR_RETURN(const bool agreed, Agrees(context));
    if (!agreed) {
      return absl::CancelledError("restore: not wanted; nothing was changed");
    }
    options.set_validate_only(false);
  }
  const absl::StatusOr<v1::RestoreStateResponse> response =
      archive.Send(context, options);
  if (!response.ok()) return Unfinished(response.status());
  if (!flags.output.empty()) {
    Show(context, flags, *response);
    return kExitOk;
  }
  context.io.Out(absl::StrCat(Outcome(*response, "are"),
                              "; ctl get services -A shows them start\n"));
  return kExitOk;
}

}  // namespace

void AddBackup(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  const char* const password =
      "Read the password from this file, one line; - for standard input";
  Command(app, context, "backup",
          "Write everything that is declared, secrets with it, to an encrypted "
          "file: services,\njobs, configs, roles, …; not what is in volumes "
          "(ctl volume backup), nor images")
      .Word("FILE", flags->file, "Where to; - for standard output",
            Command::kRequired)
      .Option("--password-file", flags->password_file, password)
      .Flag("-f,--force", flags->force, "Replace a file that is there")
      .Action([flags](Context& c) { return Backup(c, *flags); });
  Command(
      app, context, "restore",
      "Declare everything as it was in a file that ctl backup wrote, in one "
      "write or not\nat all")
      .Word("FILE", flags->file, "Where from; - for standard input",
            Command::kRequired)
      .Option("--password-file", flags->password_file, password)
      .Flag("--replace", flags->replace,
            "Also if something is declared here; what is not in the file is "
            "deleted, but for volumes")
      .Flag("--dry-run", flags->dry_run,
            "Check the file, say what would become of each object, and change "
            "nothing")
      .Option("-o,--output", flags->output,
              "Print what becomes of each object: json, yaml")
      .Flag("-y,--yes", flags->yes, "Do not ask")
      .Action([flags](Context& c) { return Restore(c, *flags); });
}

}  // namespace bulwark::ctl
