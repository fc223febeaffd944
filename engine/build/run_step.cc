#include "engine/build/run_step.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/status.h"

namespace bulwark::engine::build {
namespace {

constexpr char kLabel[] = "bulwark.build";
constexpr char kDefaultPath[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// How often cancellation is looked for.
constexpr absl::Duration kTick = absl::Milliseconds(200);

void Discard(Engine* engine, const std::string& id) {
  absl::Status status = engine->Kill(id);
  if (status.ok() || absl::IsNotFound(status)) status = engine->Remove(id);
  if (!status.ok() && !absl::IsNotFound(status)) {
    LOG_WARN("cannot remove the container of a build step",
             {{"id", id}, {"error", status}});
  }
}

// Prints until the log ends, which is when the container exits.
absl::Status PrintLog(BuildContext* context, const std::string& id,
                      const std::function<void(absl::string_view)>& print) {
  LogOptions options;
  options.follow = true;
  ASSIGN_OR_RETURN(std::unique_ptr<LogReader> reader,
                   context->options.engine->Logs(id, options));
  for (;;) {
    RETURN_IF_ERROR(context->reporter->Check());
    absl::StatusOr<LogEntry> entry = reader->Next(kTick);
    if (entry.ok()) {
      print(entry->line);
    } else if (absl::IsOutOfRange(entry.status())) {
      return absl::OkStatus();
    } else if (!absl::IsDeadlineExceeded(entry.status())) {
      return entry.status();
    }
  }
}

absl::StatusOr<ExitInfo> AwaitExit(BuildContext* context,
                                   const std::string& id) {
  for (;;) {
    RETURN_IF_ERROR(context->reporter->Check());
    ASSIGN_OR_RETURN(ContainerInfo info, context->options.engine->Inspect(id));
    if (info.state == ContainerState::kExited) return info.exit;
    context->options.clock->Sleep(absl::Milliseconds(20));
  }
}

absl::Status StatusOfExit(const ExitInfo& exit) {
  if (!exit.launch_error.empty()) {
    return absl::InvalidArgumentError(exit.launch_error);
  }
  if (exit.oom_killed) {
    return absl::ResourceExhaustedError("the command ran out of memory");
  }
  if (!exit.unknown_reason.empty()) {
    return absl::UnavailableError(
        absl::StrCat("its end is unknown: ", exit.unknown_reason));
  }
  if (exit.code == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      exit.signal != 0
          ? absl::StrCat("the command was ended by signal ", exit.signal)
          : absl::StrCat("the command failed with exit status ", exit.code));
}

// Mount points that the container needed but the image does not have, and
// /etc if it was only copied up for them.
absl::Status RemoveMountPoints(const StageImage& stage,
                               const std::string& upper_dir) {
  ASSIGN_OR_RETURN(FileTree below, FileTree::Open(stage.Directories()));
  UniqueFd upper(open(upper_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!upper.ok()) return ErrnoStatus("open", upper_dir);
  bool removed_file = false;
  for (const char* path : {"etc/resolv.conf", "etc/hosts", "etc/hostname",
                           "etc", "proc", "sys", "dev"}) {
    struct stat st;
    if (fstatat(upper.get(), path, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
    absl::StatusOr<FileTree::Node> old = below.Lookup(path, false);
    char mark;
    bool opaque = getxattr(absl::StrCat(upper_dir, "/", path).c_str(),
                           "trusted.overlay.opaque", &mark, 1) == 1;
    bool unchanged = !opaque && removed_file && old.ok() &&
                     old->IsDirectory() && old->stat.st_mode == st.st_mode &&
                     old->stat.st_uid == st.st_uid &&
                     old->stat.st_gid == st.st_gid;
    if (old.ok() && !unchanged) continue;
    // Directories only go if they are empty.
    if (S_ISDIR(st.st_mode)) unlinkat(upper.get(), path, AT_REMOVEDIR);
    if (S_ISREG(st.st_mode) && st.st_size == 0) {
      removed_file = unlinkat(upper.get(), path, 0) == 0 || removed_file;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerSpec> SpecFor(BuildContext* context,
                                      const StageImage& stage,
                                      const RunStep& step,
                                      const std::string& upper_dir) {
  ContainerSpec spec;
  spec.id = absl::StrCat("build-", NewUid(*context->options.entropy));
  spec.labels = {{kLabel, context->file_name}};
  spec.layers = stage.Directories();
  spec.upper_dir = upper_dir;
  spec.args = step.args;
  spec.env = step.env;
  bool has_path = false;
  for (const std::string& entry : spec.env) {
    has_path = has_path || entry.rfind("PATH=", 0) == 0;
  }
  if (!has_path) spec.env.push_back(kDefaultPath);
  spec.cwd = step.cwd;
  spec.user = step.user;
  spec.hostname = "build";
  spec.profile = SecurityProfile::kBuild;
  if (step.network && context->options.network != nullptr) {
    if (!context->network.has_value()) {
      ASSIGN_OR_RETURN(context->network, context->options.network());
    }
    spec.network_namespace = context->network->network_namespace;
    spec.nameservers = context->network->nameservers;
    spec.search_domains = context->network->search_domains;
  }
  return spec;
}

}  // namespace

absl::Status RunInContainer(
    BuildContext* context, const StageImage& stage, const RunStep& step,
    const std::string& upper_dir,
    const std::function<void(absl::string_view)>& print) {
  Engine* engine = context->options.engine;
  if (engine == nullptr) {
    return absl::FailedPreconditionError(
        "there is no container engine to run commands with");
  }
  ASSIGN_OR_RETURN(ContainerSpec spec,
                   SpecFor(context, stage, step, upper_dir));
  auto discard =
      absl::MakeCleanup([engine, &spec] { Discard(engine, spec.id); });
  RETURN_IF_ERROR(engine->Start(spec).status());
  RETURN_IF_ERROR(PrintLog(context, spec.id, print));
  ASSIGN_OR_RETURN(ExitInfo exit, AwaitExit(context, spec.id));
  RETURN_IF_ERROR(StatusOfExit(exit));
  std::move(discard).Invoke();  // before the layer is read
  return RemoveMountPoints(stage, upper_dir);
}

absl::Status RemoveAbandonedBuilds(Engine* engine) {
  absl::Status result;
  for (const ContainerInfo& info : engine->List()) {
    if (info.labels.count(kLabel) == 0) continue;
    result.Update(engine->Kill(info.id));
    result.Update(engine->Remove(info.id));
  }
  return result;
}

}  // namespace bulwark::engine::build
