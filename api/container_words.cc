#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "api/container_lookup.h"
#include "api/errors.h"

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

absl::Status NoneToRunIn(const std::string& target,
                         const std::vector<v1::Replica>& replicas) {
  for (const v1::Replica& replica : replicas) {
    const std::string& name = replica.metadata().name();
    for (const v1::ContainerStatus& status : replica.status().containers()) {
      if (!status.running() || !status.paused()) continue;
      return WithRemedy(absl::FailedPreconditionError(absl::StrCat(
                            "run a command in ", target, ": container ",
                            status.name(), " of ", name, " is paused")),
                        absl::StrCat("ctl unpause ", name, " lets it go on"));
    }
  }
  return WithRemedy(
      absl::FailedPreconditionError(absl::StrCat(
          "run a command in ", target, ": no replica of it is ready")),
      "name a replica to use one that is not ready");
}

}  // namespace bulwark::api
