// Names of images as people write them.
#ifndef CTL_REFERENCES_H_
#define CTL_REFERENCES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace bulwark::ctl {

// The full form of a reference: "nginx" -> "docker.io/library/nginx:latest".
std::string FullReference(absl::string_view reference);

// A name for a service that runs the image: "registry:5000/team/My_App:1" ->
// "my-app".
std::string NameFromReference(absl::string_view reference);

}  // namespace bulwark::ctl

#endif  // CTL_REFERENCES_H_
