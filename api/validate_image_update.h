// The rules of spec.imageUpdate.
#ifndef API_VALIDATE_IMAGE_UPDATE_H_
#define API_VALIDATE_IMAGE_UPDATE_H_

#include <string>
#include <vector>

#include "api/report.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::api {

void ValidateImageUpdate(const v1::ServiceSpec& spec, Report& report);

// That it follows nothing: every image is named by its digest, or never pulled.
// Else empty.
std::string WarningOfImageUpdate(const v1::ServiceSpec& spec);

}  // namespace bulwark::api

#endif  // API_VALIDATE_IMAGE_UPDATE_H_
