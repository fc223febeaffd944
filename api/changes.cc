#include "api/changes.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "api/convert.h"
#include "api/fields.h"
#include "api/rules.h"
#include "base/units.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "proto/bulwark/v1/options.pb.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMostText = 200;
constexpr absl::string_view kHidden = "(hidden)";
// The fields of a service that make a new revision, as manifests write them.
constexpr absl::string_view kTemplate[] = {
    "spec.containers", "spec.initContainers", "spec.sidecars", "spec.stop",
    "spec.network"};

// Limits reach containers as they run.
bool IsLimit(absl::string_view path) {
  return absl::StrContains(path, "].resources.");
}

bool IsReplacing(const std::string& kind, absl::string_view path) {
  if (kind != "service" || IsLimit(path)) return false;
  for (const absl::string_view field : kTemplate) {
    if (!absl::StartsWith(path, field)) continue;
    const absl::string_view rest = path.substr(field.size());
    if (rest.empty() || rest[0] == '.' || rest[0] == '[') return true;
  }
  return false;
}

std::string Shortened(std::string text) {
  if (text.size() <= kMostText) return text;
  return absl::StrCat(text.substr(0, kMostText), "... (", text.size(),
                      " bytes)");
}

std::string BytesText(const std::string& bytes) {
  for (const unsigned char c : bytes) {
    if ((c < 0x20 && c != '\n' && c != '\t') || c >= 0x7f) {
      return absl::StrCat("(", bytes.size(), " bytes)");
    }
  }
  return Shortened(absl::CHexEscape(bytes));
}

std::string NumberText(int64_t number, const FieldDescriptor& field) {
  switch (field.options().GetExtension(v1::format)) {
    case v1::BYTES:
      return FormatBytes(number);
    case v1::MILLICORES:
      return FormatMillicores(number);
    case v1::PERCENT:
      return FormatPercent(static_cast<int32_t>(number));
    case v1::FILE_MODE:
      return absl::StrFormat("0%o", number);
    default:
      return absl::StrCat(number);
  }
}

// One value, as in a manifest; `index` -1: the field is singular.
std::string ValueText(const Message& message, const FieldDescriptor& field,
                      int index) {
  const Reflection& r = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string text =
          one ? r.GetString(message, &field)
              : r.GetRepeatedString(message, &field, index);
      return field.type() == FieldDescriptor::TYPE_BYTES ? BytesText(text)
                                                         : Shortened(text);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return (one ? r.GetBool(message, &field)
                  : r.GetRepeatedBool(message, &field, index))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(*(one ? r.GetEnum(message, &field)
                            : r.GetRepeatedEnum(message, &field, index)));
    case FieldDescriptor::CPPTYPE_INT32:
      return NumberText(one ? r.GetInt32(message, &field)
                            : r.GetRepeatedInt32(message, &field, index),
                        field);
    case FieldDescriptor::CPPTYPE_INT64:
      return NumberText(one ? r.GetInt64(message, &field)
                            : r.GetRepeatedInt64(message, &field, index),
                        field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return NumberText(one ? r.GetUInt32(message, &field)
                            : r.GetRepeatedUInt32(message, &field, index),
                        field);
    default:
      return "(changed)";  // no spec has such a field
  }
}

// What names an element of a list of messages; empty: its place.
std::string NameOfElement(const Message& element) {
  for (const char* name : {"name", "user", "group", "service", "path"}) {
    const FieldDescriptor* field =
        element.GetDescriptor()->FindFieldByName(name);
    if (field == nullptr ||
        field->cpp_type() != FieldDescriptor::CPPTYPE_STRING ||
        field->is_repeated()) {
      continue;
    }
    std::string text = element.GetReflection()->GetString(element, field);
    if (!text.empty()) return text;
  }
  return "";
}

using Elements = std::vector<std::pair<std::string, const Message*>>;

// The elements of a list by their names; those without one, or with that of
// another, by their place.
Elements ElementsOf(const Message* message, const FieldDescriptor& field) {
  Elements elements;
  if (message == nullptr) return elements;
  std::map<std::string, int> seen;
  const Reflection& r = *message->GetReflection();
  for (int i = 0; i < r.FieldSize(*message, &field); ++i) {
    const Message& element = r.GetRepeatedMessage(*message, &field, i);
    std::string name = NameOfElement(element);
    if (name.empty() || seen[name]++ > 0) name = absl::StrCat(i);
    elements.emplace_back(std::move(name), &element);
  }
  return elements;
}

const Message* FindElement(const Elements& elements, const std::string& name) {
  for (const auto& [key, element] : elements) {
    if (key == name) return element;
  }
  return nullptr;
}

class Differ {
 public:
  explicit Differ(std::string kind) : kind_(std::move(kind)) {}

  // Null: it is absent there.
  void Compare(const Message* before, const Message* after,
               const std::string& path) {
    if (before == nullptr && after == nullptr) return;
    const Descriptor& type =
        *(before == nullptr ? after : before)->GetDescriptor();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (field.options().GetExtension(v1::output_only)) continue;
      CompareField(before, after, field,
                   JoinPath(path, std::string(field.json_name())));
    }
  }

  void CompareLabels(const v1::Metadata* before, const v1::Metadata& after) {
    const auto* field = v1::Metadata::descriptor()->FindFieldByName("labels");
    CompareMap(before, &after, *field, "metadata.labels");
  }

  std::vector<v1::FieldChange> Take() { return std::move(changes_); }

 private:
  void CompareField(const Message* before, const Message* after,
                    const FieldDescriptor& field, const std::string& path) {
    if (field.is_map()) {
      CompareMap(before, after, field, path);
    } else if (field.options().GetExtension(v1::input_only)) {
      // What is stored is not known here, and what comes is not shown.
      if (IsSet(after, field)) {
        Add(path, IsSet(before, field) ? std::string(kHidden) : "",
            std::string(kHidden));
      }
    } else if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
               field.message_type() ==
                   google::protobuf::Duration::descriptor()) {
      Add(path, Text(before, field), Text(after, field));
    } else if (field.is_repeated()) {
      CompareList(before, after, field, path);
    } else {
      Compare(Child(before, field), Child(after, field), path);
    }
  }

  static bool IsSet(const Message* message, const FieldDescriptor& field) {
    if (message == nullptr) return false;
    return field.is_repeated()
               ? message->GetReflection()->FieldSize(*message, &field) > 0
               : message->GetReflection()->HasField(*message, &field);
  }

  static const Message* Child(const Message* message,
                              const FieldDescriptor& field) {
    return IsSet(message, field)
               ? &message->GetReflection()->GetMessage(*message, &field)
               : nullptr;
  }

  static std::string Text(const Message* message,
                          const FieldDescriptor& field) {
    if (!IsSet(message, field)) return "";
    const Reflection& r = *message->GetReflection();
    if (field.is_repeated()) {
      std::vector<std::string> values;
      for (int i = 0; i < r.FieldSize(*message, &field); ++i) {
        values.push_back(Quoted(ValueText(*message, field, i)));
      }
      return absl::StrCat("[", absl::StrJoin(values, ", "), "]");
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      return absl::FormatDuration(
          ToDuration(static_cast<const google::protobuf::Duration&>(
              r.GetMessage(*message, &field))));
    }
    return ValueText(*message, field, -1);
  }

  static std::map<std::string, std::string> Entries(
      const Message* message, const FieldDescriptor& field) {
    std::map<std::string, std::string> entries;
    if (message == nullptr) return entries;
    const Reflection& r = *message->GetReflection();
    for (int i = 0; i < r.FieldSize(*message, &field); ++i) {
      const Message& entry = r.GetRepeatedMessage(*message, &field, i);
      const auto* key = field.message_type()->map_key();
      const auto* value = field.message_type()->map_value();
      entries[ValueText(entry, *key, -1)] = ValueText(entry, *value, -1);
    }
    return entries;
  }

  void CompareMap(const Message* before, const Message* after,
                  const FieldDescriptor& field, const std::string& path) {
    const auto old = Entries(before, field);
    auto all = Entries(after, field);
    const auto now = all;
    all.insert(old.begin(), old.end());
    for (const auto& [key, ignored] : all) {
      const auto a = old.find(key), b = now.find(key);
      AddIfDifferent(absl::StrCat(path, ".", key), a == old.end(),
                     a == old.end() ? "" : a->second, b == now.end(),
                     b == now.end() ? "" : b->second);
    }
  }

  void CompareList(const Message* before, const Message* after,
                   const FieldDescriptor& field, const std::string& path) {
    const Elements old = ElementsOf(before, field);
    const Elements now = ElementsOf(after, field);
    std::vector<std::string> kept_old, kept_now;
    for (const auto& [name, element] : old) {
      const Message* other = FindElement(now, name);
      if (other != nullptr) kept_old.push_back(name);
      Compare(element, other, absl::StrCat(path, "[", name, "]"));
    }
    for (const auto& [name, element] : now) {
      if (FindElement(old, name) != nullptr) {
        kept_now.push_back(name);
      } else {
        Compare(nullptr, element, absl::StrCat(path, "[", name, "]"));
      }
    }
    if (kept_old != kept_now) {
      Add(path, absl::StrCat("in order ", absl::StrJoin(kept_old, ", ")),
          absl::StrCat("in order ", absl::StrJoin(kept_now, ", ")));
    }
  }

  void AddIfDifferent(const std::string& path, bool no_before,
                      std::string before, bool no_after, std::string after) {
    if (no_before == no_after && before == after) return;
    // An empty value is not an absent one.
    if (!no_before && before.empty()) before = "\"\"";
    if (!no_after && after.empty()) after = "\"\"";
    Add(path, std::move(before), std::move(after));
  }

  void Add(const std::string& path, std::string before, std::string after) {
    if (before == after && before != kHidden) return;
    v1::FieldChange change;
    change.set_field(path);
    change.set_before(std::move(before));
    change.set_after(std::move(after));
    change.set_effect(IsReplacing(kind_, path) ? v1::FieldChange::REPLACE
                                               : v1::FieldChange::IN_PLACE);
    changes_.push_back(std::move(change));
  }

  const std::string kind_;
  std::vector<v1::FieldChange> changes_;
};

const Message& SpecOf(const v1::Object& object) {
  const auto& outer = *object.GetReflection();
  const Message& inner = outer.GetMessage(
      object, outer.GetOneofFieldDescriptor(
                  object, object.GetDescriptor()->oneof_decl(0)));
  return inner.GetReflection()->GetMessage(
      inner, inner.GetDescriptor()->FindFieldByName("spec"));
}

// Files that are swapped have no version in the revision, others do.
bool SwapsOtherwise(const v1::Service& before, const v1::Service& after) {
  const auto swaps = [](const v1::Service& service) {
    return service.spec().on_change().action() == v1::ChangePolicy::SWAP;
  };
  const auto reads = [](const auto& containers) {
    return std::any_of(containers.begin(), containers.end(),
                       [](const v1::Container& c) {
                         return c.secrets_size() + c.configs_size() > 0;
                       });
  };
  const v1::ServiceSpec& spec = after.spec();
  return swaps(before) != swaps(after) &&
         (reads(spec.containers()) || reads(spec.init_containers()) ||
          reads(spec.sidecars()));
}

}  // namespace

std::vector<v1::FieldChange> ChangesOf(const v1::Object* before,
                                       const v1::Object& after) {
  Differ differ(store::KindOf(after));
  differ.CompareLabels(
      before == nullptr ? nullptr : &store::MetadataOf(*before),
      store::MetadataOf(after));
  differ.Compare(before == nullptr ? nullptr : &SpecOf(*before), &SpecOf(after),
                 "spec");
  std::vector<v1::FieldChange> changes = differ.Take();
  if (before == nullptr || !before->has_service() || !after.has_service() ||
      !SwapsOtherwise(before->service(), after.service())) {
    return changes;
  }
  for (v1::FieldChange& change : changes) {
    if (change.field() != "spec.onChange.action") continue;
    change.set_effect(v1::FieldChange::REPLACE);
  }
  return changes;
}

}  // namespace bulwark::api
