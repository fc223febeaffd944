#include "api/system_service.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "api/convert.h"
#include "base/log.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(90);
constexpr absl::Duration kMostTimeout = absl::Hours(24);

}  // namespace

grpc::Status SystemService::Version(grpc::ServerContext* context,
                                    const v1::VersionRequest* request,
                                    v1::VersionResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.System/Version", *request,
                   [&](const v1::Identity&) -> absl::Status {
                     response->set_version(version_.version);
                     response->set_commit(version_.commit);
                     response->set_instance(version_.instance);
                     response->set_pid(getpid());
                     *response->mutable_start_time() =
                         ToTimestamp(version_.start_time);
                     ASSIGN_OR_RETURN(const store::ObjectListing nodes,
                                      store::ListObjects(store_, "node"));
                     for (const v1::Object& object : nodes.objects) {
                       response->mutable_conditions()->MergeFrom(
                           object.node().status().conditions());
                     }
                     return absl::OkStatus();
                   });
}

grpc::Status SystemService::Audit(grpc::ServerContext* context,
                                  const v1::AuditRequest* request,
                                  grpc::ServerWriter<v1::AuditRecord>* writer) {
  return gate_.Run(
      *context, "/bulwark.v1.System/Audit", *request,
      [&](const Caller& caller) -> absl::Status {
        RETURN_IF_ERROR(audit_.Read(
            *request,
            [&](const v1::AuditRecord& record) {
              return writer->Write(record);
            },
            [&] {
              return context->IsCancelled() || stopper_.stopping() ||
                     !caller.Can(Right::kAdmin, "default");
            }));
        if (stopper_.stopping()) {
          return absl::UnavailableError(
              "read the audit log: the daemon is stopping");
        }
        // It may have been taken away meanwhile.
        return caller.Require(Right::kAdmin, "default", "read the audit log");
      });
}

grpc::Status SystemService::VerifyAudit(grpc::ServerContext* context,
                                        const v1::VerifyAuditRequest* request,
                                        v1::VerifyAuditResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.System/VerifyAudit", *request,
                   [&](const v1::Identity&) -> absl::Status {
                     ASSIGN_OR_RETURN(*response, audit_.Verify());
                     return absl::OkStatus();
                   });
}

grpc::Status SystemService::Backup(
    grpc::ServerContext* context, const v1::BackupStateRequest* request,
    grpc::ServerWriter<v1::BackupStateResponse>* writer) {
  return gate_.Run(*context, "/bulwark.v1.System/Backup", *request,
                   [&](const v1::Identity&) {
                     return backup_.Write(*request, [&](std::string bytes) {
                       v1::BackupStateResponse response;
                       response.set_data(std::move(bytes));
                       return writer->Write(response);
                     });
                   });
}

grpc::Status SystemService::Restore(
    grpc::ServerContext* context,
    grpc::ServerReader<v1::RestoreStateRequest>* reader,
    v1::RestoreStateResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.System/Restore",
      [&](const Caller& caller) -> absl::Status {
        v1::RestoreStateRequest message;
        if (!reader->Read(&message) || !message.has_options()) {
          return absl::InvalidArgumentError(
              "restore: the first message must hold the options");
        }
        const v1::RestoreStateOptions options = message.options();
        ASSIGN_OR_RETURN(
            *response,
            backup_.Restore(options, caller, [&](std::string& bytes) {
              if (!reader->Read(&message)) return false;
              bytes = message.data();
              return true;
            }));
        return absl::OkStatus();
      });
}

grpc::Status SystemService::Shutdown(grpc::ServerContext* context,
                                     const v1::ShutdownRequest* request,
                                     v1::ShutdownResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.System/Shutdown", *request,
      [&](const v1::Identity& caller) -> absl::Status {
        const absl::Duration timeout = request->has_timeout()
                                           ? ToDuration(request->timeout())
                                           : kDefaultTimeout;
        if (timeout < absl::ZeroDuration() || timeout > kMostTimeout) {
          return absl::InvalidArgumentError(
              "shut down: the timeout must be from 0 to 24h");
        }
        LOG_INFO("shutdown requested",
                 {{"by", caller.name()}, {"pid", caller.pid()}});
        ASSIGN_OR_RETURN(const std::vector<std::string> killed,
                         shutdown_(timeout));
        for (const std::string& service : killed) {
          response->add_killed(service);
        }
        return absl::OkStatus();
      });
}

}  // namespace bulwark::api
