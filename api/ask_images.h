// What an apply with `pull: always` asks for although it changes nothing.
#ifndef API_ASK_IMAGES_H_
#define API_ASK_IMAGES_H_

#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// Whether it is a service of which an image, named by a tag, is pulled at each
// apply.
bool PullsAlways(const v1::Object& object);

// Leaves the wish in the status, where the image resolver finds it and takes it
// away when it is done.
void AskForImages(v1::Service& service, absl::Time now);

}  // namespace bulwark::api

#endif  // API_ASK_IMAGES_H_
