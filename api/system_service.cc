#include "api/system_service.h"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/convert.h"
#include "base/log.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kDefaultTimeout = absl::Seconds(90);
constexpr absl::Duration kMostTimeout = absl::Hours(24);
// What DiskUsage() counts; Prune() frees the first ones unless others are
// named, and never the store or logs of what is kept.
constexpr const char* kPrunable[] = {"images", "build-cache", "containers"};
constexpr size_t kPrunedByDefault = 3;

// What the host cannot do. How it last booted is a report of its own.
void AddConditions(const v1::Node& node, v1::VersionResponse& response) {
  for (const v1::Condition& condition : node.status().conditions()) {
    if (condition.type() != "Booted") *response.add_conditions() = condition;
  }
}

absl::Status NotHere(absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat(what, ": this daemon has no host to look at"));
}

// The request with its types filled in.
absl::StatusOr<v1::PruneRequest> CompletePrune(v1::PruneRequest request) {
  for (const std::string& type : request.types()) {
    if (std::find(std::begin(kPrunable), std::end(kPrunable), type) !=
        std::end(kPrunable)) {
      continue;
    }
    return absl::InvalidArgumentError(
        absl::StrCat("prune: \"", type, "\" cannot be pruned; one of ",
                     absl::StrJoin(kPrunable, ", ")));
  }
  if (request.types().empty()) {
    for (size_t i = 0; i < kPrunedByDefault; ++i) {
      request.add_types(kPrunable[i]);
    }
  }
  return request;
}

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
                     ASSIGN_OR_RETURN(const store::ReadableListing nodes,
                                      store::ListReadable(store_, "node"));
                     for (const v1::Object& object : nodes.objects) {
                       AddConditions(object.node(), *response);
                     }
                     return absl::OkStatus();
                   });
}

grpc::Status SystemService::Doctor(grpc::ServerContext* context,
                                   const v1::DoctorRequest* request,
                                   v1::DoctorResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.System/Doctor", *request,
                   [&](const Caller&) -> absl::Status {
                     if (!host_.doctor) return NotHere("examine the host");
                     ASSIGN_OR_RETURN(*response, host_.doctor());
                     return absl::OkStatus();
                   });
}

grpc::Status SystemService::DiskUsage(grpc::ServerContext* context,
                                      const v1::DiskUsageRequest* request,
                                      v1::DiskUsageResponse* response) {
  return gate_.Run(*context, "/bulwark.v1.System/DiskUsage", *request,
                   [&](const Caller&) -> absl::Status {
                     if (!host_.disk_usage) return NotHere("count disk space");
                     ASSIGN_OR_RETURN(*response, host_.disk_usage());
                     return absl::OkStatus();
                   });
}

grpc::Status SystemService::Prune(grpc::ServerContext* context,
                                  const v1::PruneRequest* request,
                                  v1::PruneResponse* response) {
  return gate_.Run(
      *context, "/bulwark.v1.System/Prune", *request,
      [&](const Caller& caller) -> absl::Status {
        if (!host_.prune) return NotHere("prune");
        ASSIGN_OR_RETURN(const v1::PruneRequest complete,
                         CompletePrune(*request));
        ASSIGN_OR_RETURN(*response, host_.prune(complete));
        if (!complete.validate_only()) {
          LOG_INFO("pruned", {{"by", caller.identity().name()},
                              {"types", absl::StrJoin(complete.types(), ",")},
                              {"removed", response->removed_size()},
                              {"bytes", response->freed_bytes()}});
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
