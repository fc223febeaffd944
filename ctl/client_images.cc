// The calls of the service Images; logging in is in client_secrets.cc.
#include <thread>
#include <utility>

#include "ctl/client_impl.h"

namespace bulwark::ctl {
namespace {

// Sends `first` and then what `source` gives, while progress comes back.
template <typename Call, typename Request, typename Wrap>
absl::Status Upload(Call& call, grpc::ClientContext& context,
                    const Request& first, const Wrap& wrap,
                    const Client::Source& source,
                    const Client::OnProgress& on_progress,
                    grpc::Status& result) {
  absl::Status source_status;
  std::thread writer([&] {
    bool open = call.Write(first);
    while (open) {
      absl::StatusOr<std::string> piece = source();
      if (!piece.ok()) {
        source_status = piece.status();
        context.TryCancel();
        return;
      }
      if (piece->empty()) break;
      open = call.Write(wrap(*std::move(piece)));
    }
    call.WritesDone();
  });
  v1::ImageProgress progress;
  while (call.Read(&progress)) on_progress(progress);
  writer.join();
  result = call.Finish();
  return source_status;
}

}  // namespace

absl::StatusOr<v1::ListImagesResponse> Client::ListImages() {
  return impl_->Call(*impl_->images, &v1::Images::Stub::List,
                     v1::ListImagesRequest());
}

absl::StatusOr<v1::RemoveImageResponse> Client::RemoveImage(
    const v1::RemoveImageRequest& request) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::Remove, request);
}

absl::StatusOr<v1::TagImageResponse> Client::TagImage(
    const v1::TagImageRequest& request) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::Tag, request);
}

absl::Status Client::Pull(const v1::PullImageRequest& request,
                          const OnProgress& on_progress) {
  Stream stream(*impl_);
  auto reader = impl_->images->Pull(&stream.context, request);
  v1::ImageProgress progress;
  while (reader->Read(&progress)) on_progress(progress);
  return impl_->ToStatus(reader->Finish());
}

absl::Status Client::Push(const v1::PushImageRequest& request,
                          const OnProgress& on_progress) {
  Stream stream(*impl_);
  auto reader = impl_->images->Push(&stream.context, request);
  v1::ImageProgress progress;
  while (reader->Read(&progress)) on_progress(progress);
  return impl_->ToStatus(reader->Finish());
}

absl::StatusOr<v1::ListTagsResponse> Client::ListTags(
    const v1::ListTagsRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::ListTags, request,
                     deadline);
}

absl::StatusOr<v1::ListReferrersResponse> Client::ListReferrers(
    const v1::ListReferrersRequest& request, absl::Time deadline) {
  return impl_->Call(*impl_->images, &v1::Images::Stub::ListReferrers, request,
                     deadline);
}

absl::Status Client::Load(const Source& source, const OnProgress& on_progress) {
  Stream stream(*impl_);
  auto call = impl_->images->Load(&stream.context);
  auto wrap = [](std::string data) {
    v1::LoadImageRequest request;
    request.set_data(std::move(data));
    return request;
  };
  grpc::Status result;
  absl::Status status = Upload(*call, stream.context, v1::LoadImageRequest(),
                               wrap, source, on_progress, result);
  return status.ok() ? impl_->ToStatus(result) : status;
}

absl::StatusOr<v1::OfferContextResponse> Client::OfferContext(
    const v1::OfferContextRequest& request) {
  return impl_->Call(*impl_->contexts, &v1::Contexts::Stub::Offer, request);
}

absl::Status Client::Build(const v1::BuildOptions& options,
                           const std::vector<BuildPart>& parts,
                           const OnProgress& on_progress) {
  Stream stream(*impl_);
  auto call = impl_->images->Build(&stream.context);
  // One part after the other, each under its name.
  size_t current = 0;
  const Source source = [&]() -> absl::StatusOr<std::string> {
    for (; current < parts.size(); ++current) {
      absl::StatusOr<std::string> piece = parts[current].source();
      if (!piece.ok() || !piece->empty()) return piece;
    }
    return std::string();
  };
  auto wrap = [&](std::string data) {
    v1::BuildImageRequest request;
    if (parts[current].name.empty()) {
      request.set_context(std::move(data));
    } else {
      request.mutable_named_context()->set_name(parts[current].name);
      request.mutable_named_context()->set_data(std::move(data));
    }
    return request;
  };
  v1::BuildImageRequest first;
  *first.mutable_options() = options;
  grpc::Status result;
  absl::Status status =
      Upload(*call, stream.context, first, wrap, source, on_progress, result);
  return status.ok() ? impl_->ToStatus(result) : status;
}

}  // namespace bulwark::ctl
