#include "api/unreadable.h"

#include "absl/strings/str_cat.h"
#include "api/errors.h"

namespace bulwark::api {
namespace {

// Clients take 8 KiB of metadata in all.
constexpr size_t kMostText = 3000;

}  // namespace

std::string UnreadableWarning(const std::vector<store::Key>& keys) {
  if (keys.empty()) return "";
  std::string names;
  size_t told = 0;
  for (; told < keys.size(); ++told) {
    const std::string name = keys[told].ToString();
    if (!names.empty() && names.size() + name.size() > kMostText) break;
    absl::StrAppend(&names, told == 0 ? "" : ", ", name);
  }
  if (told < keys.size()) {
    absl::StrAppend(&names, " and ", keys.size() - told, " more");
  }
  return absl::StrCat(keys.size() == 1
                          ? "a record cannot be read and is left out: "
                          : "records cannot be read and are left out: ",
                      names, "; docs/operation.md says how to get them back");
}

void WarnOfUnreadable(const std::vector<store::Key>& keys,
                      grpc::ServerContext& context) {
  const std::string warning = UnreadableWarning(keys);
  if (!warning.empty()) context.AddInitialMetadata(kWarningMetadata, warning);
}

absl::Status RefuseUnreadable(absl::string_view verb, const store::Key& key) {
  return WithRemedy(absl::DataLossError(
                        absl::StrCat(verb, " ", key.kind, " ", key.project, "/",
                                     key.name, ": its record cannot be read")),
                    kUnreadableRemedy);
}

}  // namespace bulwark::api
