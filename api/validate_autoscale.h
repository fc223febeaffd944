// The rules of spec.autoscale.
#ifndef API_VALIDATE_AUTOSCALE_H_
#define API_VALIDATE_AUTOSCALE_H_

#include "api/report.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::api {

// Also that what is scaled by exists: a share of cpu or memory needs a request
// or a limit of each container, connections need a port.
void ValidateAutoscale(const v1::ServiceSpec& spec, Report& report);

}  // namespace bulwark::api

#endif  // API_VALIDATE_AUTOSCALE_H_
