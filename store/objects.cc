#include "store/objects.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/check.h"
#include "base/status.h"

namespace bulwark::store {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;

const OneofDescriptor& Kinds() {
  return *v1::Object::descriptor()->oneof_decl(0);
}

const FieldDescriptor* KindField(const v1::Object& object) {
  return v1::Object::GetReflection()->GetOneofFieldDescriptor(object, &Kinds());
}

std::string KindName(const FieldDescriptor& field) {
  return absl::StrReplaceAll(std::string(field.name()), {{"_", "-"}});
}

// Whether there was something to replace.
bool MakeUtf8(std::string& text) {
  if (google::protobuf::internal::IsStructurallyValidUTF8(text)) return false;
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return true;
}

// Protobuf writes a string that is no UTF-8, and then refuses to read it: one
// such record would hide every record of its kind. Nobody should put one in;
// but what programs print ends in messages.
void MakeUtf8(google::protobuf::Message& message) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool is_string = field->type() == FieldDescriptor::TYPE_STRING;
    const bool is_message =
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!is_string && !is_message) continue;
    const int size =
        field->is_repeated() ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      if (is_message) {
        MakeUtf8(field->is_repeated()
                     ? *reflection.MutableRepeatedMessage(&message, field, i)
                     : *reflection.MutableMessage(&message, field));
        continue;
      }
      std::string text = field->is_repeated()
                             ? reflection.GetRepeatedString(message, field, i)
                             : reflection.GetString(message, field);
      if (!MakeUtf8(text)) continue;
      if (field->is_repeated()) {
        reflection.SetRepeatedString(&message, field, i, std::move(text));
      } else {
        reflection.SetString(&message, field, std::move(text));
      }
    }
  }
}

}  // namespace

std::string KindOf(const v1::Object& object) {
  const FieldDescriptor* field = KindField(object);
  return field == nullptr ? "" : KindName(*field);
}

std::vector<std::string> AllKinds() {
  std::vector<std::string> kinds;
  for (int i = 0; i < Kinds().field_count(); ++i) {
    kinds.push_back(KindName(*Kinds().field(i)));
  }
  return kinds;
}

std::optional<v1::Object> NewObject(absl::string_view kind) {
  for (int i = 0; i < Kinds().field_count(); ++i) {
    const FieldDescriptor* field = Kinds().field(i);
    if (KindName(*field) != kind) continue;
    v1::Object object;
    v1::Object::GetReflection()->MutableMessage(&object, field);
    return object;
  }
  return std::nullopt;
}

const v1::Metadata& MetadataOf(const v1::Object& object) {
  const FieldDescriptor* field = KindField(object);
  CHECK(field != nullptr);
  const google::protobuf::Message& message =
      v1::Object::GetReflection()->GetMessage(object, field);
  return static_cast<const v1::Metadata&>(message.GetReflection()->GetMessage(
      message, message.GetDescriptor()->FindFieldByName("metadata")));
}

v1::Metadata& MutableMetadata(v1::Object& object) {
  const FieldDescriptor* field = KindField(object);
  CHECK(field != nullptr);
  google::protobuf::Message* message =
      v1::Object::GetReflection()->MutableMessage(&object, field);
  return static_cast<v1::Metadata&>(*message->GetReflection()->MutableMessage(
      message, message->GetDescriptor()->FindFieldByName("metadata")));
}

Key ObjectKey(absl::string_view kind, absl::string_view project,
              absl::string_view name) {
  return Key{std::string(kind),
             std::string(project.empty() ? "default" : project),
             std::string(name)};
}

Key KeyOf(const v1::Object& object) {
  const v1::Metadata& metadata = MetadataOf(object);
  return ObjectKey(KindOf(object), metadata.project(), metadata.name());
}

std::string Encode(const v1::Object& object) {
  v1::Object copy = object;
  MutableMetadata(copy).clear_resource_version();
  MakeUtf8(copy);
  return copy.SerializeAsString();
}

absl::StatusOr<v1::Object> Decode(const Key& key, absl::string_view value,
                                  uint64_t revision) {
  v1::Object object;
  if (!object.ParseFromArray(value.data(), static_cast<int>(value.size())) ||
      KindOf(object) != key.kind) {
    return absl::DataLossError(
        absl::StrCat("read record ", key.ToString(), ": not a ", key.kind));
  }
  MutableMetadata(object).set_resource_version(absl::StrCat(revision));
  return object;
}

absl::StatusOr<v1::Object> Decode(const Record& record) {
  return Decode(record.key, record.value, record.revision);
}

uint64_t RevisionOf(const v1::Object& object) {
  return RevisionOf(MetadataOf(object));
}

uint64_t RevisionOf(const v1::Metadata& metadata) {
  uint64_t revision = 0;
  // Anything but a number matches no record, as a stale version does.
  const std::string& text = metadata.resource_version();
  if (!text.empty() && !absl::SimpleAtoi(text, &revision)) return UINT64_MAX;
  return revision;
}

absl::StatusOr<v1::Object> GetObject(MetadataStore& store, const Key& key) {
  absl::StatusOr<Record> record = store.Get(key);
  if (absl::IsNotFound(record.status())) {
    return absl::NotFoundError(absl::StrCat("get ", key.kind, " ", key.project,
                                            "/", key.name, ": not found"));
  }
  if (!record.ok()) return record.status();
  return Decode(*record);
}

absl::StatusOr<ObjectListing> ListObjects(MetadataStore& store,
                                          absl::string_view kind,
                                          std::optional<std::string> project) {
  Filter filter;
  filter.kind = std::string(kind);
  filter.project = std::move(project);
  ASSIGN_OR_RETURN(Listing listing, store.List(filter));
  ObjectListing result;
  result.revision = listing.revision;
  result.objects.reserve(listing.records.size());
  for (const Record& record : listing.records) {
    ASSIGN_OR_RETURN(v1::Object object, Decode(record));
    result.objects.push_back(std::move(object));
  }
  return result;
}

}  // namespace bulwark::store
