// The calls of the service System; backups are in client_backup.cc.
#include "ctl/client_impl.h"

namespace bulwark::ctl {

absl::StatusOr<v1::VersionResponse> Client::Version() {
  return impl_->Call(*impl_->system, &v1::System::Stub::Version,
                     v1::VersionRequest());
}

absl::StatusOr<v1::DoctorResponse> Client::Doctor() {
  return impl_->Call(*impl_->system, &v1::System::Stub::Doctor,
                     v1::DoctorRequest());
}

absl::StatusOr<v1::DiskUsageResponse> Client::DiskUsage() {
  return impl_->Call(*impl_->system, &v1::System::Stub::DiskUsage,
                     v1::DiskUsageRequest());
}

absl::StatusOr<v1::PruneResponse> Client::Prune(const v1::PruneRequest& request,
                                                absl::Time deadline) {
  return impl_->Call(*impl_->system, &v1::System::Stub::Prune, request,
                     deadline);
}

absl::StatusOr<v1::VerifyAuditResponse> Client::VerifyAudit(
    absl::Time deadline) {
  return impl_->Call(*impl_->system, &v1::System::Stub::VerifyAudit,
                     v1::VerifyAuditRequest(), deadline);
}

absl::StatusOr<v1::ShutdownResponse> Client::Shutdown(
    const v1::ShutdownRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->system, &v1::System::Stub::Shutdown, request,
                     deadline);
}

absl::Status Client::Audit(
    const v1::AuditRequest& request,
    const std::function<void(const v1::AuditRecord&)>& on_record) {
  Stream stream(*impl_);
  auto reader = impl_->system->Audit(&stream.context, request);
  v1::AuditRecord record;
  while (reader->Read(&record)) on_record(record);
  return impl_->ToStatus(reader->Finish());
}

}  // namespace bulwark::ctl
