// What the codec asks of a message's type.
#ifndef MANIFEST_SCHEMA_H_
#define MANIFEST_SCHEMA_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"

namespace bulwark::manifest {

// The field that a manifest calls `name` (lowerCamelCase), or null.
const google::protobuf::FieldDescriptor* FindField(
    const google::protobuf::Descriptor& type, absl::string_view name);

// The field whose own fields may stand in the message itself: `containers` (a
// single one) of a ServiceSpec or JobSpec, `job` of a CronJobSpec. Null if the
// type has none.
const google::protobuf::FieldDescriptor* InlineField(
    const google::protobuf::Descriptor& type);

// Whether `name` is a field of `type` or of what may be written inline in it.
bool Knows(const google::protobuf::Descriptor& type, absl::string_view name);

// Every name that Knows() answers true to.
std::vector<std::string> KnownNames(const google::protobuf::Descriptor& type);

// Whether `name` is a field of containers, and objects of the kind `type`
// (Service, …) have some.
bool IsOfContainers(const google::protobuf::Descriptor& type,
                    absl::string_view name);

// What a name that other tools use is called here, e.g. "environment" -> "env";
// empty if it is none.
absl::string_view NameElsewhere(absl::string_view name);

// The (map_form) option of a field. Without `value` what stands at a key is
// the element itself, as a mapping or in its short form.
struct MapForm {
  const google::protobuf::FieldDescriptor* key = nullptr;
  const google::protobuf::FieldDescriptor* value = nullptr;

  explicit operator bool() const { return key != nullptr; }
};
MapForm MapFormOf(const google::protobuf::FieldDescriptor& field);

}  // namespace bulwark::manifest

#endif  // MANIFEST_SCHEMA_H_
