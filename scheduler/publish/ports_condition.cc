#include "scheduler/publish/ports_condition.h"

#include <cerrno>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "scheduler/publish/snapshot_builder.h"

namespace bulwark::scheduler {
namespace {

constexpr char kType[] = "PortsOpen";

v1::Condition Describe(const std::string& service,
                       const dataplane::v1::Applied& applied) {
  v1::Condition condition;
  condition.set_type(kType);
  condition.set_status(v1::Condition::TRUE);
  condition.set_reason("Listening");
  for (const dataplane::v1::ListenerError& error : applied.errors()) {
    if (ServiceOfListener(error.key()) != service || !IsPortFailure(error)) {
      continue;
    }
    condition.set_status(v1::Condition::FALSE);
    if (error.error_number() == EADDRINUSE) {
      condition.set_reason("PortInUse");
      condition.set_message(absl::StrCat(
          error.message(),
          "; another program holds the port (ss -ltunp says which): stop it, "
          "or choose another hostPort; it is tried again by itself"));
    } else {
      condition.set_reason("ListenFailed");
      condition.set_message(error.message());
    }
    break;
  }
  return condition;
}

}  // namespace

bool IsPortFailure(const dataplane::v1::ListenerError& error) {
  return !(absl::EndsWith(error.key(), "@host6") &&
           (error.error_number() == EAFNOSUPPORT ||
            error.error_number() == EADDRNOTAVAIL));
}

std::optional<v1::Condition> PortsCondition(
    const v1::Service& service, const dataplane::v1::Applied& applied) {
  if (service.spec().ports().empty()) return std::nullopt;
  const v1::Metadata& metadata = service.metadata();
  return Describe(
      absl::StrCat(metadata.project().empty() ? "default" : metadata.project(),
                   "/", metadata.name()),
      applied);
}

}  // namespace bulwark::scheduler
