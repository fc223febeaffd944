// -o of commands that print one answer of the server's.
#ifndef CTL_MESSAGE_FORM_H_
#define CTL_MESSAGE_FORM_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ctl/context.h"
#include "google/protobuf/message.h"

namespace bulwark::ctl {

// What help says of it.
inline constexpr char kMessageForms[] = "json, yaml";

// "", "json" or "yaml"; else a usage error.
absl::Status CheckMessageForm(absl::string_view word);

// Prints `message` in a form that CheckMessageForm() took. False, and nothing
// is printed, for "": people get something better.
bool PrintMessage(Context& context, const google::protobuf::Message& message,
                  absl::string_view word);

}  // namespace bulwark::ctl

#endif  // CTL_MESSAGE_FORM_H_
