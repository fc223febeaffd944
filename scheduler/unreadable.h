// Saying that a record cannot be read.
#ifndef SCHEDULER_UNREADABLE_H_
#define SCHEDULER_UNREADABLE_H_

#include "absl/status/status.h"
#include "scheduler/events.h"
#include "store/store.h"

namespace bulwark::scheduler {

// Logs that `change` left a record which cannot be read, and records it as an
// event about what it is a part of. Nothing for a deletion.
void TellUnreadable(const store::Change& change, const absl::Status& why,
                    EventRecorder& events);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_UNREADABLE_H_
