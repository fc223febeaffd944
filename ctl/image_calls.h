// The calls about what images consist of and about archives, over a Client.
#ifndef CTL_IMAGE_CALLS_H_
#define CTL_IMAGE_CALLS_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/client.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// Calls `on_data` with the archive, whose error ends the call and is returned.
absl::Status SaveImages(Client& client, const v1::SaveImagesRequest& request,
                        const Client::OnData& on_data);
// `source` gives the archive.
absl::StatusOr<v1::MakeIndexResponse> MakeIndex(
    Client& client, const v1::MakeIndexRequest& request);
absl::Status ImportImage(Client& client, const v1::ImportImageOptions& options,
                         const Client::Source& source,
                         const Client::OnProgress& on_progress);
absl::StatusOr<v1::InspectImageResponse> InspectImage(
    Client& client, const v1::InspectImageRequest& request);
absl::StatusOr<v1::ImageHistoryResponse> ImageHistory(
    Client& client, const v1::ImageHistoryRequest& request);
// UNAVAILABLE if it ends before all is read.
absl::Status VerifyImages(
    Client& client, const v1::VerifyImagesRequest& request,
    const std::function<void(const v1::VerifyImagesResponse&)>& on_response);

}  // namespace bulwark::ctl

#endif  // CTL_IMAGE_CALLS_H_
