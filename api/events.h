// Events that the API causes.
#ifndef API_EVENTS_H_
#define API_EVENTS_H_

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/entropy.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// A new event about `subject`, caused by `actor`: names begin with the time, so
// that a listing is in its order. `reason` is CamelCase.
v1::Object NewEvent(const v1::Object& subject, absl::string_view reason,
                    absl::string_view message, const v1::Identity& actor,
                    absl::Time now, Entropy& entropy);

}  // namespace bulwark::api

#endif  // API_EVENTS_H_
