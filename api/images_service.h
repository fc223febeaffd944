// The RPCs of Images.
#ifndef API_IMAGES_SERVICE_H_
#define API_IMAGES_SERVICE_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "api/gate.h"
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

// Unpacks the tar that `fd` reads into the empty directory `dir`, and never
// writes outside of it, whatever the tar says.
using UnpackFunction =
    std::function<absl::Status(int fd, const std::string& dir)>;

// What the image side of the engine knows of registries.
struct RegistryFunctions {
  // The name as references have it; INVALID_ARGUMENT says what is wrong.
  std::function<absl::StatusOr<std::string>(absl::string_view registry)> name;
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
  absl::StatusOr<std::string> LoginChecked(const v1::LoginRequest& request,
                                           const Caller& caller);
  absl::Status BuildChecked(
      const grpc::ServerContext& context,
      grpc::ServerReaderWriter<v1::ImageProgress, v1::BuildImageRequest>&
          stream);

  const Environment env_;
  const UnpackFunction unpack_;
  const Limits limits_;
};

// Digests that revisions or replicas need: their content stays. Errors are the
// store's.
absl::StatusOr<std::vector<std::string>> DigestsInUse(
    store::MetadataStore& store);

}  // namespace bulwark::api

#endif  // API_IMAGES_SERVICE_H_
