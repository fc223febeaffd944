#include "engine/build/run_step.h"

#include <iterator>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/build/file_tree.h"
#include "engine/build/mount_points.h"
#include "engine/standard_mounts.h"
#include "os/files.h"
#include "os/measure.h"

namespace bulwark::engine::build {
namespace {

constexpr char kLabel[] = "bulwark.build";
constexpr char kDefaultPath[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int64_t kMaxResolvConfBytes = 64 << 10;
// How often cancellation is looked for.
constexpr absl::Duration kTick = absl::Milliseconds(200);
// With less left on the disk, a command may have failed for that. The store has
// a reserve, which it may have given up meanwhile.
constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kLittleSpace = 64 * kMiB;

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
                      const PrintLine& print) {
  LogOptions options;
  options.follow = true;
  ASSIGN_OR_RETURN(std::unique_ptr<LogReader> reader,
                   context->options.engine->Logs(id, options));
  for (;;) {
    RETURN_IF_ERROR(context->reporter->Check());
    absl::StatusOr<LogEntry> entry = reader->Next(kTick);
    if (entry.ok()) {
      print(entry->line, entry->is_stderr);
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

// A command that finds the disk full can hardly say so: what it prints is kept
// there, too.
absl::Status WithSpaceLeft(const absl::Status& status,
                           const std::string& directory) {
  if (status.ok()) return status;
  const absl::StatusOr<int64_t> left = os::FreeBytes(directory);
  if (!left.ok() || *left >= kLittleSpace) return status;
  return absl::Status(
      status.code(),
      absl::StrCat(status.message(), "; the disk of the images has ",
                   *left / kMiB, " MiB left: free some space there"));
}

// "nameserver" and "search" lines of the host's resolv.conf (resolv.conf(5)).
void UseHostNames(ContainerSpec* spec) {
  absl::StatusOr<std::string> text =
      os::ReadFile("/etc/resolv.conf", kMaxResolvConfBytes);
  if (!text.ok()) return;  // then the step has no names, and says so
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") spec->nameservers.push_back(words[1]);
    if (words[0] == "search") {
      spec->search_domains.assign(words.begin() + 1, words.end());
    }
  }
}

absl::StatusOr<IdRange> OwnIds(BuildContext* context, StageSandbox* sandbox) {
  if (context->options.users == nullptr) return IdRange();
  if (!sandbox->users.has_value()) {
    ASSIGN_OR_RETURN(sandbox->users, context->options.users());
  }
  return sandbox->users->ids;
}

absl::Status SetNetwork(BuildContext* context, RunStep::Network wanted,
                        StageSandbox* sandbox, ContainerSpec* spec) {
  switch (wanted) {
    case RunStep::Network::kNone:
      return absl::OkStatus();
    case RunStep::Network::kHost:
      spec->network_namespace = "/proc/self/ns/net";
      UseHostNames(spec);
      return absl::OkStatus();
    case RunStep::Network::kDefault:
      break;
  }
  if (context->options.network == nullptr) return absl::OkStatus();
  std::optional<BuildNetwork>& network = sandbox->network;
  if (!network.has_value()) {
    // Whatever the first step is: those that follow share it.
    ASSIGN_OR_RETURN(const IdRange ids, OwnIds(context, sandbox));
    ASSIGN_OR_RETURN(network, context->options.network(ids));
  }
  spec->network_namespace = network->network_namespace;
  spec->nameservers = network->nameservers;
  spec->search_domains = network->search_domains;
  return absl::OkStatus();
}

absl::StatusOr<ContainerSpec> SpecFor(BuildContext* context,
                                      const StageImage& stage,
                                      const RunStep& step,
                                      const std::string& upper_dir,
                                      StageSandbox* sandbox) {
  const BuildRequest& request = context->request;
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
  spec.mounts = step.mounts;
  spec.shm_bytes = request.shm_size_bytes;
  for (const auto& [name, address] : request.extra_hosts) {
    spec.hosts.emplace_back(name, address);
  }
  spec.profile =
      step.insecure ? SecurityProfile::kPrivileged : SecurityProfile::kBuild;
  ASSIGN_OR_RETURN(spec.ids, IdsFor(context, step, sandbox));
  RETURN_IF_ERROR(SetNetwork(context, step.network, sandbox, &spec));
  return spec;
}

}  // namespace

absl::StatusOr<IdRange> IdsFor(BuildContext* context, const RunStep& step,
                               StageSandbox* sandbox) {
  if (step.HasHostUsers()) return IdRange();
  return OwnIds(context, sandbox);
}

absl::Status RunInContainer(BuildContext* context, const StageImage& stage,
                            const RunStep& step, const std::string& upper_dir,
                            StageSandbox* sandbox, const PrintLine& print) {
  Engine* engine = context->options.engine;
  if (engine == nullptr) {
    return absl::FailedPreconditionError(
        "there is no container engine to run commands with");
  }
  ASSIGN_OR_RETURN(ContainerSpec spec,
                   SpecFor(context, stage, step, upper_dir, sandbox));
  auto discard =
      absl::MakeCleanup([engine, &spec] { Discard(engine, spec.id); });
  RETURN_IF_ERROR(engine->Start(spec).status());
  RETURN_IF_ERROR(PrintLog(context, spec.id, print));
  ASSIGN_OR_RETURN(ExitInfo exit, AwaitExit(context, spec.id));
  RETURN_IF_ERROR(WithSpaceLeft(StatusOfExit(exit), upper_dir));
  std::move(discard).Invoke();  // before the layer is read
  std::vector<std::string> mount_points;
  for (const Mount& mount : step.mounts) {
    mount_points.push_back(mount.destination);
  }
  // The files of /etc first: it goes with the last of them.
  mount_points.insert(mount_points.end(), std::begin(kMountedFiles),
                      std::end(kMountedFiles));
  mount_points.insert(mount_points.end(), std::begin(kMountedFolders),
                      std::end(kMountedFolders));
  ASSIGN_OR_RETURN(FileTree below, FileTree::Open(stage.Directories()));
  return RemoveMountPoints(below, upper_dir, mount_points);
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
