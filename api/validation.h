// Whether objects are right in themselves: tables of rules, one file for each
// part of the schema.
#ifndef API_VALIDATION_H_
#define API_VALIDATION_H_

#include <functional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/report.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// "nginx" -> "docker.io/library/nginx:latest"; INVALID_ARGUMENT says what is
// wrong. Injected, as it belongs to the image side of the engine.
using NormalizeReference =
    std::function<absl::StatusOr<std::string>(absl::string_view)>;

// Adds every problem of `object`, which has its defaults and is of a kind that
// can be applied. Pure. What needs other objects is in validate_world.h, what
// this version does not run in unserved.h.
void ValidateObject(const v1::Object& object,
                    const NormalizeReference& normalize, Report& report);

// The parts.
void ValidateMetadata(const v1::Metadata& metadata, Report& report);
void ValidateServiceSpec(const v1::ServiceSpec& spec,
                         const NormalizeReference& normalize, Report& report);
// `path`: where it stands, "spec" or "spec.job".
void ValidateJobSpec(const v1::JobSpec& spec,
                     const NormalizeReference& normalize,
                     absl::string_view path, Report& report);
void ValidateCronJob(const v1::CronJob& cron_job,
                     const NormalizeReference& normalize, Report& report);
// Refuses what cannot change in a job that has begun.
void ValidateJobChange(const v1::Job& before, const v1::Job& after,
                       Report& report);
void ValidateNetworkSpec(const v1::NetworkSpec& spec, Report& report);
void ValidateProjectSpec(const v1::ProjectSpec& spec, Report& report);
void ValidateVolumeSpec(const v1::VolumeSpec& spec, Report& report);
// Whether one may become the other.
void ValidateVolumeChange(const v1::VolumeSpec& before,
                          const v1::VolumeSpec& after, Report& report);
void ValidateConfigSpec(const v1::ConfigSpec& spec, Report& report);
// What containers read of secrets and configs, and what a change of it does.
void ValidateInputs(const v1::Container& container, absl::string_view path,
                    Report& report);
// Devices, limits, file systems, names, settings and the log that a container
// is given. `paths`: where something is mounted in it already.
void ValidateGiven(const v1::Container& container, absl::string_view path,
                   std::set<std::string>& paths, Report& report);
void ValidateChangePolicy(const v1::ServiceSpec& spec, Report& report);

// kExecution: a main container of a job.
enum class ContainerRole { kMain, kInit, kSidecar, kExecution };
void ValidateContainer(const v1::Container& container, ContainerRole role,
                       const NormalizeReference& normalize,
                       absl::string_view path, Report& report);

// Most replicas that one service may declare.
inline constexpr int kMaxReplicas = 1000;

}  // namespace bulwark::api

#endif  // API_VALIDATION_H_
