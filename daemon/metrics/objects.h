// What the stored objects say, as samples. Pure.
#ifndef DAEMON_METRICS_OBJECTS_H_
#define DAEMON_METRICS_OBJECTS_H_

#include "metrics/samples.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::daemon {

// Adds the series of one object; nothing for kinds that have none.
void AddObject(const v1::Object& object, metrics::Samples& samples);

}  // namespace bulwark::daemon

#endif  // DAEMON_METRICS_OBJECTS_H_
