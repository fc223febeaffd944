// One field's value as text, by its type and options.
#ifndef MANIFEST_SCALAR_H_
#define MANIFEST_SCALAR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"
#include "manifest/node.h"

namespace bulwark::manifest {

// True if a manifest writes the field's elements as single values: numbers,
// text, enums, google.protobuf.Duration and Timestamp.
bool IsScalarField(const google::protobuf::FieldDescriptor& field);

// Sets `field` of `message` (appends, if it is repeated) from `text`.
// INVALID_ARGUMENT says what was expected:
//
//   Duration   "10s", "1h30m"; Timestamp: RFC 3339
//   BYTES      "64Mi"; MILLICORES "500m"; PERCENT "70%"; FILE_MODE "0644"
//   enum       kebab case without the type's prefix: "least-connections"
//   bool       true or false
//   bytes      the text itself, or "base64:" and base64
//
// `text` is valid UTF-8.
absl::Status ReadScalar(absl::string_view text,
                        const google::protobuf::FieldDescriptor& field,
                        google::protobuf::Message& message);

// What ReadScalar reads back: the field's value, or with `index` >= 0 that
// element of a repeated field.
Node::Ptr WriteScalar(const google::protobuf::Message& message,
                      const google::protobuf::FieldDescriptor& field,
                      int index = -1);

// The words of an enum, without the unspecified one.
std::vector<std::string> EnumWords(
    const google::protobuf::EnumDescriptor& type);

// "LEAST_CONNECTIONS" -> "least-connections".
std::string EnumWord(const google::protobuf::EnumValueDescriptor& value);

}  // namespace bulwark::manifest

#endif  // MANIFEST_SCALAR_H_
