// ctl volume: data that outlives services.
#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/commands/commands.h"
#include "ctl/describe.h"
#include "ctl/errors.h"
#include "ctl/message_form.h"
#include "ctl/objects.h"
#include "ctl/print/table.h"
#include "ctl/print/text.h"
#include "ctl/volume_users.h"
#include "ctl/wait.h"
#include "manifest/scalar.h"

namespace bulwark::ctl {
namespace {

// Of what takes as long as the data.
constexpr absl::Duration kDefaultWait = absl::Minutes(30);

struct Flags {
  std::string name;
  std::string second;
  std::string driver = "local";
  std::string size;
  std::string access = "shared";
  std::string snapshot;
  std::string repository;
  std::string password_secret;
  std::string backup;
  std::string output;
  int64_t keep = 0;
  bool protect = false;
  bool remove = false;
  bool all_projects = false;
  bool wait = false;
  bool force = false;
};

absl::Time Deadline(Context& context) {
  return context.clock.Now() + context.Timeout(kDefaultWait);
}

absl::StatusOr<std::string> Name(const std::string& word) {
  return NameOfKind(word, "volume");
}

const manifest::Kind& VolumeKind() { return *manifest::FindKind("volume"); }

// "image" -> IMAGE; a usage error lists what there is.
template <typename Enum>
absl::StatusOr<Enum> EnumOf(const google::protobuf::EnumDescriptor& type,
                            absl::string_view flag, const std::string& word) {
  std::vector<std::string> words;
  for (int i = 0; i < type.value_count(); ++i) {
    const auto* value = type.value(i);
    if (value->number() == 0) continue;
    words.push_back(manifest::EnumWord(*value));
    if (words.back() == word) return static_cast<Enum>(value->number());
  }
  return UsageError(absl::StrCat(flag, " \"", word, "\" is none of ",
                                 absl::StrJoin(words, ", ")));
}

absl::StatusOr<int> Create(Context& context, const Flags& flags) {
  v1::ApplyRequest request;
  v1::Volume& volume = *request.add_objects()->mutable_volume();
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  volume.mutable_metadata()->set_name(name);
  volume.mutable_metadata()->set_project(context.ProjectOrDefault());
  ASSIGN_OR_RETURN(const auto driver, EnumOf<v1::VolumeSpec::Driver>(
                                          *v1::VolumeSpec::Driver_descriptor(),
                                          "--driver", flags.driver));
  ASSIGN_OR_RETURN(const auto access, EnumOf<v1::VolumeSpec::Access>(
                                          *v1::VolumeSpec::Access_descriptor(),
                                          "--access", flags.access));
  volume.mutable_spec()->set_driver(driver);
  volume.mutable_spec()->set_access(access);
  volume.mutable_spec()->set_protect(flags.protect);
  if (!flags.size.empty()) {
    const absl::StatusOr<int64_t> size = ParseBytes(flags.size);
    if (!size.ok()) return UsageError(size.status().message());
    volume.mutable_spec()->set_size(*size);
  }
  v1::GetRequest get;
  get.set_kind("volume");
  get.set_project(context.ProjectOrDefault());
  get.set_name(name);
  const absl::Status existing = context.client().Get(get).status();
  if (existing.ok()) {
    return WithRemedy(
        absl::AlreadyExistsError(absl::StrCat("volume ", name, " exists")),
        "change it with ctl apply, or choose another name");
  }
  if (existing.code() != absl::StatusCode::kNotFound) return existing;
  ASSIGN_OR_RETURN(const v1::ApplyResponse response,
                   context.client().Apply(request));
  for (const v1::ApplyResult& result : response.results()) {
    for (const std::string& warning : result.warnings()) {
      context.io.Err(absl::StrCat("warning: ", warning, "\n"));
    }
  }
  context.io.Out(absl::StrCat("volume ", name, " created\n"));
  return kExitOk;
}

absl::StatusOr<int> List(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const OutputForm output, ParseOutputForm(flags.output));
  ListOptions options;
  options.all_projects = flags.all_projects;
  ASSIGN_OR_RETURN(const Listing listing,
                   ListObjects(context, VolumeKind(), options));
  if (!IsTable(output)) {
    PrintObjects(context, listing.objects, output, false);
    return kExitOk;
  }
  const TableForm form{.wide = output == OutputForm::kWide,
                       .projects = flags.all_projects};
  Table table(HeaderOf(VolumeKind(), form), context.io.color());
  for (const v1::Object& object : listing.objects) {
    table.Add(RowOf(object, form, context.clock.Now()));
  }
  context.io.Out(table.empty() ? "no volumes\n" : table.Take());
  return kExitOk;
}

absl::StatusOr<int> Describe(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const OutputForm form, ParseObjectForm(flags.output));
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  ASSIGN_OR_RETURN(const v1::Object object,
                   GetObject(context, VolumeKind(), name));
  if (form == OutputForm::kTable) {
    RETURN_IF_ERROR(DescribeObject(context, object));
  } else {
    PrintObjects(context, {object}, form, true);
  }
  return kExitOk;
}

absl::StatusOr<int> Snapshots(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  ASSIGN_OR_RETURN(const v1::Object object,
                   GetObject(context, VolumeKind(), name));
  // Nothing else of its status.
  v1::VolumeStatus status;
  *status.mutable_snapshots() = object.volume().status().snapshots();
  if (PrintMessage(context, status, flags.output)) return kExitOk;
  Table table({"NAME", "SIZE", "BY", "AGE"});
  for (const v1::VolumeSnapshot& s : object.volume().status().snapshots()) {
    table.Add({s.name(), HumanSize(s.size_bytes()), s.actor().name(),
               Age(s.create_time(), context.clock.Now())});
  }
  context.io.Out(table.empty() ? "no snapshots\n" : table.Take());
  return kExitOk;
}

absl::StatusOr<int> Snapshot(Context& context, const Flags& flags) {
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  if (flags.remove) {
    if (flags.second.empty()) {
      return UsageError("name the snapshot that --delete is to remove");
    }
    v1::DeleteSnapshotRequest request;
    request.set_project(context.ProjectOrDefault());
    request.set_volume(name);
    request.set_snapshot(flags.second);
    RETURN_IF_ERROR(
        context.client().DeleteSnapshot(request, Deadline(context)).status());
    context.io.Out(absl::StrCat("snapshot ", flags.second, " of volume ", name,
                                " deleted\n"));
    return kExitOk;
  }
  v1::SnapshotVolumeRequest request;
  request.set_project(context.ProjectOrDefault());
  request.set_volume(name);
  request.set_snapshot(flags.second);
  ASSIGN_OR_RETURN(const v1::SnapshotVolumeResponse response,
                   context.client().SnapshotVolume(request, Deadline(context)));
  context.io.Out(absl::StrCat("snapshot ", response.snapshot().name(),
                              " of volume ", name, " made\n"));
  return kExitOk;
}

// One line for each new word on how it goes, to standard error.
Client::OnVolumeProgress Printer(Context& context,
                                 std::shared_ptr<v1::VolumeProgress> last) {
  return [&context, last](const v1::VolumeProgress& progress) {
    if (!progress.status().empty() && progress.status() != last->status()) {
      context.io.Err(absl::StrCat(progress.status(), "\n"));
    }
    *last = progress;
  };
}

absl::StatusOr<v1::BackupRepository> Repository(const Flags& flags) {
  if (flags.repository.empty() || flags.password_secret.empty()) {
    return UsageError(
        "a backup needs --repository PATH and --password-secret NAME");
  }
  if (flags.repository[0] != '/') {
    return UsageError("--repository is an absolute path of the daemon's host");
  }
  v1::BackupRepository repository;
  repository.set_path(flags.repository);
  repository.set_password_secret(flags.password_secret);
  return repository;
}

// A restore stops what has the volume. Services are there to be started again;
// what a job has done so far is lost, and may be dear.
absl::Status CheckJobs(Context& context, const std::string& volume) {
  ASSIGN_OR_RETURN(
      const Listing jobs,
      ListObjects(context, *manifest::FindKind("job"), ListOptions()));
  const std::vector<std::string> users = JobsThatMount(jobs.objects, volume);
  if (users.empty()) return absl::OkStatus();
  const std::string names = absl::StrJoin(users, ", job/");
  return WithRemedy(
      absl::FailedPreconditionError(absl::StrCat(
          "restore volume ", volume, ": job/", names,
          users.size() == 1 ? " runs and mounts it" : " run and mount it")),
      absl::StrCat("ctl wait job/", users.front(),
                   " waits for its end; with --force the restore stops what "
                   "runs, and it begins again afterwards"));
}

absl::StatusOr<int> Restore(Context& context, const Flags& flags) {
  v1::RestoreVolumeRequest request;
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  request.set_project(context.ProjectOrDefault());
  request.set_volume(name);
  const bool from_backup = !flags.backup.empty() || !flags.repository.empty();
  if (from_backup == !flags.second.empty()) {
    return UsageError(
        "name a snapshot, or a backup with --repository and --backup");
  }
  if (from_backup) {
    ASSIGN_OR_RETURN(*request.mutable_backup()->mutable_repository(),
                     Repository(flags));
    request.mutable_backup()->set_id(flags.backup);
  } else {
    request.set_snapshot(flags.second);
  }
  if (!flags.force) RETURN_IF_ERROR(CheckJobs(context, name));
  auto last = std::make_shared<v1::VolumeProgress>();
  const absl::Status status =
      context.client().RestoreVolume(request, Printer(context, last));
  if (status.code() == absl::StatusCode::kNotFound && !from_backup) {
    return WithRemedy(status, absl::StrCat("ctl volume snapshots ", name,
                                           " lists those that there are"));
  }
  RETURN_IF_ERROR(status);
  context.io.Out(absl::StrCat("volume ", name, " restored\n"));
  return kExitOk;
}

absl::StatusOr<int> Clone(Context& context, const Flags& flags) {
  v1::CloneVolumeRequest request;
  ASSIGN_OR_RETURN(const std::string source, Name(flags.name));
  ASSIGN_OR_RETURN(const std::string target, Name(flags.second));
  request.set_project(context.ProjectOrDefault());
  request.set_source(source);
  request.set_target(target);
  request.set_snapshot(flags.snapshot);
  RETURN_IF_ERROR(
      context.client().CloneVolume(request, Deadline(context)).status());
  context.io.Out(absl::StrCat("volume ", target, " made from ", source, "\n"));
  return kExitOk;
}

absl::StatusOr<int> Backup(Context& context, const Flags& flags) {
  v1::BackupVolumeRequest request;
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  request.set_project(context.ProjectOrDefault());
  request.set_volume(name);
  ASSIGN_OR_RETURN(*request.mutable_repository(), Repository(flags));
  if (flags.keep < 0 || flags.keep > 10000) {
    return UsageError("--keep is 0 to 10000");
  }
  request.set_keep(static_cast<int32_t>(flags.keep));
  auto last = std::make_shared<v1::VolumeProgress>();
  RETURN_IF_ERROR(
      context.client().BackupVolume(request, Printer(context, last)));
  context.io.Out(absl::StrCat("backup ", last->backup().id(), " of volume ",
                              name, " made, ",
                              HumanSize(last->backup().size_bytes()), "\n"));
  return kExitOk;
}

absl::StatusOr<int> Backups(Context& context, const Flags& flags) {
  RETURN_IF_ERROR(CheckMessageForm(flags.output));
  v1::ListBackupsRequest request;
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  request.set_project(context.ProjectOrDefault());
  request.set_volume(name);
  ASSIGN_OR_RETURN(*request.mutable_repository(), Repository(flags));
  ASSIGN_OR_RETURN(const v1::ListBackupsResponse response,
                   context.client().ListBackups(request, Deadline(context)));
  if (PrintMessage(context, response, flags.output)) return kExitOk;
  Table table({"ID", "SIZE", "TIME", "AGE"});
  for (const v1::VolumeBackup& backup : response.backups()) {
    table.Add({backup.id(), HumanSize(backup.size_bytes()),
               FormatTimestamp(backup.create_time()),
               Age(backup.create_time(), context.clock.Now())});
  }
  context.io.Out(table.empty() ? "no backups\n" : table.Take());
  return kExitOk;
}

absl::StatusOr<int> Delete(Context& context, const Flags& flags) {
  v1::DeleteRequest request;
  ASSIGN_OR_RETURN(const std::string name, Name(flags.name));
  v1::ObjectReference& object = *request.add_objects();
  object.set_kind("volume");
  object.set_project(context.ProjectOrDefault());
  object.set_name(name);
  RETURN_IF_ERROR(context.client().Delete(request).status());
  if (flags.wait) {
    RETURN_IF_ERROR(WaitFor(context, VolumeKind(), context.ProjectOrDefault(),
                            name, Deadline(context), true, JudgeDeleted));
  }
  context.io.Out(absl::StrCat("volume ", name, " deleted\n"));
  return kExitOk;
}

Command& RepositoryFlags(Command& command, Flags& flags) {
  return command
      .Option("--repository", flags.repository,
              "Where backups lie: an absolute path of the daemon's host")
      .Option("--password-secret", flags.password_secret,
              "The secret with the repository's password");
}

// What declares, lists and removes them.
void AddObjectCommands(CLI::App& group, Context& context,
                       std::shared_ptr<Flags> flags) {
  Command(group, context, "create", "Declare a volume")
      .Word("VOLUME", flags->name, "Its name", Command::kRequired)
      .Option("--driver", flags->driver,
              "local (a directory), image (a file system in a file, with a "
              "hard quota) or tmpfs (memory)")
      .Option("--size", flags->size, "The most that it holds, e.g. 10Gi")
      .Option("--access", flags->access, "shared or single-writer")
      .Flag("--protect", flags->protect, "Refuse to delete it")
      .Action([flags](Context& c) { return Create(c, *flags); });
  Command(group, context, "list", "List volumes")
      .Flag("-A,--all-projects", flags->all_projects, "Of every project")
      .Option("-o,--output", flags->output, kOutputForms)
      .Action([flags](Context& c) { return List(c, *flags); });
  Command(group, context, "describe", "Show all about a volume")
      .Word("VOLUME", flags->name, "The volume", Command::kRequired)
      .Option("-o,--output", flags->output, kObjectForms)
      .Action([flags](Context& c) { return Describe(c, *flags); });
  Command(group, context, "delete", "Destroy a volume and its snapshots")
      .Word("VOLUME", flags->name, "The volume", Command::kRequired)
      .Flag("--wait", flags->wait, "Return when it is gone")
      .Action([flags](Context& c) { return Delete(c, *flags); });
}

}  // namespace

void AddVolume(CLI::App& app, Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App& group =
      Command(app, context, "volume",
              "Volumes: data that outlives services, its snapshots and backups")
          .Group();
  AddObjectCommands(group, context, flags);
  Command(group, context, "snapshot", "Keep a volume as it is now")
      .Word("VOLUME", flags->name, "The volume", Command::kRequired)
      .Word("SNAPSHOT", flags->second, "Its name; default the time")
      .Flag("--delete", flags->remove, "Remove that snapshot instead")
      .Action([flags](Context& c) { return Snapshot(c, *flags); });
  Command(group, context, "snapshots", "List a volume's snapshots")
      .Word("VOLUME", flags->name, "The volume", Command::kRequired)
      .Option("-o,--output", flags->output, kMessageForms)
      .Action([flags](Context& c) { return Snapshots(c, *flags); });
  Command restore(group, context, "restore",
                  "Make a volume what a snapshot or backup of it was; its "
                  "services are stopped meanwhile, and started again");
  restore.Word("VOLUME", flags->name, "The volume", Command::kRequired)
      .Word("SNAPSHOT", flags->second, "From this snapshot")
      .Option("--backup", flags->backup,
              "From this backup; default the newest of --repository")
      .Flag("--force", flags->force,
            "Also if jobs run that mount it: they are stopped, and begin "
            "again");
  RepositoryFlags(restore, *flags).Action([flags](Context& c) {
    return Restore(c, *flags);
  });
  Command(group, context, "clone", "Make a new volume with another's content")
      .Word("SOURCE", flags->name, "The volume", Command::kRequired)
      .Word("TARGET", flags->second, "The new one", Command::kRequired)
      .Option("--snapshot", flags->snapshot,
              "As it was then; default as it is now")
      .Action([flags](Context& c) { return Clone(c, *flags); });
  Command backup(group, context, "backup",
                 "Copy a volume to a restic repository, encrypted");
  backup.Word("VOLUME", flags->name, "The volume", Command::kRequired)
      .Option("--keep", flags->keep,
              "Backups of this volume that are kept; default all");
  RepositoryFlags(backup, *flags).Action([flags](Context& c) {
    return Backup(c, *flags);
  });
  Command backups(group, context, "backups", "List a volume's backups");
  backups.Word("VOLUME", flags->name, "The volume", Command::kRequired)
      .Option("-o,--output", flags->output, kMessageForms);
  RepositoryFlags(backups, *flags).Action([flags](Context& c) {
    return Backups(c, *flags);
  });
}

}  // namespace bulwark::ctl
