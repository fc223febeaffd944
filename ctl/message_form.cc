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

bool PrintTrees(Context& context, const std::vector<manifest::Node::Ptr>& trees,
                bool single, absl::string_view word) {
  if (word.empty()) return false;
  if (word == "json") {
    manifest::Node::Ptr list = manifest::Node::List();
    list->items = trees;
    context.io.Out(manifest::WriteJson(
        single && trees.size() == 1 ? *trees.front() : *list));
    return true;
  }
  for (size_t i = 0; i < trees.size(); ++i) {
    if (i > 0) context.io.Out("---\n");
    context.io.Out(manifest::WriteYaml(*trees[i]));
  }
  return true;
}

}  // namespace bulwark::ctl
