#include "api/fields.h"

#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "api/rules.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/util/message_differencer.h"
#include "proto/bulwark/v1/container.pb.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::api {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int64_t kMostSeconds = int64_t{10} * 366 * 24 * 3600;

bool IsDuration(const FieldDescriptor& field) {
  return field.message_type() != nullptr &&
         field.message_type() == google::protobuf::Duration::descriptor();
}

std::string Place(absl::string_view path, const FieldDescriptor& field) {
  return JoinPath(path, std::string(field.json_name()));
}

// The values that a field may take, as in a manifest.
std::string Choices(const EnumDescriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0) {
      names.push_back(EnumText(*type.value(i)));
    }
  }
  return absl::StrCat("use one of: ", absl::StrJoin(names, ", "));
}

void ValidateEnum(const Message& message, const FieldDescriptor& field,
                  absl::string_view path, Report& report) {
  const int number = message.GetReflection()->GetEnumValue(message, &field);
  if (number == 0) {
    report.Invalid(Place(path, field), "is not specified",
                   Choices(*field.enum_type()));
  } else if (field.enum_type()->FindValueByNumber(number) == nullptr) {
    report.Invalid(Place(path, field),
                   absl::StrCat("has the unknown value ", number),
                   Choices(*field.enum_type()));
  }
}

void ValidateDuration(const Message& message, const FieldDescriptor& field,
                      absl::string_view path, Report& report) {
  if (!message.GetReflection()->HasField(message, &field)) return;
  const auto& duration = static_cast<const google::protobuf::Duration&>(
      message.GetReflection()->GetMessage(message, &field));
  if (duration.seconds() < 0 || duration.seconds() > kMostSeconds ||
      duration.nanos() < 0 || duration.nanos() > 999999999) {
    report.Invalid(Place(path, field), "is not a duration from 0 to ten years",
                   "write it like 500ms, 10s or 5m");
  }
}

bool IsNegative(const Message& message, const FieldDescriptor& field) {
  // "Unlimited" is -1 there; what else is wrong with it, its rules say.
  if (field.containing_type() == v1::Ulimit::descriptor()) return false;
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field) < 0;
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection.GetInt64(message, &field) < 0;
    default:
      return false;
  }
}

// Whether a singular field without presence of its own, or a repeated one,
// holds anything.
bool IsSet(const Message& message, const FieldDescriptor& field) {
  return field.is_repeated()
             ? message.GetReflection()->FieldSize(message, &field) > 0
             : message.GetReflection()->HasField(message, &field);
}

void ValidateSingular(const Message& message, const FieldDescriptor& field,
                      absl::string_view path, Report& report) {
  const Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    ValidateEnum(message, field, path, report);
  } else if (IsDuration(field)) {
    ValidateDuration(message, field, path, report);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    if (reflection.HasField(message, &field)) {
      ValidateFields(reflection.GetMessage(message, &field), Place(path, field),
                     report);
    }
  } else if (IsNegative(message, field)) {
    report.Invalid(Place(path, field), "is negative", "use 0 or more");
  }
}

template <typename Option>
void ClearFields(Message& message, const Option& option) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->options().GetExtension(option)) {
      reflection.ClearField(&message, field);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
               field->is_map()) {
      continue;
    } else if (!field->is_repeated()) {
      ClearFields(*reflection.MutableMessage(&message, field), option);
    } else {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        ClearFields(*reflection.MutableRepeatedMessage(&message, field, i),
                    option);
      }
    }
  }
}

std::string FieldText(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    return EnumText(*reflection.GetEnum(message, &field));
  }
  return reflection.GetString(message, &field);
}

bool SameField(const Message& a, const Message& b,
               const FieldDescriptor& field) {
  google::protobuf::util::MessageDifferencer differencer;
  return differencer.CompareWithFields(a, b, {&field}, {&field});
}

}  // namespace

std::string EnumText(const EnumValueDescriptor& value) {
  return absl::AsciiStrToLower(
      absl::StrReplaceAll(std::string(value.name()), {{"_", "-"}}));
}

void ValidateFields(const Message& message, absl::string_view path,
                    Report& report) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.options().GetExtension(v1::output_only)) continue;
    if (field.options().GetExtension(v1::required) && !IsSet(message, field)) {
      report.Invalid(Place(path, field), "is required");
    } else if (!field.is_repeated()) {
      ValidateSingular(message, field, path, report);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
               !field.is_map()) {
      const Reflection& reflection = *message.GetReflection();
      for (int n = 0; n < reflection.FieldSize(message, &field); ++n) {
        ValidateFields(reflection.GetRepeatedMessage(message, &field, n),
                       absl::StrCat(Place(path, field), "[", n, "]"), report);
      }
    }
  }
}

void ValidateImmutable(const Message& before, const Message& after,
                       absl::string_view path, Report& report) {
  const google::protobuf::Descriptor& type = *before.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_repeated()) continue;
    if (field.options().GetExtension(v1::immutable)) {
      if (SameField(before, after, field)) continue;
      report.Invalid(
          Place(path, field),
          absl::StrCat("cannot change from ", Quoted(FieldText(before, field)),
                       " to ", Quoted(FieldText(after, field))),
          "use a new name, or delete the object and apply it again");
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
               !IsDuration(field)) {
      const Reflection& reflection = *before.GetReflection();
      ValidateImmutable(reflection.GetMessage(before, &field),
                        reflection.GetMessage(after, &field),
                        Place(path, field), report);
    }
  }
}

void ClearOutputOnly(Message& message) {
  ClearFields(message, v1::output_only);
}

void ClearInputOnly(Message& message) { ClearFields(message, v1::input_only); }

}  // namespace bulwark::api
