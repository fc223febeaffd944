#include "manifest/kinds.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Alias {
  absl::string_view word;
  absl::string_view api_name;
};

constexpr Alias kAliases[] = {
    {"svc", "service"},
    {"cj", "cron-job"},
    {"vol", "volume"},
    {"net", "network"},
    {"netpol", "network-policy"},
    {"policy", "network-policy"},
    {"policies", "network-policy"},
    {"rev", "revision"},
    {"rep", "replica"},
    {"ev", "event"},
    {"cfg", "config"},
    {"configmap", "config"},
    {"proj", "project"},
    {"ns", "project"},
    {"namespace", "project"},
    {"po", "replica"},
    {"pod", "replica"},
    {"pods", "replica"},
    {"deploy", "service"},
    {"deployment", "service"},
};

std::vector<Kind> MakeKinds() {
  std::vector<Kind> kinds;
  const Descriptor* object = v1::Object::descriptor();
  for (int i = 0; i < object->field_count(); ++i) {
    const FieldDescriptor* field = object->field(i);
    Kind kind;
    kind.field = field;
    kind.name = field->message_type()->name();
    kind.api_name = absl::StrReplaceAll(field->name(), {{"_", "-"}});
    kind.plural =
        absl::EndsWith(kind.api_name, "y")
            ? absl::StrCat(kind.api_name.substr(0, kind.api_name.size() - 1),
                           "ies")
            : absl::StrCat(kind.api_name, "s");
    // Revisions, replicas, events and nodes are made by the daemon.
    kind.declared = field->number() <= v1::Object::kProjectFieldNumber;
    kinds.push_back(std::move(kind));
  }
  return kinds;
}

std::string Simplify(absl::string_view word) {
  return absl::AsciiStrToLower(
      absl::StrReplaceAll(word, {{"-", ""}, {"_", ""}}));
}

}  // namespace

const std::vector<Kind>& AllKinds() {
  static const auto& kinds = *new std::vector<Kind>(MakeKinds());
  return kinds;
}

const Kind* FindKind(absl::string_view word) {
  std::string simple = Simplify(word);
  for (const Alias& alias : kAliases) {
    if (alias.word == simple) simple = Simplify(alias.api_name);
  }
  for (const Kind& kind : AllKinds()) {
    if (simple == Simplify(kind.api_name) || simple == Simplify(kind.plural)) {
      return &kind;
    }
  }
  return nullptr;
}

const Kind* FindManifestKind(absl::string_view name) {
  for (const Kind& kind : AllKinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

const Kind* KindOf(const v1::Object& object) {
  for (const Kind& kind : AllKinds()) {
    if (kind.field->number() == static_cast<int>(object.object_case())) {
      return &kind;
    }
  }
  return nullptr;
}

const Message& Inner(const v1::Object& object) {
  return object.GetReflection()->GetMessage(object, KindOf(object)->field);
}

Message* MutableInner(const Kind& kind, v1::Object& object) {
  return object.GetReflection()->MutableMessage(&object, kind.field);
}

const v1::Metadata& MetadataOf(const v1::Object& object) {
  const Kind* kind = KindOf(object);
  if (kind == nullptr) return v1::Metadata::default_instance();
  const Message& inner = Inner(object);
  const FieldDescriptor* field =
      inner.GetDescriptor()->FindFieldByName("metadata");
  return static_cast<const v1::Metadata&>(
      inner.GetReflection()->GetMessage(inner, field));
}

v1::Metadata& MutableMetadata(v1::Object& object) {
  Message& inner = *MutableInner(*KindOf(object), object);
  return static_cast<v1::Metadata&>(*inner.GetReflection()->MutableMessage(
      &inner, inner.GetDescriptor()->FindFieldByName("metadata")));
}

std::string NameOf(const v1::Object& object) {
  const Kind* kind = KindOf(object);
  const v1::Metadata& metadata = MetadataOf(object);
  const bool plain =
      metadata.project().empty() || metadata.project() == "default";
  return absl::StrCat(kind ? kind->api_name : "object", " ",
                      plain ? "" : absl::StrCat(metadata.project(), "/"),
                      metadata.name());
}

}  // namespace bulwark::manifest
