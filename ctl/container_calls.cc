#include "ctl/container_calls.h"

#include "ctl/client_impl.h"

namespace bulwark::ctl {
namespace {

class AttachStreamImpl final : public AttachStream {
 public:
  explicit AttachStreamImpl(Client::Impl& impl)
      : impl_(impl),
        stream_(impl),
        call_(impl.containers->Attach(&stream_.context)) {}

  bool Send(const v1::AttachRequest& request) override {
    return call_->Write(request);
  }
  bool Read(v1::AttachResponse& response) override {
    return call_->Read(&response);
  }
  absl::Status Finish() override { return impl_.ToStatus(call_->Finish()); }

 private:
  Client::Impl& impl_;
  Stream<Client::Impl> stream_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::AttachRequest, v1::AttachResponse>>
      call_;
};

}  // namespace

std::unique_ptr<AttachStream> Attach(Client& client) {
  return std::make_unique<AttachStreamImpl>(client.impl());
}

absl::StatusOr<v1::ProcessesResponse> Processes(
    Client& client, const v1::ProcessesRequest& request) {
  return client.impl()
      .Call<v1::Containers::Stub, v1::ProcessesRequest, v1::ProcessesResponse>(
          *client.impl().containers, &v1::Containers::Stub::Processes, request);
}

absl::Status Pause(Client& client, const v1::PauseRequest& request) {
  return client.impl()
      .Call<v1::Containers::Stub, v1::PauseRequest, v1::PauseResponse>(
          *client.impl().containers, &v1::Containers::Stub::Pause, request)
      .status();
}

absl::Status Unpause(Client& client, const v1::UnpauseRequest& request) {
  return client.impl()
      .Call<v1::Containers::Stub, v1::UnpauseRequest, v1::UnpauseResponse>(
          *client.impl().containers, &v1::Containers::Stub::Unpause, request)
      .status();
}

absl::Status Signal(Client& client, const v1::SignalRequest& request) {
  return client.impl()
      .Call<v1::Containers::Stub, v1::SignalRequest, v1::SignalResponse>(
          *client.impl().containers, &v1::Containers::Stub::Signal, request)
      .status();
}

absl::StatusOr<v1::WaitResponse> AwaitExit(Client& client,
                                           const v1::WaitRequest& request) {
  // Without a deadline, as long as the container runs.
  Stream<Client::Impl> stream(client.impl());
  v1::WaitResponse response;
  const absl::Status status = client.impl().ToStatus(
      client.impl().containers->Wait(&stream.context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::InspectResponse> Inspect(Client& client,
                                            const v1::InspectRequest& request) {
  return client.impl()
      .Call<v1::Containers::Stub, v1::InspectRequest, v1::InspectResponse>(
          *client.impl().containers, &v1::Containers::Stub::Inspect, request);
}

namespace {

// Reads messages with `data` to the end.
template <typename Response, typename Reader>
absl::Status ReadAll(Client::Impl& impl, grpc::ClientContext& context,
                     Reader& reader, const Client::OnData& on_data) {
  Response response;
  absl::Status taken;
  while (taken.ok() && reader.Read(&response)) taken = on_data(response.data());
  if (!taken.ok()) {
    context.TryCancel();
    while (reader.Read(&response)) {
    }
  }
  const absl::Status status = impl.ToStatus(reader.Finish());
  return taken.ok() ? status : taken;
}

}  // namespace

absl::Status CopyFrom(Client& client, const v1::CopyFromRequest& request,
                      const Client::OnData& on_data) {
  Stream<Client::Impl> stream(client.impl());
  auto reader = client.impl().containers->CopyFrom(&stream.context, request);
  return ReadAll<v1::CopyFromResponse>(client.impl(), stream.context, *reader,
                                       on_data);
}

absl::Status Export(Client& client, const v1::ExportRequest& request,
                    const Client::OnData& on_data) {
  Stream<Client::Impl> stream(client.impl());
  auto reader = client.impl().containers->Export(&stream.context, request);
  return ReadAll<v1::ExportResponse>(client.impl(), stream.context, *reader,
                                     on_data);
}

absl::StatusOr<v1::CopyToResponse> CopyTo(Client& client,
                                          const v1::CopyToRequest& first,
                                          const Client::Source& source) {
  Stream<Client::Impl> stream(client.impl());
  v1::CopyToResponse response;
  auto writer = client.impl().containers->CopyTo(&stream.context, &response);
  bool writes = writer->Write(first);
  absl::Status read;
  while (writes) {
    absl::StatusOr<std::string> piece = source();
    read = piece.status();
    if (!read.ok() || piece->empty()) break;
    v1::CopyToRequest request;
    request.set_data(*std::move(piece));
    writes = writer->Write(request);
  }
  if (!read.ok()) stream.context.TryCancel();
  if (writes && read.ok()) writer->WritesDone();
  const absl::Status status = client.impl().ToStatus(writer->Finish());
  if (!read.ok()) return read;
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::CommitResponse> Commit(Client& client,
                                          const v1::CommitRequest& request) {
  Stream<Client::Impl> stream(client.impl());
  v1::CommitResponse response;
  const absl::Status status = client.impl().ToStatus(
      client.impl().containers->Commit(&stream.context, request, &response));
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::DiffResponse> Diff(Client& client,
                                      const v1::DiffRequest& request) {
  // As long as it takes to walk through its files.
  Stream<Client::Impl> stream(client.impl());
  v1::DiffResponse response;
  const absl::Status status = client.impl().ToStatus(
      client.impl().containers->Diff(&stream.context, request, &response));
  if (!status.ok()) return status;
  return response;
}

}  // namespace bulwark::ctl
