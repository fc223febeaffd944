#include "ctl/message_form.h"

#include "absl/strings/str_cat.h"
#include "ctl/errors.h"
#include "manifest/codec.h"

namespace bulwark::ctl {

absl::Status CheckMessageForm(absl::string_view word) {
  if (word.empty() || word == "json" || word == "yaml") return absl::OkStatus();
  return UsageError(absl::StrCat("-o ", word, ": json or yaml"));
}

bool PrintMessage(Context& context, const google::protobuf::Message& message,
                  absl::string_view word) {
  if (word.empty()) return false;
  context.io.Out(word == "json" ? manifest::PrintJson(message)
                                : manifest::PrintYaml(message));
  return true;
}

}  // namespace bulwark::ctl
