// What an object means where its author said nothing.
#ifndef API_DEFAULTING_H_
#define API_DEFAULTING_H_

#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// Writes the defaults that the comments of the protos promise into every unset
// field, and expands shorthand (`health` becomes `readiness`). Pure and
// idempotent: defaulting twice changes nothing. What depends on an image (its
// command, user, stop signal, probes) stays unset here; the scheduler fills
// that in once the image is known.
void SetDefaults(v1::Object& object);

}  // namespace bulwark::api

#endif  // API_DEFAULTING_H_
