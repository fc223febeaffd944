// Checks that follow from the declaration of a message alone.
#ifndef API_FIELDS_H_
#define API_FIELDS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "api/report.h"
#include "google/protobuf/message.h"

namespace bulwark::api {

// Walks `message` (already defaulted) and everything below it. Refused are: a
// (required) field without a value, an enum that is unspecified or unknown, a
// negative number, a duration that is negative, malformed or above ten years.
// Fields that are (output_only) are skipped.
void ValidateFields(const google::protobuf::Message& message,
                    absl::string_view path, Report& report);

// Refuses the change of any (immutable) field between two messages of one type.
void ValidateImmutable(const google::protobuf::Message& before,
                       const google::protobuf::Message& after,
                       absl::string_view path, Report& report);

// Clears every (output_only) field, at any depth: what clients may not write.
void ClearOutputOnly(google::protobuf::Message& message);

// Clears every (input_only) field, at any depth: what clients may not read.
void ClearInputOnly(google::protobuf::Message& message);

// The value as in a manifest: "least-connections" for LEAST_CONNECTIONS.
std::string EnumText(const google::protobuf::EnumValueDescriptor& value);

}  // namespace bulwark::api

#endif  // API_FIELDS_H_
