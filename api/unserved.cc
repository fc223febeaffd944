#include "api/unserved.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "api/rules.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace bulwark::api {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr Unserved kUnserved[] = {
    {"network_policy", "", "network policies"},
    {"service.spec.ports.protocol", "UDP", "UDP ports"},
    {"network.spec.internal", "", "networks without a way out"},
};

bool IsListed(const Message& message, const FieldDescriptor& field, int index,
              const Unserved& row) {
  if (row.value.empty()) return true;
  const Reflection& reflection = *message.GetReflection();
  const int number =
      index < 0 ? reflection.GetEnumValue(message, &field)
                : reflection.GetRepeatedEnumValue(message, &field, index);
  const auto* value = field.enum_type()->FindValueByNumber(number);
  return value != nullptr && value->name() == row.value;
}

void Refuse(const Unserved& row, absl::string_view path, Report& report) {
  report.Refuse(path,
                absl::StrCat("this version of bulwarkd does not run ",
                             row.feature, " yet"),
                "leave it out, or install a version that runs them");
}

// Follows `rest`, the path below `message`, which stands at `place`.
void Follow(const Message& message, absl::string_view rest,
            const std::string& place, const Unserved& row, Report& report) {
  const size_t dot = rest.find('.');
  const std::string name(rest.substr(0, dot));
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) return;  // a test checks every path
  const Reflection& reflection = *message.GetReflection();
  const std::string here = JoinPath(place, std::string(field->json_name()));
  const bool last = dot == absl::string_view::npos;
  if (!field->is_repeated()) {
    if (!reflection.HasField(message, field)) return;
    if (!last) {
      Follow(reflection.GetMessage(message, field), rest.substr(dot + 1), here,
             row, report);
    } else if (IsListed(message, *field, -1, row)) {
      Refuse(row, here, report);
    }
    return;
  }
  for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
    const std::string element = absl::StrCat(here, "[", i, "]");
    if (!last) {
      Follow(reflection.GetRepeatedMessage(message, field, i),
             rest.substr(dot + 1), element, row, report);
    } else if (IsListed(message, *field, i, row)) {
      Refuse(row, element, report);
    }
  }
}

}  // namespace

absl::Span<const Unserved> UnservedFeatures() { return kUnserved; }

void ValidateServed(const v1::Object& object, Report& report) {
  const auto* kind = object.GetReflection()->GetOneofFieldDescriptor(
      object, object.GetDescriptor()->oneof_decl(0));
  if (kind == nullptr) return;
  const Message& inner = object.GetReflection()->GetMessage(object, kind);
  for (const Unserved& row : kUnserved) {
    const size_t dot = row.path.find('.');
    if (row.path.substr(0, dot) != absl::string_view(kind->name())) continue;
    if (dot == absl::string_view::npos) {
      Refuse(row, "", report);
    } else {
      Follow(inner, row.path.substr(dot + 1), "", row, report);
    }
  }
}

}  // namespace bulwark::api
