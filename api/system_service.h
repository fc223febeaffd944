// The RPCs of System.
#ifndef API_SYSTEM_SERVICE_H_
#define API_SYSTEM_SERVICE_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "api/audit/audit_log.h"
#include "api/backup/state_backup.h"
#include "api/gate.h"
#include "api/stopper.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "store/store.h"

namespace bulwark::api {

// What Version() tells, but for the node's conditions.
struct VersionInfo {
  std::string version;
  std::string commit;
  std::string instance;
  absl::Time start_time;
};

// Stops every service within the time, in reverse order of dependency; names
// those that had to be killed.
using ShutdownFunction =
    std::function<absl::StatusOr<std::vector<std::string>>(absl::Duration)>;

// What is asked of the host itself. Called from several threads.
struct HostFunctions {
  std::function<absl::StatusOr<v1::DoctorResponse>()> doctor;
  std::function<absl::StatusOr<v1::DiskUsageResponse>()> disk_usage;
  // Types are known ones, and at least one.
  std::function<absl::StatusOr<v1::PruneResponse>(const v1::PruneRequest&)>
      prune;
};

// Thread-safe. The references must outlive this object.
class SystemService final : public v1::System::Service {
 public:
  SystemService(const Gate& gate, store::MetadataStore& store, AuditLog& audit,
                StateBackup& backup, const Stopper& stopper,
                VersionInfo version, ShutdownFunction shutdown,
                HostFunctions host)
      : gate_(gate),
        store_(store),
        audit_(audit),
        backup_(backup),
        stopper_(stopper),
        version_(std::move(version)),
        shutdown_(std::move(shutdown)),
        host_(std::move(host)) {}

  grpc::Status Version(grpc::ServerContext* context,
                       const v1::VersionRequest* request,
                       v1::VersionResponse* response) override;
  grpc::Status Doctor(grpc::ServerContext* context,
                      const v1::DoctorRequest* request,
                      v1::DoctorResponse* response) override;
  grpc::Status DiskUsage(grpc::ServerContext* context,
                         const v1::DiskUsageRequest* request,
                         v1::DiskUsageResponse* response) override;
  grpc::Status Prune(grpc::ServerContext* context,
                     const v1::PruneRequest* request,
                     v1::PruneResponse* response) override;
  grpc::Status Audit(grpc::ServerContext* context,
                     const v1::AuditRequest* request,
                     grpc::ServerWriter<v1::AuditRecord>* writer) override;
  grpc::Status VerifyAudit(grpc::ServerContext* context,
                           const v1::VerifyAuditRequest* request,
                           v1::VerifyAuditResponse* response) override;
  grpc::Status Backup(
      grpc::ServerContext* context, const v1::BackupStateRequest* request,
      grpc::ServerWriter<v1::BackupStateResponse>* writer) override;
  grpc::Status Restore(grpc::ServerContext* context,
                       grpc::ServerReader<v1::RestoreStateRequest>* reader,
                       v1::RestoreStateResponse* response) override;
  grpc::Status Shutdown(grpc::ServerContext* context,
                        const v1::ShutdownRequest* request,
                        v1::ShutdownResponse* response) override;

 private:
  const Gate& gate_;
  store::MetadataStore& store_;
  AuditLog& audit_;
  StateBackup& backup_;
  const Stopper& stopper_;
  const VersionInfo version_;
  const ShutdownFunction shutdown_;
  const HostFunctions host_;
};

}  // namespace bulwark::api

#endif  // API_SYSTEM_SERVICE_H_
