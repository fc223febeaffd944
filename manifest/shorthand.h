// The short forms of messages: one string instead of a mapping.
#ifndef MANIFEST_SHORTHAND_H_
#define MANIFEST_SHORTHAND_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace bulwark::manifest {

// Reads `text` by the parser that the (short_form) option of the message's
// type names, and fills `message`. INVALID_ARGUMENT says what was expected.
//
//   port          "80", "8080:80", "127.0.0.1:8080:80", "all:8080:80"; each
//                 with "/udp" or "/tcp"
//   mount         "uploads:/var/lib/uploads", "./conf:/etc/app:ro"
//   http-probe    ":80/healthz", "/healthz", ":80"
//   tcp-probe     ":80", "80"
//   exec-probe    a line for /bin/sh -c
//   cpu, memory   "500m", "64Mi": request and limit
//   name          the name
//   config-mount  "app-conf:/etc/app/app.conf"
//   device        "/dev/fuse", "/dev/sdb:/dev/xvda:r"
//   ulimit        "nofile=4096:8192"; without the name if `message` has one
//   tmpfs         "/run", "/run:size=16Mi,mode=0755"
//   logging       the driver
absl::Status ReadShortForm(absl::string_view text,
                           google::protobuf::Message& message);

// True if the type has a short form.
bool HasShortForm(const google::protobuf::Descriptor& type);

// An example of the type's short form, "8080:80"; empty without one.
absl::string_view ShortFormExample(const google::protobuf::Descriptor& type);

}  // namespace bulwark::manifest

#endif  // MANIFEST_SHORTHAND_H_
