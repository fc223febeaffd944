// -o of commands that print an answer of the server's, or what they made of
// several.
#ifndef CTL_MESSAGE_FORM_H_
#define CTL_MESSAGE_FORM_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ctl/context.h"
#include "google/protobuf/message.h"
#include "manifest/node.h"

namespace bulwark::ctl {

// What help says of it.
inline constexpr char kMessageForms[] = "json, yaml";

// "", "json" or "yaml"; else a usage error.
absl::Status CheckMessageForm(absl::string_view word);

// Prints `message` in a form that CheckMessageForm() took. False, and nothing
// is printed, for "": people get something better.
bool PrintMessage(Context& context, const google::protobuf::Message& message,
                  absl::string_view word);

// The same of trees: in JSON an array, unless `single` and there is one; in
// YAML a document each.
bool PrintTrees(Context& context, const std::vector<manifest::Node::Ptr>& trees,
                bool single, absl::string_view word);

}  // namespace bulwark::ctl

#endif  // CTL_MESSAGE_FORM_H_
