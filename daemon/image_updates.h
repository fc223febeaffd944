// Image updates in the audit log.
#ifndef DAEMON_IMAGE_UPDATES_H_
#define DAEMON_IMAGE_UPDATES_H_

#include "api/audit/audit_log.h"
#include "scheduler/imageupdate/controller.h"

namespace bulwark::daemon {

// Appends a record of each update, by the actor "image-update". The revision is
// stored before: a record that cannot be written is in the daemon's log
// instead. `log` must outlive what is returned.
scheduler::ImageUpdateController::Told AuditImageUpdates(api::AuditLog& log);

}  // namespace bulwark::daemon

#endif  // DAEMON_IMAGE_UPDATES_H_
