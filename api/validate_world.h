// Whether objects are right together.
#ifndef API_VALIDATE_WORLD_H_
#define API_VALIDATE_WORLD_H_

#include <set>
#include <vector>

#include "api/report.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/key.h"

namespace bulwark::api {

// What will be declared after a request. Objects that are being deleted are not
// in it.
struct World {
  struct Entry {
    const v1::Object* object;  // defaulted; outlives the world
    int index;                 // in the request; -1: stored and not in it
    const v1::Object* before = nullptr;  // in the request: as it is stored
  };
  std::vector<Entry> entries;
  // What is being deleted and still there.
  std::set<store::Key> leaving;
};

// Adds the problems of the request's objects: a host port, subnet or name that
// another one has, a network or dependency that does not exist, dependencies in
// a circle, a volume that is being deleted. Pure.
void ValidateWorld(const World& world, Report& report);

// Names of the services in `world` that use a network or a volume, of what
// reads a secret or a config, of the objects that are in a project; empty for
// other kinds.
std::vector<std::string> UsersOf(const World& world, const v1::Object& object);

}  // namespace bulwark::api

#endif  // API_VALIDATE_WORLD_H_
