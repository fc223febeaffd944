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

namespace bulwark::api {
namespace {

// A path inside the context: relative, without ".." parts.
bool IsInside(const std::string& path) {
  if (path.empty() || path[0] == '/' || path.find('\0') != std::string::npos) {
    return false;
  }
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  return std::find(parts.begin(), parts.end(), "..") == parts.end();
}

absl::StatusOr<engine::BuildRequest> ToBuildRequest(
    const v1::BuildOptions& options) {
  engine::BuildRequest request;
  if (!options.dockerfile().empty()) {
    if (!IsInside(options.dockerfile())) {
      return absl::InvalidArgumentError(
          absl::StrCat("build image: \"", options.dockerfile(),
                       "\" is not a path inside the context"));
    }
    request.dockerfile = options.dockerfile();
  }
  request.tags.assign(options.tags().begin(), options.tags().end());
  request.args.insert(options.args().begin(), options.args().end());
  request.target = options.target();
  request.no_cache = options.no_cache();
  return request;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> DigestsInUse(
    store::MetadataStore& store) {
  std::set<std::string> digests;
  ASSIGN_OR_RETURN(const store::ObjectListing revisions,
                   store::ListObjects(store, "revision"));
  for (const v1::Object& object : revisions.objects) {
    for (const auto& [image, digest] : object.revision().image_digests()) {
      digests.insert(digest);
    }
  }
  ASSIGN_OR_RETURN(const store::ObjectListing replicas,
                   store::ListObjects(store, "replica"));
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

absl::Status ImagesService::BuildChecked(
    const grpc::ServerContext& context,
    grpc::ServerReaderWriter<v1::ImageProgress, v1::BuildImageRequest>&
        stream) {
  v1::BuildImageRequest message;
  if (!stream.Read(&message) || !message.has_options()) {
    return absl::InvalidArgumentError(
        "build image: the first message must hold the options");
  }
  ASSIGN_OR_RETURN(engine::BuildRequest request,
                   ToBuildRequest(message.options()));
  std::unique_ptr<UploadDir> dir;
  {
    // The tar is not needed once it is unpacked.
    ASSIGN_OR_RETURN(UploadFile file,
                     env_.uploads.NewFile(limits_.context_bytes));
    while (stream.Read(&message)) {
      RETURN_IF_ERROR(file.Append(message.context()));
    }
    if (context.IsCancelled()) {
      return absl::CancelledError("build image: the client is gone");
    }
    RETURN_IF_ERROR(file.Rewind());
    ASSIGN_OR_RETURN(dir, env_.uploads.NewDir());
    RETURN_IF_ERROR_CTX(unpack_(file.fd(), dir->path()),
                        "unpack the build context");
  }
  request.context_dir = dir->path();
  using Images = absl::StatusOr<std::vector<engine::Image>>;
  return WithProgress(
      context, stream, [&](const engine::ProgressSink& sink) -> Images {
        ASSIGN_OR_RETURN(engine::Image image, env_.images.Build(request, sink));
        return std::vector<engine::Image>{std::move(image)};
      });
}

grpc::Status ImagesService::Build(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::ImageProgress, v1::BuildImageRequest>*
        stream) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Build",
      [&](const v1::Identity&) { return BuildChecked(*context, *stream); });
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
