// What a user may not expect of an object that is right.
#ifndef API_WARNINGS_H_
#define API_WARNINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/key.h"

namespace bulwark::api {

// Sentences, each with its remedy. `written` is the object as it came,
// `defaulted` the same with its defaults. `host_memory` is in bytes; 0: it is
// not known. Pure.
std::vector<std::string> WarningsOf(const v1::Object& written,
                                    const v1::Object& defaulted,
                                    int64_t host_memory);

// What containers of `object` read of secrets and configs that do not exist
// (yet).
std::vector<std::string> WarningsOfMissing(
    const v1::Object& object,
    absl::FunctionRef<bool(const store::Key& key)> exists);

}  // namespace bulwark::api

#endif  // API_WARNINGS_H_
