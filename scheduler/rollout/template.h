// Templates: the part of a service that makes a new revision when it changes.
#ifndef SCHEDULER_ROLLOUT_TEMPLATE_H_
#define SCHEDULER_ROLLOUT_TEMPLATE_H_

#include <map>
#include <string>
#include <vector>

#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::scheduler {

v1::Template TemplateOf(const v1::ServiceSpec& spec);

// Equal in every field.
bool SameTemplate(const v1::Template& a, const v1::Template& b);

// SHA-256 over the template and its images' digests, 64 hex digits: equal
// hashes mean the same containers.
std::string TemplateHash(const v1::Template& t,
                         const std::map<std::string, std::string>& digests);

// Every container of the template, main ones first.
std::vector<const v1::Container*> ContainersOf(const v1::Template& t);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_ROLLOUT_TEMPLATE_H_
