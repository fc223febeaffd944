#include "api/images_service.h"

#include <algorithm>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/image_progress.h"
#include "api/images_progress.h"
#include "base/status.h"
#include "store/objects.h"
#include "store/readable.h"

namespace bulwark::api {

absl::StatusOr<std::vector<std::string>> DigestsInUse(
    store::MetadataStore& store) {
  std::set<std::string> digests;
  ASSIGN_OR_RETURN(const store::ReadableListing revisions,
                   store::ListReadable(store, "revision"));
  ASSIGN_OR_RETURN(const store::ReadableListing replicas,
                   store::ListReadable(store, "replica"));
  // What runs stands in both: where one kind can be read, it is known.
  if (!revisions.unreadable.empty() && !replicas.unreadable.empty()) {
    return Annotate(replicas.unreadable.front().why,
                    "find out which images are needed");
  }
  for (const v1::Object& object : revisions.objects) {
    for (const auto& [image, digest] : object.revision().image_digests()) {
      digests.insert(digest);
    }
  }
  for (const v1::Object& object : replicas.objects) {
    for (const auto& container : object.replica().status().containers()) {
      if (!container.image_digest().empty()) {
        digests.insert(container.image_digest());
      }
    }
  }
  return std::vector<std::string>(digests.begin(), digests.end());
}

grpc::Status ImagesService::Load(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::ImageProgress, v1::LoadImageRequest>* stream) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Load",
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(UploadFile file,
                         env_.uploads.NewFile(limits_.archive_bytes));
        v1::LoadImageRequest request;
        while (stream->Read(&request)) {
          RETURN_IF_ERROR(file.Append(request.data()));
        }
        if (context->IsCancelled()) {
          return absl::CancelledError("load image: the client is gone");
        }
        RETURN_IF_ERROR(file.Rewind());
        return WithProgress(*context, *stream,
                            [&](const engine::ProgressSink& sink) {
                              return env_.images.Load(file.fd(), sink);
                            });
      });
}

grpc::Status ImagesService::List(grpc::ServerContext* context,
                                 const v1::ListImagesRequest* request,
                                 v1::ListImagesResponse* response) {
  return env_.gate.Run(*context, "/bulwark.v1.Images/List", *request,
                       [&](const v1::Identity&) {
                         for (const engine::Image& image : env_.images.List()) {
                           *response->add_images() = ToImageInfo(image);
                         }
                         return absl::OkStatus();
                       });
}

grpc::Status ImagesService::Remove(grpc::ServerContext* context,
                                   const v1::RemoveImageRequest* request,
                                   v1::RemoveImageResponse*) {
  return env_.gate.Run(*context, "/bulwark.v1.Images/Remove", *request,
                       [&](const v1::Identity&) -> absl::Status {
                         if (request->untag())
                           return env_.images.Untag(request->reference());
                         ASSIGN_OR_RETURN(const std::vector<std::string> in_use,
                                          DigestsInUse(env_.store));
                         return env_.images.Remove(request->reference(),
                                                   in_use);
                       });
}

grpc::Status ImagesService::Tag(grpc::ServerContext* context,
                                const v1::TagImageRequest* request,
                                v1::TagImageResponse*) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Tag", *request, [&](const v1::Identity&) {
        return env_.images.Tag(request->source(), request->target());
      });
}

}  // namespace bulwark::api
