#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "api/container_lookup.h"

namespace bulwark::api {

absl::Status InWordsOfUsers(const absl::Status& status,
                            const ContainerRef& container) {
  if (status.ok()) return status;
  return absl::Status(
      status.code(),
      absl::StrReplaceAll(status.message(),
                          {{absl::StrCat("container ", container.id),
                            absl::StrCat("container ", container.container,
                                         " of ", container.replica)}}));
}

}  // namespace bulwark::api
