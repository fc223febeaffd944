// Reading untrusted JSON without exceptions.
#ifndef ENGINE_IMAGE_JSON_H_
#define ENGINE_IMAGE_JSON_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::image {

using Json = nlohmann::json;

// Parses an object. INVALID_ARGUMENT, beginning with `what`, if the text is not
// JSON, not an object, nested deeper than 32, or not UTF-8.
absl::StatusOr<Json> ParseObject(absl::string_view text,
                                 absl::string_view what);

// The member `key` of `object`, or null if it is absent or null.
const Json* Find(const Json& object, const char* key);

// The member as the wanted type; the empty value if it is absent or of another
// type: fields that we honour are optional, and a wrong type is no field.
std::string StringField(const Json& object, const char* key);
int64_t IntField(const Json& object, const char* key);
std::vector<std::string> StringList(const Json& object, const char* key);
std::map<std::string, std::string> StringMap(const Json& object,
                                             const char* key);
// The keys of an object member, sorted.
std::vector<std::string> KeysOf(const Json& object, const char* key);

// JSON text of a value that may hold invalid UTF-8 (replaced).
std::string Dump(const Json& value);

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_JSON_H_
