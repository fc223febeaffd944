// What differs between two versions of an object, field by field.
#ifndef API_CHANGES_H_
#define API_CHANGES_H_

#include <vector>

#include "proto/bulwark/v1/api.pb.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// The changes of labels and spec from `before` (null: it is new) to `after`,
// both with their defaults, in the order of the schema. Elements of lists are
// matched by what names them: a change of their order alone is one change of
// the list. Values of (input_only) fields are never in the result. Pure.
std::vector<v1::FieldChange> ChangesOf(const v1::Object* before,
                                       const v1::Object& after);

}  // namespace bulwark::api

#endif  // API_CHANGES_H_
