#include "ctl/image_calls.h"

#include <thread>
#include <utility>

#include "ctl/client_impl.h"

namespace bulwark::ctl {

absl::Status SaveImages(Client& client, const v1::SaveImagesRequest& request,
                        const Client::OnData& on_data) {
  Client::Impl& impl = client.impl();
  Stream stream(impl);
  auto reader = impl.images->Save(&stream.context, request);
  v1::SaveImagesResponse response;
  while (reader->Read(&response)) {
    absl::Status taken = on_data(response.data());
    if (taken.ok()) continue;
    stream.context.TryCancel();
    reader->Finish();
    return taken;
  }
  return impl.ToStatus(reader->Finish());
}

absl::StatusOr<v1::MakeIndexResponse> MakeIndex(
    Client& client, const v1::MakeIndexRequest& request) {
  return client.impl()
      .Call<v1::Images::Stub, v1::MakeIndexRequest, v1::MakeIndexResponse>(
          *client.impl().images, &v1::Images::Stub::MakeIndex, request);
}

absl::Status ImportImage(Client& client, const v1::ImportImageOptions& options,
                         const Client::Source& source,
                         const Client::OnProgress& on_progress) {
  Client::Impl& impl = client.impl();
  Stream stream(impl);
  auto call = impl.images->Import(&stream.context);
  absl::Status source_status;
  // The archive goes up while progress comes down.
  std::thread writer([&] {
    v1::ImportImageRequest request;
    *request.mutable_options() = options;
    bool open = call->Write(request);
    while (open) {
      absl::StatusOr<std::string> piece = source();
      if (!piece.ok()) {
        source_status = piece.status();
        stream.context.TryCancel();
        return;
      }
      if (piece->empty()) break;
      request.set_data(*std::move(piece));
      open = call->Write(request);
    }
    call->WritesDone();
  });
  v1::ImageProgress progress;
  while (call->Read(&progress)) on_progress(progress);
  writer.join();
  const grpc::Status result = call->Finish();
  return source_status.ok() ? impl.ToStatus(result) : source_status;
}

absl::StatusOr<v1::InspectImageResponse> InspectImage(
    Client& client, const v1::InspectImageRequest& request) {
  return client.impl()
      .Call<v1::Images::Stub, v1::InspectImageRequest,
            v1::InspectImageResponse>(*client.impl().images,
                                      &v1::Images::Stub::Inspect, request);
}

absl::StatusOr<v1::ImageHistoryResponse> ImageHistory(
    Client& client, const v1::ImageHistoryRequest& request) {
  return client.impl()
      .Call<v1::Images::Stub, v1::ImageHistoryRequest,
            v1::ImageHistoryResponse>(*client.impl().images,
                                      &v1::Images::Stub::History, request);
}

absl::Status VerifyImages(
    Client& client, const v1::VerifyImagesRequest& request,
    const std::function<void(const v1::VerifyImagesResponse&)>& on_response) {
  Client::Impl& impl = client.impl();
  Stream stream(impl);
  auto reader = impl.images->Verify(&stream.context, request);
  v1::VerifyImagesResponse response;
  bool done = false;
  while (reader->Read(&response)) {
    done = done || response.done();
    on_response(response);
  }
  absl::Status status = impl.ToStatus(reader->Finish());
  if (status.ok() && !done) {
    return absl::UnavailableError("verify images: the daemon ended it early");
  }
  return status;
}

}  // namespace bulwark::ctl
