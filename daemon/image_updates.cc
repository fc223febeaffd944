#include "daemon/image_updates.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "api/audit/describe.h"
#include "base/log.h"

namespace bulwark::daemon {

scheduler::ImageUpdateController::Told AuditImageUpdates(api::AuditLog& log) {
  return [&log](const v1::ObjectReference& service, int64_t revision,
                const std::string& what) {
    v1::AuditRecord record;
    record.mutable_actor()->set_name(scheduler::kImageUpdateActor);
    record.set_method(scheduler::kImageUpdateActor);
    record.set_project(service.project());
    *record.add_objects() = service;
    record.set_detail(
        api::ShortText(absl::StrCat("revision ", revision, ": ", what)));
    const absl::Status status = log.Append(std::move(record), true);
    if (status.ok()) return;
    LOG_ERROR("an image update is not in the audit log",
              {{"service", service.name()},
               {"revision", absl::StrCat(revision)},
               {"cause", status}});
  };
}

}  // namespace bulwark::daemon
