// Which rights a request needs, and where. Pure.
#ifndef API_DEMANDS_H_
#define API_DEMANDS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "api/access_rules.h"
#include "api/rights.h"
#include "google/protobuf/message.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// Stands for "some project" in a demand, and for "all" in a request.
inline constexpr absl::string_view kAnyProject = "*";

// One right that must be there. Of `projects` one is enough.
struct Demand {
  Right right;
  std::vector<std::string> projects;
  // What needs it: "mount /etc of container web".
  std::string what;
};

// What `request` needs by `rule` and by what it says itself. What only the
// stored objects tell comes on top: DemandsOfChange().
std::vector<Demand> DemandsOf(const AccessRule& rule,
                              const google::protobuf::Message* request);

// What it needs to turn `before` (null: nothing) into `after` (null: gone),
// both in full. Containers that read secrets, mount host paths or are
// privileged need the right whenever anything of the object's containers but
// their limits changes: who may not have them cannot run another program with
// them either, nor bring them back from an older revision.
std::vector<Demand> DemandsOfChange(const v1::Object* before,
                                    const v1::Object* after);

// The project whose viewers see `object`; kAnyProject: those of any.
std::string VisibleIn(const v1::Object& object);

}  // namespace bulwark::api

#endif  // API_DEMANDS_H_
