// Images as archives: out of the store, and into it.
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/archive_pipe.h"
#include "api/audit/describe.h"
#include "api/images_progress.h"
#include "api/rules.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

constexpr int kMostReferences = 1000;

}  // namespace

absl::StatusOr<engine::ImageExchange*> ImagesService::Exchange() const {
  if (env_.exchange != nullptr) return env_.exchange;
  return absl::UnimplementedError("exchange images: not served here");
}

absl::Status ImagesService::SaveChecked(
    const grpc::ServerContext& context, const v1::SaveImagesRequest& request,
    grpc::ServerWriter<v1::SaveImagesResponse>& writer) {
  ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
  engine::SaveRequest save;
  save.references.assign(request.references().begin(),
                         request.references().end());
  if (save.references.empty()) {
    return absl::InvalidArgumentError("save images: name at least one");
  }
  if (request.references_size() > kMostReferences) {
    return absl::InvalidArgumentError(absl::StrCat(
        "save images: ", request.references_size(), " are more than the ",
        kMostReferences, " that one archive may hold"));
  }
  save.all_platforms = request.all_platforms();
  if (request.format() == "oci") {
    save.format = engine::ImageFormat::kOci;
  } else if (!request.format().empty() && request.format() != "docker") {
    return absl::InvalidArgumentError(
        absl::StrCat("save images: ", Quoted(request.format()),
                     " is not a format; it is docker or oci"));
  }
  v1::SaveImagesResponse message;
  return PipeArchive(
      context, env_.stopper,
      [&](int fd, const std::function<bool()>& wanted) {
        return exchange->Save(
            save, fd, [&wanted](const engine::Progress&) { return wanted(); });
      },
      [&](std::string data) {
        message.set_data(std::move(data));
        return writer.Write(message);
      });
}

grpc::Status ImagesService::MakeIndex(grpc::ServerContext* context,
                                      const v1::MakeIndexRequest* request,
                                      v1::MakeIndexResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/MakeIndex", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
        engine::IndexRequest wanted;
        wanted.reference = request->reference();
        wanted.images.assign(request->images().begin(),
                             request->images().end());
        ASSIGN_OR_RETURN(const std::string name,
                         env_.registries.reference(wanted.reference));
        ASSIGN_OR_RETURN(const engine::Image image,
                         exchange->MakeIndex(wanted));
        const auto index = image.indexes.find(name);
        if (index == image.indexes.end()) {
          return absl::InternalError(
              absl::StrCat("make index ", name, ": it has gone already"));
        }
        response->set_digest(index->second);
        return absl::OkStatus();
      });
}

grpc::Status ImagesService::Save(
    grpc::ServerContext* context, const v1::SaveImagesRequest* request,
    grpc::ServerWriter<v1::SaveImagesResponse>* writer) {
  return env_.gate.Run(*context, "/bulwark.v1.Images/Save", *request,
                       [&](const v1::Identity&) {
                         return SaveChecked(*context, *request, *writer);
                       });
}

absl::Status ImagesService::ImportChecked(
    const grpc::ServerContext& context, const Caller& caller,
    grpc::ServerReaderWriter<v1::ImageProgress, v1::ImportImageRequest>&
        stream) {
  ASSIGN_OR_RETURN(engine::ImageExchange * exchange, Exchange());
  v1::ImportImageRequest message;
  if (!stream.Read(&message) || !message.has_options()) {
    return absl::InvalidArgumentError(
        "import image: the first message must hold the options");
  }
  v1::AuditRecord& record = caller.record()->record();
  record = Describe(record.method(), caller.identity(), &message.options());
  engine::ImportRequest import;
  import.reference = message.options().reference();
  import.changes.assign(message.options().changes().begin(),
                        message.options().changes().end());
  import.message = message.options().message();
  import.platform = message.options().platform();
  ASSIGN_OR_RETURN(UploadFile file,
                   env_.uploads.NewFile(limits_.archive_bytes));
  while (stream.Read(&message)) RETURN_IF_ERROR(file.Append(message.data()));
  if (context.IsCancelled()) {
    return absl::CancelledError("import image: the client is gone");
  }
  RETURN_IF_ERROR(file.Rewind());
  using Images = absl::StatusOr<std::vector<engine::Image>>;
  return WithProgress(
      context, stream, [&](const engine::ProgressSink& sink) -> Images {
        ASSIGN_OR_RETURN(engine::Image image,
                         exchange->Import(import, file.fd(), sink));
        return std::vector<engine::Image>{std::move(image)};
      });
}

grpc::Status ImagesService::Import(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::ImageProgress, v1::ImportImageRequest>*
        stream) {
  return env_.gate.Run(*context, "/bulwark.v1.Images/Import",
                       [&](const Caller& caller) {
                         return ImportChecked(*context, caller, *stream);
                       });
}

}  // namespace bulwark::api
