// What images consist of, and whether it is whole.
#include "absl/strings/str_cat.h"
#include "api/convert.h"
#include "api/image_progress.h"
#include "api/images_service.h"
#include "base/status.h"

namespace bulwark::api {
namespace {

void ToMessage(const engine::ImageLayer& layer, v1::ImageLayer& out) {
  out.set_digest(layer.digest);
  out.set_diff_id(layer.diff_id);
  out.set_media_type(ToUtf8(layer.media_type));
  out.set_size_bytes(layer.size_bytes);
}

void ToMessage(const engine::ImageDamage& damage, v1::ImageDamage& out) {
  out.set_digest(damage.digest);
  out.set_kind(damage.kind == engine::ImageDamage::Kind::kBlob ? "blob"
                                                               : "layer");
  out.set_problem(ToUtf8(damage.problem));
  out.mutable_references()->Assign(damage.references.begin(),
                                   damage.references.end());
  out.set_repaired(damage.repaired);
  out.set_repair_error(ToUtf8(damage.repair_error));
}

}  // namespace

absl::StatusOr<engine::ImageContent*> ImagesService::Content() const {
  if (env_.content != nullptr) return env_.content;
  return absl::UnimplementedError(
      "read the content of images: not served here");
}

grpc::Status ImagesService::Inspect(grpc::ServerContext* context,
                                    const v1::InspectImageRequest* request,
                                    v1::InspectImageResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Inspect", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ImageContent * content, Content());
        ASSIGN_OR_RETURN(engine::ImageDocuments documents,
                         content->Documents(request->reference()));
        *response->mutable_image() = ToImageInfo(documents.image);
        response->set_manifest(std::move(documents.manifest));
        response->set_config(std::move(documents.config));
        response->set_index(std::move(documents.index));
        for (const engine::ImageLayer& layer : documents.layers) {
          ToMessage(layer, *response->add_layers());
        }
        return absl::OkStatus();
      });
}

grpc::Status ImagesService::History(grpc::ServerContext* context,
                                    const v1::ImageHistoryRequest* request,
                                    v1::ImageHistoryResponse* response) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/History", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ImageContent * content, Content());
        ASSIGN_OR_RETURN(const engine::ImageDocuments documents,
                         content->Documents(request->reference()));
        for (auto it = documents.history.rbegin();
             it != documents.history.rend(); ++it) {
          v1::ImageHistoryEntry& entry = *response->add_entries();
          *entry.mutable_create_time() = ToTimestamp(it->create_time);
          entry.set_created_by(ToUtf8(it->created_by));
          entry.set_comment(ToUtf8(it->comment));
          if (it->layer.has_value()) {
            ToMessage(*it->layer, *entry.mutable_layer());
          }
        }
        return absl::OkStatus();
      });
}

grpc::Status ImagesService::Verify(
    grpc::ServerContext* context, const v1::VerifyImagesRequest* request,
    grpc::ServerWriter<v1::VerifyImagesResponse>* writer) {
  return env_.gate.Run(
      *context, "/bulwark.v1.Images/Verify", *request,
      [&](const v1::Identity&) -> absl::Status {
        ASSIGN_OR_RETURN(engine::ImageContent * content, Content());
        engine::VerifyRequest verify;
        verify.references.assign(request->references().begin(),
                                 request->references().end());
        verify.repair = request->repair();
        v1::VerifyImagesResponse message;
        absl::Duration next = env_.clock.Steady();
        const auto progress = [&](int64_t current, int64_t total) {
          if (context->IsCancelled() || env_.stopper.stopping()) return false;
          message.set_current(current);
          message.set_total(total);
          if (env_.clock.Steady() < next) return true;
          next = env_.clock.Steady() + absl::Milliseconds(100);
          return writer->Write(message);
        };
        absl::StatusOr<std::vector<engine::ImageDamage>> damaged =
            content->Verify(verify, progress);
        if (absl::IsCancelled(damaged.status()) && env_.stopper.stopping()) {
          return absl::UnavailableError("the daemon is stopping");
        }
        RETURN_IF_ERROR(damaged.status());
        for (const engine::ImageDamage& damage : *damaged) {
          ToMessage(damage, *message.add_damaged());
        }
        message.set_done(true);
        if (!writer->Write(message)) {
          return absl::CancelledError("client is gone");
        }
        return absl::OkStatus();
      });
}

}  // namespace bulwark::api
