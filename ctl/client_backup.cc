// The two streams of the control state.
#include <utility>

#include "ctl/client_impl.h"

namespace bulwark::ctl {

absl::Status Client::BackupState(const v1::BackupStateRequest& request,
                                 absl::Time deadline, const OnData& on_data) {
  Stream stream(*impl_);
  stream.context.set_deadline(absl::ToChronoTime(deadline));
  auto reader = impl_->system->Backup(&stream.context, request);
  v1::BackupStateResponse response;
  while (reader->Read(&response)) {
    absl::Status taken = on_data(response.data());
    if (taken.ok()) continue;
    stream.context.TryCancel();
    reader->Finish();
    return taken;
  }
  return impl_->ToStatus(reader->Finish());
}

absl::StatusOr<v1::RestoreStateResponse> Client::RestoreState(
    const v1::RestoreStateOptions& options, absl::Time deadline,
    const Source& source) {
  Stream stream(*impl_);
  stream.context.set_deadline(absl::ToChronoTime(deadline));
  v1::RestoreStateResponse response;
  auto writer = impl_->system->Restore(&stream.context, &response);
  v1::RestoreStateRequest request;
  *request.mutable_options() = options;
  // A write fails once the server has said what is wrong: Finish() tells.
  bool open = writer->Write(request);
  while (open) {
    absl::StatusOr<std::string> piece = source();
    if (!piece.ok()) {
      stream.context.TryCancel();
      writer->Finish();
      return piece.status();
    }
    if (piece->empty()) break;
    request.set_data(*std::move(piece));
    open = writer->Write(request);
  }
  writer->WritesDone();
  absl::Status status = impl_->ToStatus(writer->Finish());
  if (!status.ok()) return status;
  return response;
}

}  // namespace bulwark::ctl
