// Whether volumes for one writer have one.
#ifndef API_VALIDATE_WRITERS_H_
#define API_VALIDATE_WRITERS_H_

#include "api/report.h"
#include "api/validate_world.h"

namespace bulwark::api {

// A volume that is declared for one writer is mounted by one service, job or
// cron job, of which there is one replica or execution at a time. Jobs that
// have ended do not count, nor beside jobs a service that has stopped; what
// waits for the end of a job may mount what that does. Adds what the request's
// objects break of that and did not before. Volumes of single slots are one
// writer's by themselves. Pure.
void CheckWriters(const World& world, Report& report);

}  // namespace bulwark::api

#endif  // API_VALIDATE_WRITERS_H_
