// The calls of the services Resources, Services and Jobs.
#include "ctl/client_impl.h"

namespace bulwark::ctl {

absl::StatusOr<v1::ApplyResponse> Client::Apply(
    const v1::ApplyRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::Apply, request);
}

absl::StatusOr<v1::Object> Client::Get(const v1::GetRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::Get, request);
}

absl::StatusOr<v1::ListResponse> Client::List(const v1::ListRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::List, request);
}

absl::StatusOr<v1::DeleteResponse> Client::Delete(
    const v1::DeleteRequest& request) {
  return impl_->Call(*impl_->resources, &v1::Resources::Stub::Delete, request);
}

absl::Status Client::Watch(
    const v1::WatchRequest& request, absl::Time deadline,
    const std::function<bool(const v1::WatchEvent&)>& on_event) {
  Stream stream(*impl_);
  if (deadline != absl::InfiniteFuture()) {
    stream.context.set_deadline(absl::ToChronoTime(deadline));
  }
  auto reader = impl_->resources->Watch(&stream.context, request);
  v1::WatchEvent event;
  while (reader->Read(&event)) {
    impl_->TellWarnings(stream.context);
    if (on_event(event)) continue;
    stream.context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  const grpc::Status status = reader->Finish();
  if (status.ok()) {
    return absl::UnavailableError("watch: bulwarkd closed the stream");
  }
  return impl_->ToStatus(status);
}

absl::StatusOr<v1::ScaleResponse> Client::Scale(
    const v1::ScaleRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Scale, request);
}

absl::StatusOr<v1::StopResponse> Client::Stop(const v1::StopRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Stop, request);
}

absl::StatusOr<v1::StartResponse> Client::Start(
    const v1::StartRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Start, request);
}

absl::StatusOr<v1::UndoResponse> Client::Undo(const v1::UndoRequest& request) {
  return impl_->Call(*impl_->services, &v1::Services::Stub::Undo, request);
}

absl::StatusOr<v1::TriggerResponse> Client::Trigger(
    const v1::TriggerRequest& request) {
  return impl_->Call(*impl_->jobs, &v1::Jobs::Stub::Trigger, request);
}

}  // namespace bulwark::ctl
