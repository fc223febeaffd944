#include "manifest/scalar.h"

#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "base/units.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "manifest/suggest.h"
#include "manifest/utf8.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr absl::string_view kBase64 = "base64:";

bool IsDuration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type() == google::protobuf::Duration::descriptor();
}

bool IsTimestamp(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type() == google::protobuf::Timestamp::descriptor();
}

absl::Status Refuse(absl::string_view text, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not ", expected));
}

// Calls the Set or the Add method of the reflection.
#define BULWARK_STORE_(Type, value)                                      \
  (field.is_repeated() ? reflection.Add##Type(&message, &field, (value)) \
                       : reflection.Set##Type(&message, &field, (value)))

Message* Submessage(const FieldDescriptor& field, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.AddMessage(&message, &field)
                             : reflection.MutableMessage(&message, &field);
}

absl::StatusOr<int64_t> ReadInteger(absl::string_view text,
                                    const FieldDescriptor& field) {
  switch (field.options().GetExtension(v1::format)) {
    case v1::BYTES:
      return ParseBytes(text);
    case v1::MILLICORES:
      return ParseMillicores(text);
    case v1::PERCENT:
      return ParsePercent(text);
    case v1::FILE_MODE: {
      int64_t mode = 0;
      absl::string_view digits = text;
      absl::ConsumePrefix(&digits, "0o");
      for (char c : digits) {
        if (c < '0' || c > '7') digits = "";
      }
      if (digits.empty() || digits.size() > 5) {
        return Refuse(text, "a file mode such as 0644");
      }
      for (char c : digits) mode = mode * 8 + (c - '0');
      if (mode > 07777) return Refuse(text, "a file mode such as 0644");
      return mode;
    }
    default:
      break;
  }
  int64_t value;
  if (!absl::SimpleAtoi(text, &value)) return Refuse(text, "a whole number");
  return value;
}

template <typename T>
absl::StatusOr<T> ReadRanged(absl::string_view text,
                             const FieldDescriptor& field) {
  ASSIGN_OR_RETURN(int64_t value, ReadInteger(text, field));
  if (value < std::numeric_limits<T>::min() ||
      value > std::numeric_limits<T>::max()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is out of range"));
  }
  return static_cast<T>(value);
}

absl::Status ReadUnsigned64(absl::string_view text,
                            const FieldDescriptor& field, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  uint64_t value;
  if (!absl::SimpleAtoi(text, &value)) return Refuse(text, "a whole number");
  BULWARK_STORE_(UInt64, value);
  return absl::OkStatus();
}

absl::Status ReadEnum(absl::string_view text, const FieldDescriptor& field,
                      Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const EnumDescriptor& type = *field.enum_type();
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0 && EnumWord(*type.value(i)) == text) {
      BULWARK_STORE_(Enum, type.value(i));
      return absl::OkStatus();
    }
  }
  const std::vector<std::string> words = EnumWords(type);
  std::string message_text =
      absl::StrCat("\"", text, "\" is not one of ", absl::StrJoin(words, ", "));
  const std::string nearest = Nearest(text, words);
  if (!nearest.empty()) {
    absl::StrAppend(&message_text, "; did you mean ", nearest, "?");
  }
  return absl::InvalidArgumentError(message_text);
}

absl::Status ReadText(absl::string_view text, const FieldDescriptor& field,
                      Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (field.type() != FieldDescriptor::TYPE_BYTES) {
    if (absl::StrContains(text, absl::string_view("\0", 1))) {
      return absl::InvalidArgumentError("contains a zero byte");
    }
    BULWARK_STORE_(String, std::string(text));
    return absl::OkStatus();
  }
  std::string value(text);
  absl::string_view encoded = text;
  if (absl::ConsumePrefix(&encoded, kBase64) &&
      !absl::Base64Unescape(encoded, &value)) {
    return absl::InvalidArgumentError(
        "is not base64 after \"base64:\" (text that starts so must be encoded "
        "itself)");
  }
  BULWARK_STORE_(String, value);
  return absl::OkStatus();
}

absl::Status ReadDuration(absl::string_view text, const FieldDescriptor& field,
                          Message& message) {
  ASSIGN_OR_RETURN(absl::Duration value, ParseDuration(text));
  auto* out =
      static_cast<google::protobuf::Duration*>(Submessage(field, message));
  out->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
  out->set_nanos(static_cast<int32_t>(value / absl::Nanoseconds(1)));
  return absl::OkStatus();
}

absl::Status ReadTimestamp(absl::string_view text, const FieldDescriptor& field,
                           Message& message) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, nullptr) ||
      time == absl::InfiniteFuture() || time == absl::InfinitePast()) {
    return Refuse(text, "a time such as 2030-01-31T12:00:00Z");
  }
  auto* out =
      static_cast<google::protobuf::Timestamp*>(Submessage(field, message));
  const int64_t seconds = absl::ToUnixSeconds(time);
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) /
                                      absl::Nanoseconds(1)));
  return absl::OkStatus();
}

}  // namespace

bool IsScalarField(const FieldDescriptor& field) {
  return field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
         IsDuration(field) || IsTimestamp(field);
}

std::string EnumWord(const EnumValueDescriptor& value) {
  std::string prefix;
  for (char c : value.type()->name()) {
    if (absl::ascii_isupper(c) && !prefix.empty()) prefix.push_back('_');
    prefix.push_back(absl::ascii_toupper(c));
  }
  prefix.push_back('_');
  absl::string_view name = value.name();
  absl::ConsumePrefix(&name, prefix);
  return absl::AsciiStrToLower(absl::StrReplaceAll(name, {{"_", "-"}}));
}

std::vector<std::string> EnumWords(const EnumDescriptor& type) {
  std::vector<std::string> words;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() == 0) continue;
    words.push_back(EnumWord(*type.value(i)));
  }
  return words;
}

absl::Status ReadScalar(absl::string_view text, const FieldDescriptor& field,
                        Message& message) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      ASSIGN_OR_RETURN(int32_t value, ReadRanged<int32_t>(text, field));
      BULWARK_STORE_(Int32, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      ASSIGN_OR_RETURN(uint32_t value, ReadRanged<uint32_t>(text, field));
      BULWARK_STORE_(UInt32, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      ASSIGN_OR_RETURN(int64_t value, ReadInteger(text, field));
      BULWARK_STORE_(Int64, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64:
      return ReadUnsigned64(text, field, message);
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double value = 0;
      if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) {
        return Refuse(text, "a number");
      }
      BULWARK_STORE_(Double, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (text != "true" && text != "false") {
        return Refuse(text, "true or false");
      }
      BULWARK_STORE_(Bool, text == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM:
      return ReadEnum(text, field, message);
    case FieldDescriptor::CPPTYPE_STRING:
      return ReadText(text, field, message);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (IsDuration(field)) return ReadDuration(text, field, message);
      if (IsTimestamp(field)) return ReadTimestamp(text, field, message);
      break;
    default:
      break;
  }
  return absl::UnimplementedError(
      absl::StrCat(field.full_name(), " is of a type without a text form"));
}

namespace {

Node::Ptr WriteInteger(int64_t value, const FieldDescriptor& field) {
  switch (field.options().GetExtension(v1::format)) {
    case v1::BYTES:
      return value < 0 ? Node::Scalar(absl::StrCat(value), false)
                       : Node::Scalar(FormatBytes(value), true);
    case v1::MILLICORES:
      return Node::Scalar(FormatMillicores(value), true);
    case v1::PERCENT:
      return Node::Scalar(FormatPercent(static_cast<int32_t>(value)), true);
    case v1::FILE_MODE:
      return Node::Scalar(absl::StrFormat("%04o", value), true);
    default:
      return Node::Scalar(absl::StrCat(value), false);
  }
}

Node::Ptr WriteBytes(const std::string& value) {
  bool plain = FindInvalidUtf8(value) == absl::string_view::npos &&
               !absl::StartsWith(value, kBase64);
  for (char c : value) {
    if ((c >= 0 && c < ' ' && c != '\n' && c != '\t') || c == 0x7f) {
      plain = false;
    }
  }
  return Node::Scalar(
      plain ? value : absl::StrCat(kBase64, absl::Base64Escape(value)), true);
}

Node::Ptr WriteTimeMessage(const Message& message) {
  if (message.GetDescriptor() == google::protobuf::Duration::descriptor()) {
    const auto& d = static_cast<const google::protobuf::Duration&>(message);
    return Node::Scalar(absl::FormatDuration(absl::Seconds(d.seconds()) +
                                             absl::Nanoseconds(d.nanos())),
                        true);
  }
  const auto& t = static_cast<const google::protobuf::Timestamp&>(message);
  return Node::Scalar(absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ",
                                       absl::FromUnixSeconds(t.seconds()) +
                                           absl::Nanoseconds(t.nanos()),
                                       absl::UTCTimeZone()),
                      true);
}

// The shortest text that reads as the same number.
std::string DoubleText(double value) {
  for (int digits = 6; digits < 17; ++digits) {
    std::string text = absl::StrFormat("%.*g", digits, value);
    double back = 0;
    if (absl::SimpleAtod(text, &back) && back == value) return text;
  }
  return absl::StrFormat("%.17g", value);
}

#define BULWARK_LOAD_(Type)                          \
  (index < 0 ? reflection.Get##Type(message, &field) \
             : reflection.GetRepeated##Type(message, &field, index))

}  // namespace

Node::Ptr WriteScalar(const Message& message, const FieldDescriptor& field,
                      int index) {
  const Reflection& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return WriteInteger(BULWARK_LOAD_(Int32), field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return WriteInteger(BULWARK_LOAD_(UInt32), field);
    case FieldDescriptor::CPPTYPE_INT64:
      return WriteInteger(BULWARK_LOAD_(Int64), field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return Node::Scalar(absl::StrCat(BULWARK_LOAD_(UInt64)), false);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Node::Scalar(DoubleText(BULWARK_LOAD_(Double)), false);
    case FieldDescriptor::CPPTYPE_BOOL:
      return Node::Scalar(BULWARK_LOAD_(Bool) ? "true" : "false", false);
    case FieldDescriptor::CPPTYPE_ENUM:
      return Node::Scalar(EnumWord(*BULWARK_LOAD_(Enum)), true);
    case FieldDescriptor::CPPTYPE_STRING:
      if (field.type() == FieldDescriptor::TYPE_BYTES) {
        return WriteBytes(BULWARK_LOAD_(String));
      }
      return Node::Scalar(BULWARK_LOAD_(String), true);
    default:
      return WriteTimeMessage(BULWARK_LOAD_(Message));
  }
}

}  // namespace bulwark::manifest
