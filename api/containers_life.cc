// Processes, pauses, signals and ends of containers.
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/container_lookup.h"
#include "api/containers_service.h"
#include "api/convert.h"
#include "api/errors.h"
#include "api/image_progress.h"
#include "api/record_target.h"
#include "base/signals.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kWaitPoll = absl::Milliseconds(20);

v1::Process ToProcess(const engine::ContainerProcess& from) {
  v1::Process process;
  process.set_pid(from.pid);
  process.set_container_pid(from.container_pid);
  process.set_parent_pid(from.parent_pid);
  process.set_uid(from.uid);
  process.set_user(from.user);
  process.set_state(std::string(1, from.state));
  process.set_cpu_usec(absl::ToInt64Microseconds(from.cpu));
  process.set_memory_bytes(from.memory_bytes);
  *process.mutable_start_time() = ToTimestamp(from.start_time);
  for (const std::string& word : from.command) process.add_command(word);
  return process;
}

// How the container of the target has ended; nothing if it has not.
std::optional<v1::ExitResult> ExitOf(engine::Engine& engine,
                                     const ContainerTarget& target) {
  if (!target.status.id().empty()) {
    const absl::StatusOr<engine::ContainerInfo> info =
        engine.Inspect(target.status.id());
    if (info.ok() && info->state == engine::ContainerState::kExited) {
      return ToExitResult(info->exit);
    }
    if (info.ok()) return std::nullopt;
  }
  if (!target.replica_ended && !target.owner_ended) return std::nullopt;
  // What is left of it is its record.
  v1::ExitResult exit;
  const bool ran =
      target.status.has_start_time() || target.status.has_finish_time();
  exit.set_exit_code(
      ran || target.status.exit_code() != 0 ? target.status.exit_code() : 125);
  exit.set_oom_killed(target.status.oom_killed());
  if (!ran) {
    exit.set_message(target.replica.status().message().empty()
                         ? target.message
                         : target.replica.status().message());
  }
  return exit;
}

// The template that the replica was made of.
const v1::Container* FindDeclared(const v1::Template& t,
                                  const std::string& name) {
  for (const auto* list :
       {&t.containers(), &t.sidecars(), &t.init_containers()}) {
    for (const v1::Container& container : *list) {
      if (container.name() == name) return &container;
    }
  }
  return nullptr;
}

// What it was started with beyond its image.
void SetConfig(const v1::Container& declared, engine::ImageConfig& config) {
  config.entrypoint.assign(declared.command().begin(),
                           declared.command().end());
  config.command.assign(declared.args().begin(), declared.args().end());
  config.user = declared.user();
  config.working_dir = declared.working_dir();
  for (const v1::EnvVar& variable : declared.env()) {
    config.env.push_back(absl::StrCat(variable.name(), "=", variable.value()));
  }
}

}  // namespace

absl::StatusOr<engine::ContainerAccess*> ContainersService::Access() const {
  if (access_ != nullptr) return access_;
  return absl::UnimplementedError("reach a container: not served here");
}

grpc::Status ContainersService::Processes(grpc::ServerContext* context,
                                          const v1::ProcessesRequest* request,
                                          v1::ProcessesResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Processes", *request,
      [&](const Caller&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ContainerAccess * access, Access());
        ASSIGN_OR_RETURN(
            const ContainerRef container,
            FindRunning(store_, ProjectOr(request->project()),
                        request->target(), request->container(), false));
        const auto processes = access->Processes(container.id);
        if (!processes.ok()) {
          return InWordsOfUsers(processes.status(), container);
        }
        for (const engine::ContainerProcess& process : *processes) {
          *response->add_processes() = ToProcess(process);
        }
        return absl::OkStatus();
      });
}

template <typename Request>
absl::Status ContainersService::SetPaused(const Caller& caller,
                                          const Request& request, bool paused) {
  ASSIGN_OR_RETURN(engine::ContainerAccess * access, Access());
  ASSIGN_OR_RETURN(const ContainerRef container,
                   FindRunning(store_, ProjectOr(request.project()),
                               request.target(), request.container(), true));
  ReferToReplica(store_, request.project(), container.replica, caller);
  return InWordsOfUsers(access->SetPaused(container.id, paused), container);
}

grpc::Status ContainersService::Pause(grpc::ServerContext* context,
                                      const v1::PauseRequest* request,
                                      v1::PauseResponse*) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Pause", *request,
      [&](const Caller& caller) { return SetPaused(caller, *request, true); });
}

grpc::Status ContainersService::Unpause(grpc::ServerContext* context,
                                        const v1::UnpauseRequest* request,
                                        v1::UnpauseResponse*) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Unpause", *request,
      [&](const Caller& caller) { return SetPaused(caller, *request, false); });
}

grpc::Status ContainersService::Signal(grpc::ServerContext* context,
                                       const v1::SignalRequest* request,
                                       v1::SignalResponse*) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Signal", *request,
      [&](const Caller& caller) -> absl::Status {
        const std::optional<int> signal = ParseSignal(
            request->signal().empty() ? "SIGKILL" : request->signal());
        if (!signal.has_value()) {
          return WithRemedy(absl::InvalidArgumentError(absl::StrCat(
                                "signal ", request->target(), ": \"",
                                request->signal(), "\" is no signal")),
                            "write it as HUP, SIGHUP or 1");
        }
        ASSIGN_OR_RETURN(
            const ContainerRef container,
            FindRunning(store_, ProjectOr(request->project()),
                        request->target(), request->container(), true));
        ReferToReplica(store_, request->project(), container.replica, caller);
        return InWordsOfUsers(engine_.Signal(container.id, *signal), container);
      });
}

grpc::Status ContainersService::Wait(grpc::ServerContext* context,
                                     const v1::WaitRequest* request,
                                     v1::WaitResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Wait", *request,
      [&](const Caller& caller) -> absl::Status {
        const std::string project = ProjectOr(request->project());
        std::string target = request->target();
        for (;;) {
          ASSIGN_OR_RETURN(
              const ContainerTarget found,
              FindTarget(store_, project, target, request->container(), true));
          const std::optional<v1::ExitResult> exit = ExitOf(engine_, found);
          if (exit.has_value()) {
            *response->mutable_exit() = *exit;
            return absl::OkStatus();
          }
          // Of a service, the one that there is now is meant.
          if (!found.replica.metadata().name().empty()) {
            target = found.replica.metadata().name();
          }
          if (context->IsCancelled()) {
            return absl::CancelledError("wait: the client is gone");
          }
          if (stopper_.stopping()) {
            return absl::UnavailableError("wait: the daemon is stopping");
          }
          RETURN_IF_ERROR(caller.Require(Right::kView, project, "wait"));
          clock_.Sleep(kWaitPoll);
        }
      });
}

absl::Status ContainersService::CommitChecked(const Caller& caller,
                                              const v1::CommitRequest& request,
                                              v1::CommitResponse& response) {
  ASSIGN_OR_RETURN(engine::ContainerAccess * access, Access());
  ASSIGN_OR_RETURN(engine::ContainerFiles * files, Files());
  if (commits_ == nullptr) {
    return absl::UnimplementedError("commit a container: not served here");
  }
  const std::string project = ProjectOr(request.project());
  // A name can be taken from another image.
  RETURN_IF_ERROR(caller.Require(Right::kImages, project, "make an image"));
  ASSIGN_OR_RETURN(
      const ContainerTarget found,
      FindTarget(store_, project, request.target(), request.container(), true));
  if (found.status.id().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "commit ", request.target(), ": nothing of it was started"));
  }
  const ContainerRef container = found.Ref();
  ReferToReplica(store_, project, container.replica, caller);
  engine::CommitRequest commit;
  commit.base = found.status.image_digest();
  if (!request.reference().empty()) commit.tags = {request.reference()};
  commit.author = request.author();
  commit.message = request.message();
  commit.changes.assign(request.changes().begin(), request.changes().end());
  ASSIGN_OR_RETURN(const v1::Template declared,
                   FindTemplate(store_, project, found.replica));
  if (const v1::Container* c = FindDeclared(declared, found.container)) {
    SetConfig(*c, commit.config);
  }
  const auto upper = files->WritableLayer(container.id);
  if (!upper.ok()) return InWordsOfUsers(upper.status(), container);
  commit.upper_dir = *upper;
  // One that is paused stays so; one that has exited needs no standstill.
  const absl::StatusOr<engine::ContainerInfo> info =
      engine_.Inspect(container.id);
  std::unique_ptr<engine::Standstill> standstill;
  if (!request.no_pause() && info.ok() &&
      info->state == engine::ContainerState::kRunning) {
    auto still = access->HoldStill(container.id);
    if (!still.ok() && !absl::IsFailedPrecondition(still.status())) {
      return InWordsOfUsers(still.status(), container);
    }
    if (still.ok()) standstill = *std::move(still);
  }
  const absl::StatusOr<engine::Image> image = commits_->Commit(commit);
  if (standstill != nullptr) {
    const absl::Status resumed = standstill->End();
    if (!resumed.ok()) return InWordsOfUsers(resumed, container);
  }
  RETURN_IF_ERROR(image.status());
  *response.mutable_image() = ToImageInfo(*image);
  return absl::OkStatus();
}

grpc::Status ContainersService::Commit(grpc::ServerContext* context,
                                       const v1::CommitRequest* request,
                                       v1::CommitResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Containers/Commit", *request,
                   [&](const Caller& caller) {
                     return CommitChecked(caller, *request, *response);
                   });
}

grpc::Status ContainersService::Inspect(grpc::ServerContext* context,
                                        const v1::InspectRequest* request,
                                        v1::InspectResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Inspect", *request,
      [&](const Caller&) -> absl::Status {
        const std::string project = ProjectOr(request->project());
        ASSIGN_OR_RETURN(const ContainerTarget found,
                         FindTarget(store_, project, request->target(),
                                    request->container(), false));
        if (found.replica.metadata().name().empty()) {
          return absl::FailedPreconditionError(
              absl::StrCat("inspect ", request->target(),
                           ": nothing of it has been started"));
        }
        *response->mutable_replica() = found.replica;
        *response->mutable_status() = found.status;
        response->set_image_digest(found.status.image_digest());
        ASSIGN_OR_RETURN(const v1::Template declared,
                         FindTemplate(store_, project, found.replica));
        if (const v1::Container* container =
                FindDeclared(declared, found.container)) {
          *response->mutable_container() = *container;
        }
        if (found.status.id().empty()) return absl::OkStatus();
        const absl::StatusOr<engine::ContainerInfo> info =
            engine_.Inspect(found.status.id());
        if (!info.ok()) return absl::OkStatus();  // it has been removed
        response->set_paused(info->paused);
        response->set_log_path(info->log_path);
        response->set_id_base(info->ids.first);
        response->mutable_labels()->insert(info->labels.begin(),
                                           info->labels.end());
        if (info->state == engine::ContainerState::kExited) {
          return absl::OkStatus();
        }
        for (const char* name :
             {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}) {
          response->add_namespaces(
              absl::StrCat("/proc/", info->pid, "/ns/", name));
        }
        return absl::OkStatus();
      });
}

}  // namespace bulwark::api
