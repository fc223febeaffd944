// The RPCs of Images.
#ifndef API_IMAGES_SERVICE_H_
#define API_IMAGES_SERVICE_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "api/gate.h"
#include "api/kept_contexts.h"
#include "api/sent_contexts.h"
#include "api/spec_writer.h"
#include "api/stopper.h"
#include "api/uploads.h"
#include "base/clock.h"
#include "engine/image_content.h"
#include "engine/image_exchange.h"
#include "engine/images.h"
#include "proto/bulwark/v1/api.grpc.pb.h"
#include "secrets/secrets.h"
#include "store/store.h"

namespace bulwark::api {

// What the image side of the engine knows of registries.
struct RegistryFunctions {
  // The name as references have it; INVALID_ARGUMENT says what is wrong.
  std::function<absl::StatusOr<std::string>(absl::string_view registry)> name;
  // The full name of an image; INVALID_ARGUMENT says what is wrong.
  std::function<absl::StatusOr<std::string>(absl::string_view reference)>
      reference;
  // Whether the registry takes the credentials: UNAUTHENTICATED or
  // PERMISSION_DENIED if not.
  std::function<absl::Status(const std::string& registry,
                             const engine::RegistryAuth& auth)>
      check;
};

// Thread-safe. The references must outlive this object.
class ImagesService final : public v1::Images::Service {
 public:
  struct Limits {
    int64_t archive_bytes;
    int64_t context_bytes;
  };
  struct Environment {
    const Gate& gate;
    store::MetadataStore& store;
    engine::Images& images;
    Clock& clock;
    Uploads& uploads;
    KeptContexts& kept;
    const Stopper& stopper;
    SpecWriter& writer;     // whoever writes keys does it under its lock
    secrets::Vault* vault;  // null: no log-ins
    RegistryFunctions registries;
    // Null (tests): their calls answer UNIMPLEMENTED.
    engine::ImageContent* content = nullptr;
    engine::ImageExchange* exchange = nullptr;
  };

  ImagesService(const Environment& environment, UnpackFunction unpack,
                Limits limits)
      : env_(environment), unpack_(std::move(unpack)), limits_(limits) {}

  grpc::Status Pull(grpc::ServerContext* context,
                    const v1::PullImageRequest* request,
                    grpc::ServerWriter<v1::ImageProgress>* writer) override;
  grpc::Status Load(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ImageProgress, v1::LoadImageRequest>* stream)
      override;
  grpc::Status Build(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ImageProgress, v1::BuildImageRequest>*
          stream) override;
  // images_exchange.cc
  grpc::Status Push(grpc::ServerContext* context,
                    const v1::PushImageRequest* request,
                    grpc::ServerWriter<v1::ImageProgress>* writer) override;
  grpc::Status Save(
      grpc::ServerContext* context, const v1::SaveImagesRequest* request,
      grpc::ServerWriter<v1::SaveImagesResponse>* writer) override;
  grpc::Status MakeIndex(grpc::ServerContext* context,
                         const v1::MakeIndexRequest* request,
                         v1::MakeIndexResponse* response) override;
  grpc::Status Import(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::ImageProgress, v1::ImportImageRequest>*
          stream) override;
  grpc::Status ListTags(grpc::ServerContext* context,
                        const v1::ListTagsRequest* request,
                        v1::ListTagsResponse* response) override;
  grpc::Status ListReferrers(grpc::ServerContext* context,
                             const v1::ListReferrersRequest* request,
                             v1::ListReferrersResponse* response) override;
  // images_content.cc
  grpc::Status Inspect(grpc::ServerContext* context,
                       const v1::InspectImageRequest* request,
                       v1::InspectImageResponse* response) override;
  grpc::Status History(grpc::ServerContext* context,
                       const v1::ImageHistoryRequest* request,
                       v1::ImageHistoryResponse* response) override;
  grpc::Status Verify(
      grpc::ServerContext* context, const v1::VerifyImagesRequest* request,
      grpc::ServerWriter<v1::VerifyImagesResponse>* writer) override;
  grpc::Status List(grpc::ServerContext* context,
                    const v1::ListImagesRequest* request,
                    v1::ListImagesResponse* response) override;
  grpc::Status Remove(grpc::ServerContext* context,
                      const v1::RemoveImageRequest* request,
                      v1::RemoveImageResponse* response) override;
  grpc::Status Login(grpc::ServerContext* context,
                     const v1::LoginRequest* request,
                     v1::LoginResponse* response) override;
  grpc::Status Logout(grpc::ServerContext* context,
                      const v1::LogoutRequest* request,
                      v1::LogoutResponse* response) override;
  grpc::Status Tag(grpc::ServerContext* context,
                   const v1::TagImageRequest* request,
                   v1::TagImageResponse* response) override;

 private:
  template <typename Stream, typename Operation>
  absl::Status WithProgress(const grpc::ServerContext& context, Stream& stream,
                            Operation operation);
  absl::StatusOr<engine::ImageExchange*> Exchange() const;
  absl::StatusOr<engine::ImageContent*> Content() const;
  absl::StatusOr<std::vector<engine::PullRequest>> PullsOf(
      const v1::PullImageRequest& request);
  absl::StatusOr<std::vector<engine::PushRequest>> PushesOf(
      const v1::PushImageRequest& request);
  absl::Status SaveChecked(const grpc::ServerContext& context,
                           const v1::SaveImagesRequest& request,
                           grpc::ServerWriter<v1::SaveImagesResponse>& writer);
  absl::Status ImportChecked(
      const grpc::ServerContext& context, const Caller& caller,
      grpc::ServerReaderWriter<v1::ImageProgress, v1::ImportImageRequest>&
          stream);
  absl::StatusOr<std::string> LoginChecked(const v1::LoginRequest& request,
                                           const Caller& caller);
  // images_build.cc
  absl::Status BuildChecked(
      const grpc::ServerContext& context, const Caller& caller,
      grpc::ServerReaderWriter<v1::ImageProgress, v1::BuildImageRequest>&
          stream);
  absl::StatusOr<engine::BuildRequest> ToBuildRequest(
      const v1::BuildOptions& options, const Caller& caller);
  absl::StatusOr<std::vector<engine::Image>> BuildAndPush(
      const engine::BuildRequest& request, bool push,
      const engine::ProgressSink& sink);

  const Environment env_;
  const UnpackFunction unpack_;
  const Limits limits_;
};

// Digests that revisions or replicas need: their content stays. DATA_LOSS if
// records of both cannot be read; other errors are the store's.
absl::StatusOr<std::vector<std::string>> DigestsInUse(
    store::MetadataStore& store);

}  // namespace bulwark::api

#endif  // API_IMAGES_SERVICE_H_
