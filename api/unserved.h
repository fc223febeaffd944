// What the API can say already, but this version does not run yet.
#ifndef API_UNSERVED_H_
#define API_UNSERVED_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "api/report.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// One feature. Its row goes when the feature comes.
struct Unserved {
  // From the kind down, in proto names: "service.spec.ports.protocol".
  // Elements of lists are looked at one by one.
  absl::string_view path;
  // Enums: only this value. Empty: any value.
  absl::string_view value;
  absl::string_view feature;  // in the plural: "cron jobs"
};

absl::Span<const Unserved> UnservedFeatures();

// Refuses what `object` (defaulted) uses of them: accepting it silently would
// promise what nobody keeps.
void ValidateServed(const v1::Object& object, Report& report);

}  // namespace bulwark::api

#endif  // API_UNSERVED_H_
