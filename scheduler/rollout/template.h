// Templates: the part of a service that makes a new revision when it changes.
#ifndef SCHEDULER_ROLLOUT_TEMPLATE_H_
#define SCHEDULER_ROLLOUT_TEMPLATE_H_

#include <map>
#include <string>
#include <vector>

#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

v1::Template TemplateOf(const v1::ServiceSpec& spec);
v1::Template TemplateOf(const v1::JobSpec& spec);
// Of a service or a job; empty for anything else.
v1::Template TemplateOf(const v1::Object& object);

// Equal in every field but the containers' limits, which change in place.
bool SameTemplate(const v1::Template& a, const v1::Template& b);
// Of templates that are the same: equal limits too.
bool SameLimits(const v1::Template& a, const v1::Template& b);

// Gives the containers of `to`, the same template, the limits of `from`.
void CopyLimits(const v1::Template& from, v1::Template& to);

// SHA-256 over the template and its images' digests, 64 hex digits: equal
// hashes mean the same containers, apart from their limits.
std::string TemplateHash(const v1::Template& t,
                         const std::map<std::string, std::string>& digests);

// Every container of the template, main ones first.
std::vector<const v1::Container*> ContainersOf(const v1::Template& t);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_TEMPLATE_H_
