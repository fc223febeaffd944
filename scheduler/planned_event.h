#ifndef SCHEDULER_PLANNED_EVENT_H_
#define SCHEDULER_PLANNED_EVENT_H_

#include <string>

#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::scheduler {

// Something to be told of an object that is known where it is told.
struct PlannedEvent {
  std::string reason;
  std::string message;
  v1::Event::Severity severity = v1::Event::NORMAL;
};

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_PLANNED_EVENT_H_
