#include "api/audit/describe.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "api/convert.h"
#include "api/fields.h"
#include "api/rules.h"
#include "google/protobuf/descriptor.h"
#include "proto/bulwark/v1/options.pb.h"
#include "store/objects.h"

namespace bulwark::api {
namespace {

using google::protobuf::DynamicCastToGenerated;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMostObjects = 100;
constexpr size_t kMostDetail = 1024;
constexpr size_t kMostText = 200;

// Fields that name an object, and its kind.
constexpr std::pair<absl::string_view, absl::string_view> kNames[] = {
    {"service", "service"},        {"volume", "volume"},
    {"cron_job", "cron-job"},      {"secret", "secret"},
    {"password_secret", "secret"},
};

// Fields whose content may be a secret, beside bytes and (input_only) ones.
constexpr absl::string_view kHidden[] = {"credentials", "password", "env",
                                         "args"};

bool IsHidden(const FieldDescriptor& field) {
  if (field.type() == FieldDescriptor::TYPE_BYTES || field.is_map() ||
      field.options().GetExtension(v1::input_only)) {
    return true;
  }
  return std::find(std::begin(kHidden), std::end(kHidden),
                   absl::string_view(field.name())) != std::end(kHidden);
}

// One element; -1: the field is singular.
std::string ValueText(const Message& message, const FieldDescriptor& field,
                      int index) {
  const Reflection& reflection = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? reflection.GetString(message, &field)
                 : reflection.GetRepeatedString(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(
          one ? reflection.GetInt32(message, &field)
              : reflection.GetRepeatedInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(
          one ? reflection.GetInt64(message, &field)
              : reflection.GetRepeatedInt64(message, &field, index));
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(
          *(one ? reflection.GetEnum(message, &field)
                : reflection.GetRepeatedEnum(message, &field, index)));
    default:
      return "";
  }
}

class Describer {
 public:
  explicit Describer(v1::AuditRecord& record) : record_(record) {}

  void Read(const Message& message) {
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    for (const FieldDescriptor* field : fields) ReadField(message, *field);
  }

  void Finish() {
    if (!record_.project().empty()) {
      for (v1::ObjectReference& object : *record_.mutable_objects()) {
        object.set_project(record_.project());
      }
    }
    record_.set_detail(ShortText(absl::StrJoin(parts_, ", ")));
  }

 private:
  void ReadField(const Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    if (IsHidden(field)) return;
    if (field.is_repeated()) {
      std::vector<std::string> values;
      for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
        values.push_back(ValueText(message, field, i));
      }
      Add(field, absl::StrJoin(values, " "));
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      if (!absl::StrContains(field.message_type()->full_name(), "google.")) {
        Read(reflection.GetMessage(message, &field));
      }
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
      parts_.push_back(Words(field));
    } else {
      TakeText(field, ValueText(message, field, -1));
    }
  }

  void TakeText(const FieldDescriptor& field, std::string text) {
    if (field.name() == "project") {
      record_.set_project(std::move(text));
      return;
    }
    for (const auto& [name, kind] : kNames) {
      if (absl::string_view(field.name()) != name) continue;
      v1::ObjectReference& object = *record_.add_objects();
      object.set_kind(std::string(kind));
      object.set_name(std::move(text));
      return;
    }
    Add(field, std::move(text));
  }

  void Add(const FieldDescriptor& field, const std::string& text) {
    parts_.push_back(
        absl::StrCat(Words(field), " ", text.substr(0, kMostText)));
  }

  static std::string Words(const FieldDescriptor& field) {
    return absl::StrReplaceAll(std::string(field.name()), {{"_", " "}});
  }

  v1::AuditRecord& record_;
  std::vector<std::string> parts_;
};

void AddReference(v1::ObjectReference reference, v1::AuditRecord& record) {
  if (record.objects_size() < kMostObjects) {
    reference.set_project(ProjectOr(reference.project()));
    *record.add_objects() = std::move(reference);
  }
}

// The secret or config that a call about values names.
void AddValue(absl::string_view kind, const std::string& project,
              const std::string& name, v1::AuditRecord& record) {
  v1::ObjectReference reference;
  reference.set_kind(std::string(kind));
  reference.set_project(project);
  reference.set_name(name);
  AddReference(std::move(reference), record);
  record.set_project(ProjectOr(project));
}

// The one project of all objects; empty if there are several.
void SetProject(v1::AuditRecord& record) {
  std::set<std::string> projects;
  for (const v1::ObjectReference& object : record.objects()) {
    projects.insert(object.project());
  }
  if (projects.size() == 1) record.set_project(*projects.begin());
}

const char* Verb(v1::ApplyResult::Action action) {
  switch (action) {
    case v1::ApplyResult::CREATED:
      return "created";
    case v1::ApplyResult::DELETED:
      return "deleted";
    default:
      return "changed";
  }
}

}  // namespace

std::string ShortText(absl::string_view text) {
  std::string out(text.substr(0, kMostDetail));
  for (char& c : out) {
    // A record that holds half a character could not be read again.
    if (static_cast<unsigned char>(c) >= 0x80) {
      c = '?';
    } else if (!IsPrintable(absl::string_view(&c, 1))) {
      c = ' ';
    }
  }
  return out;
}

v1::AuditRecord Describe(absl::string_view method, const v1::Identity& actor,
                         const Message* request) {
  v1::AuditRecord record;
  record.set_method(std::string(method));
  *record.mutable_actor() = actor;
  if (request == nullptr) return record;
  if (const auto* r = DynamicCastToGenerated<v1::ApplyRequest>(request)) {
    for (const v1::Object& object : r->objects()) {
      if (!store::KindOf(object).empty()) {
        AddReference(ReferenceTo(object), record);
      }
    }
    SetProject(record);
    record.set_detail(absl::StrCat("objects ", r->objects_size(),
                                   r->validate_only() ? ", dry run" : "",
                                   r->prune_labels().empty() ? "" : ", prune"));
    return record;
  }
  if (const auto* r = DynamicCastToGenerated<v1::DeleteRequest>(request)) {
    for (const v1::ObjectReference& object : r->objects()) {
      AddReference(object, record);
    }
    SetProject(record);
    record.set_detail(absl::StrCat("objects ", r->objects_size(),
                                   r->validate_only() ? ", dry run" : ""));
    return record;
  }
  // Their `name` says nothing of its kind.
  if (const auto* r = DynamicCastToGenerated<v1::SetSecretRequest>(request)) {
    AddValue("secret", r->project(), r->name(), record);
    record.set_detail(r->mode() == v1::SetSecretRequest::CREATE ? "create"
                                                                : "set");
    return record;
  }
  if (const auto* r =
          DynamicCastToGenerated<v1::RollbackValueRequest>(request)) {
    AddValue(r->kind(), r->project(), r->name(), record);
    record.set_detail(r->has_to_version()
                          ? absl::StrCat("to version ", r->to_version())
                          : "to the version before");
    return record;
  }
  Describer describer(record);
  describer.Read(*request);
  describer.Finish();
  return record;
}

void DescribeResults(const v1::ApplyResponse& response,
                     v1::AuditRecord& record) {
  record.clear_objects();
  record.clear_project();
  std::vector<std::string> parts;
  for (const v1::ApplyResult& result : response.results()) {
    if (result.action() == v1::ApplyResult::UNCHANGED) continue;
    AddReference(ReferenceTo(result.object()), record);
    parts.push_back(
        absl::StrCat(NameOf(result.object()), " ", Verb(result.action())));
  }
  SetProject(record);
  record.set_detail(ShortText(absl::StrJoin(parts, ", ")));
}

}  // namespace bulwark::api
