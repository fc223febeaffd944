// Files of containers, in and out.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/describe.h"
#include "api/container_lookup.h"
#include "api/containers_service.h"
#include "api/convert.h"
#include "api/record_target.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

// An archive goes out in messages of any size that it comes in.
template <typename Response>
engine::TarSink SinkTo(const grpc::ServerContext& context,
                       const Stopper& stopper,
                       grpc::ServerWriter<Response>& writer) {
  return [&](absl::string_view data) -> absl::Status {
    if (stopper.stopping()) {
      return absl::UnavailableError("the daemon is stopping");
    }
    Response response;
    response.set_data(std::string(data));
    return !context.IsCancelled() && writer.Write(response)
               ? absl::OkStatus()
               : absl::CancelledError("client is gone");
  };
}

}  // namespace

absl::StatusOr<engine::ContainerFiles*> ContainersService::Files() const {
  if (files_ != nullptr) return files_;
  return absl::UnimplementedError(
      "reach files of a container: not served here");
}

template <typename Request>
absl::StatusOr<ContainerRef> ContainersService::FindFiles(
    const Caller& caller, const Request& request) const {
  ASSIGN_OR_RETURN(const ContainerTarget found,
                   FindTarget(store_, ProjectOr(request.project()),
                              request.target(), request.container(), true));
  if (found.status.id().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "reach files of ", request.target(), ": nothing of it was started"));
  }
  const ContainerRef container = found.Ref();
  ReferToReplica(store_, request.project(), container.replica, caller);
  return container;
}

grpc::Status ContainersService::CopyFrom(
    grpc::ServerContext* context, const v1::CopyFromRequest* request,
    grpc::ServerWriter<v1::CopyFromResponse>* writer) {
  return gate_.Run(*context, "/bulwark.v1.Containers/CopyFrom", *request,
                   [&](const Caller& caller) -> absl::Status {
                     ASSIGN_OR_RETURN(engine::ContainerFiles * files, Files());
                     ASSIGN_OR_RETURN(const ContainerRef container,
                                      FindFiles(caller, *request));
                     return InWordsOfUsers(
                         files->CopyFrom(container.id, request->path(),
                                         request->follow_link(),
                                         SinkTo(*context, stopper_, *writer)),
                         container);
                   });
}

grpc::Status ContainersService::Export(
    grpc::ServerContext* context, const v1::ExportRequest* request,
    grpc::ServerWriter<v1::ExportResponse>* writer) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Export", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ContainerFiles * files, Files());
        ASSIGN_OR_RETURN(const ContainerRef container,
                         FindFiles(caller, *request));
        return InWordsOfUsers(
            files->Export(container.id, SinkTo(*context, stopper_, *writer)),
            container);
      });
}

grpc::Status ContainersService::Diff(grpc::ServerContext* context,
                                     const v1::DiffRequest* request,
                                     v1::DiffResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.Containers/Diff", *request,
      [&](const Caller& caller) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ContainerFiles * files, Files());
        ASSIGN_OR_RETURN(const ContainerRef container,
                         FindFiles(caller, *request));
        const absl::StatusOr<std::vector<engine::FileChange>> changes =
            files->Diff(container.id);
        if (!changes.ok()) return InWordsOfUsers(changes.status(), container);
        for (const engine::FileChange& change : *changes) {
          v1::FileChange& out = *response->add_changes();
          out.set_path(change.path);
          switch (change.kind) {
            case engine::FileChange::Kind::kAdded:
              out.set_type(v1::FileChange::ADDED);
              break;
            case engine::FileChange::Kind::kChanged:
              out.set_type(v1::FileChange::CHANGED);
              break;
            case engine::FileChange::Kind::kDeleted:
              out.set_type(v1::FileChange::DELETED);
              break;
          }
        }
        return absl::OkStatus();
      });
}

absl::Status ContainersService::CopyToChecked(
    const grpc::ServerContext& context, const Caller& caller,
    grpc::ServerReader<v1::CopyToRequest>& reader,
    v1::CopyToResponse& response) {
  v1::CopyToRequest message;
  if (!reader.Read(&message) || !message.has_start()) {
    return absl::InvalidArgumentError(
        "copy to a container: the first message must say where");
  }
  const v1::CopyToStart start = message.start();
  const std::string project = ProjectOr(start.project());
  CallRecord& record = *caller.record();
  record.record() = Describe(record.record().method(), caller, &start);
  RETURN_IF_ERROR(caller.Require(Right::kExec, project, "copy to a container"));
  ASSIGN_OR_RETURN(engine::ContainerFiles * files, Files());
  ASSIGN_OR_RETURN(const ContainerRef container, FindFiles(caller, start));
  RETURN_IF_ERROR(record.Begin());
  const absl::StatusOr<int64_t> bytes =
      files->CopyTo(container.id, start.path(), start.keep_ids(),
                    [&]() -> absl::StatusOr<std::string> {
                      while (reader.Read(&message)) {
                        if (message.data().empty()) continue;
                        return std::move(*message.mutable_data());
                      }
                      if (context.IsCancelled()) {
                        return absl::CancelledError("client is gone");
                      }
                      return std::string();
                    });
  if (!bytes.ok()) return InWordsOfUsers(bytes.status(), container);
  response.set_bytes(*bytes);
  return absl::OkStatus();
}

grpc::Status ContainersService::CopyTo(
    grpc::ServerContext* context, grpc::ServerReader<v1::CopyToRequest>* reader,
    v1::CopyToResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.Containers/CopyTo",
                   [&](const Caller& caller) {
                     const absl::Status status =
                         CopyToChecked(*context, caller, *reader, *response);
                     // The gate leaves that to calls that begin with a message.
                     caller.record()->End(status);
                     return status;
                   });
}

}  // namespace bulwark::api
