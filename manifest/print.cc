// From messages to trees and text.
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "manifest/codec.h"
#include "manifest/kinds.h"
#include "manifest/node.h"
#include "manifest/scalar.h"
#include "manifest/schema.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

class Encoder {
 public:
  explicit Encoder(const PrintOptions& options) : options_(options) {}

  // The fields of `message` that are set, but for `without`, appended to `map`.
  void Fields(const Message& message, Node& map,
              const FieldDescriptor* without = nullptr) const {
    const Descriptor& type = *message.GetDescriptor();
    const Reflection& reflection = *message.GetReflection();
    for (int i = 0; i < type.field_count(); ++i) {
      const FieldDescriptor& field = *type.field(i);
      if (&field == without) continue;
      if (!options_.server_fields &&
          field.options().GetExtension(v1::output_only)) {
        continue;
      }
      if (field.is_repeated() ? reflection.FieldSize(message, &field) == 0
                              : !reflection.HasField(message, &field)) {
        continue;
      }
      map.Set(field.json_name(), Value(message, field));
    }
  }

 private:
  Node::Ptr Value(const Message& message, const FieldDescriptor& field) const {
    const Reflection& reflection = *message.GetReflection();
    if (field.is_map()) return MapValue(message, field);
    if (!field.is_repeated()) {
      if (IsScalarField(field)) return Scalar(message, field, -1);
      Node::Ptr map = Node::Map();
      Fields(reflection.GetMessage(message, &field), *map);
      return map;
    }
    if (Node::Ptr map = MapFormValue(message, field)) return map;
    Node::Ptr list = Node::List();
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      if (IsScalarField(field)) {
        list->items.push_back(Scalar(message, field, i));
        continue;
      }
      Node::Ptr map = Node::Map();
      Fields(reflection.GetRepeatedMessage(message, &field, i), *map);
      list->items.push_back(std::move(map));
    }
    return list;
  }

  Node::Ptr Scalar(const Message& message, const FieldDescriptor& field,
                   int index) const {
    Node::Ptr node = WriteScalar(message, field, index);
    if (options_.escape_variables) node->text = EscapeVariables(node->text);
    return node;
  }

  // Sorted by key.
  Node::Ptr MapValue(const Message& message,
                     const FieldDescriptor& field) const {
    const Reflection& reflection = *message.GetReflection();
    std::map<std::string, Node::Ptr> sorted;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
      const Descriptor& type = *entry.GetDescriptor();
      sorted[Scalar(entry, *type.FindFieldByNumber(1), -1)->text] =
          Scalar(entry, *type.FindFieldByNumber(2), -1);
    }
    Node::Ptr map = Node::Map();
    for (auto& [key, value] : sorted) map->Set(key, std::move(value));
    return map;
  }

  // The mapping of a field with (map_form), or null if the elements do not
  // fit one: a key is empty or not unique, or something else is set.
  Node::Ptr MapFormValue(const Message& message,
                         const FieldDescriptor& field) const {
    const MapForm form = MapFormOf(field);
    if (!form) return nullptr;
    const Reflection& reflection = *message.GetReflection();
    Node::Ptr map = Node::Map();
    std::set<std::string> keys;
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      const Message& element =
          reflection.GetRepeatedMessage(message, &field, i);
      if (form.value == nullptr) {
        const std::string key = Scalar(element, *form.key, -1)->text;
        if (key.empty() || !keys.insert(key).second) return nullptr;
        Node::Ptr rest = Node::Map();
        Fields(element, *rest, form.key);
        map->Set(key, std::move(rest));
        continue;
      }
      std::vector<const FieldDescriptor*> set;
      element.GetReflection()->ListFields(element, &set);
      for (const FieldDescriptor* f : set) {
        if (f != form.key && f != form.value) return nullptr;
      }
      const std::string key = Scalar(element, *form.key, -1)->text;
      // An enum that is not set has no word.
      const bool no_word =
          form.value->cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
          !element.GetReflection()->HasField(element, form.value);
      if (key.empty() || no_word || !keys.insert(key).second) return nullptr;
      map->Set(key, Scalar(element, *form.value, -1));
    }
    return map;
  }

  const PrintOptions& options_;
};

Node::Ptr EncodeMessage(const Message& message) {
  Node::Ptr map = Node::Map();
  PrintOptions options;
  Encoder(options).Fields(message, *map);
  return map;
}

}  // namespace

Node::Ptr EncodeObject(const v1::Object& object, const PrintOptions& options) {
  Node::Ptr map = Node::Map();
  const Kind* kind = KindOf(object);
  if (kind == nullptr) return map;
  map->Set("apiVersion", Node::Scalar("bulwark/v1", true));
  map->Set("kind", Node::Scalar(kind->name, true));
  Encoder(options).Fields(Inner(object), *map);
  return map;
}

std::string PrintYaml(const v1::Object& object, const PrintOptions& options) {
  return WriteYaml(*EncodeObject(object, options));
}

std::string PrintYaml(const std::vector<v1::Object>& objects,
                      const PrintOptions& options) {
  std::string out;
  for (const v1::Object& object : objects) {
    absl::StrAppend(&out, out.empty() ? "" : "---\n",
                    PrintYaml(object, options));
  }
  return out;
}

std::string PrintJson(const v1::Object& object, const PrintOptions& options) {
  return WriteJson(*EncodeObject(object, options));
}

std::string PrintJson(const std::vector<v1::Object>& objects,
                      const PrintOptions& options) {
  Node::Ptr list = Node::List();
  for (const v1::Object& object : objects) {
    list->items.push_back(EncodeObject(object, options));
  }
  return WriteJson(*list);
}

std::string PrintJson(const Message& message) {
  return WriteJson(*EncodeMessage(message));
}

std::string PrintYaml(const Message& message) {
  return WriteYaml(*EncodeMessage(message));
}

}  // namespace bulwark::manifest
