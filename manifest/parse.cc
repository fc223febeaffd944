// The document rule: which fields of a document go where.
#include <algorithm>
#include <filesystem>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "manifest/codec.h"
#include "manifest/decode.h"
#include "manifest/kinds.h"
#include "manifest/schema.h"
#include "manifest/suggest.h"
#include "manifest/yaml.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr absl::string_view kApiVersion = "bulwark/v1";

std::vector<std::string> DeclaredKinds() {
  std::vector<std::string> names;
  for (const Kind& kind : AllKinds()) {
    if (kind.declared) names.push_back(kind.name);
  }
  return names;
}

// Calls `visit` with every message of type T inside `message`.
template <typename T, typename Visit>
void ForEach(Message& message, const Visit& visit) {
  if (message.GetDescriptor() == T::descriptor()) {
    visit(static_cast<T&>(message));
    return;
  }
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      ForEach<T>(*reflection.MutableMessage(&message, field), visit);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      ForEach<T>(*reflection.MutableRepeatedMessage(&message, field, i), visit);
    }
  }
}

// A single container without a name gets the object's.
void NameContainer(Message& message, const std::string& name) {
  const FieldDescriptor* field = InlineField(*message.GetDescriptor());
  if (field == nullptr) return;
  const Reflection& reflection = *message.GetReflection();
  if (!field->is_repeated()) {
    if (reflection.HasField(message, field)) {
      NameContainer(*reflection.MutableMessage(&message, field), name);
    }
    return;
  }
  if (reflection.FieldSize(message, field) != 1) return;
  auto& container = static_cast<v1::Container&>(
      *reflection.MutableRepeatedMessage(&message, field, 0));
  if (container.name().empty()) container.set_name(name);
}

class DocumentReader {
 public:
  DocumentReader(const ParseOptions& options, ParseResult& result)
      : options_(options),
        result_(result),
        decoder_(options.file, options.server_fields, result.problems) {}

  bool truncated() const { return decoder_.truncated(); }

  void Read(const Node& root) {
    if (!root.IsMap()) {
      decoder_.Report(
          root.mark, "",
          absl::StrCat("a document must be a mapping, not ", Describe(root)),
          "start with \"kind: Service\"");
      return;
    }
    ParsedObject parsed{{}, Places(options_.file)};
    parsed.places.Add("", root.mark);
    decoder_.set_places(&parsed.places);
    entries_ = decoder_.Entries(root, "");
    CheckVersion();
    const Kind* kind = ReadKind(root);
    if (kind != nullptr) {
      decoder_.set_kind(kind->api_name);
      Message& message = *MutableInner(*kind, parsed.object);
      ReadFields(root, *kind, parsed.places, message);
      Finish(parsed, message);
    }
    decoder_.set_places(nullptr);
    if (kind != nullptr) result_.objects.push_back(std::move(parsed));
  }

 private:
  const Decoder::Entry* Find(absl::string_view key) const {
    for (const Decoder::Entry& entry : entries_) {
      if (entry.key == key) return &entry;
    }
    return nullptr;
  }

  void CheckVersion() {
    const Decoder::Entry* entry = Find("apiVersion");
    if (entry == nullptr || entry->value->text == kApiVersion) return;
    decoder_.Report(entry->mark, "apiVersion",
                    absl::StrCat("\"", entry->value->text, "\" is unknown"),
                    absl::StrCat("write ", kApiVersion, ", or remove it"));
  }

  const Kind* ReadKind(const Node& root) {
    const Decoder::Entry* entry = Find("kind");
    const std::string all =
        absl::StrCat("kinds are ", absl::StrJoin(DeclaredKinds(), ", "));
    if (entry == nullptr) {
      decoder_.Report(root.mark, "kind", "is missing", all);
      return nullptr;
    }
    const std::string& name = entry->value->text;
    const Kind* kind = FindManifestKind(name);
    if (kind != nullptr && (kind->declared || options_.server_fields)) {
      return kind;
    }
    if (kind != nullptr) {
      decoder_.Report(entry->value->mark, "kind",
                      absl::StrCat(name, " objects are made by the server"),
                      all);
      return nullptr;
    }
    std::string nearest = Nearest(name, DeclaredKinds());
    if (const Kind* known = FindKind(name);
        nearest.empty() && known != nullptr && known->declared) {
      nearest = known->name;
    }
    decoder_.Report(
        entry->value->mark, "kind", absl::StrCat("\"", name, "\" is unknown"),
        nearest.empty() ? all : absl::StrCat("did you mean ", nearest, "?"));
    return nullptr;
  }

  // Builds the tree of the full form and decodes that.
  void ReadFields(const Node& root, const Kind& kind, Places& places,
                  Message& message) {
    const bool full = Find("spec") != nullptr || Find("metadata") != nullptr;
    const bool short_form =
        !full && FindField(*message.GetDescriptor(), "spec") != nullptr &&
        kind.declared;
    Node document = MapAt(root.mark);
    auto metadata = std::make_shared<Node>(MapAt(root.mark));
    auto spec = std::make_shared<Node>(MapAt(root.mark));
    for (const Decoder::Entry& entry : entries_) {
      if (entry.key == "kind" || entry.key == "apiVersion") continue;
      // A place for anchors, as Compose has it.
      if (absl::StartsWith(entry.key, "x-")) continue;
      const bool of_metadata = entry.key == "name" || entry.key == "project" ||
                               entry.key == "labels";
      Node& target = !short_form                 ? document
                     : of_metadata               ? *metadata
                     : IsTop(message, entry.key) ? document
                                                 : *spec;
      auto key = Node::Scalar(entry.key, true);
      key->mark = entry.mark;
      if (target.entries.empty()) target.mark = entry.mark;
      target.entries.emplace_back(std::move(key), entry.value);
    }
    document.mark = root.mark;
    decoder_.Suggest("", {});
    if (short_form) {
      decoder_.Suggest("spec", {"name", "project", "labels"});
      document.entries.emplace_back(KeyAt("metadata", metadata->mark),
                                    metadata);
      if (!spec->entries.empty() || SpecIsRequired(message)) {
        document.entries.emplace_back(KeyAt("spec", spec->mark), spec);
      }
    }
    decoder_.Decode(document, "", message);
  }

  // `status` in a document without `spec` is no field of the spec.
  static bool IsTop(const Message& message, absl::string_view key) {
    return key == "status" &&
           FindField(*message.GetDescriptor(), key) != nullptr;
  }

  static bool SpecIsRequired(const Message& message) {
    const FieldDescriptor* spec = FindField(*message.GetDescriptor(), "spec");
    const Descriptor& type = *spec->message_type();
    return spec->options().GetExtension(v1::required) ||
           InlineField(type) != nullptr;
  }

  static Node MapAt(Mark mark) {
    Node node;
    node.kind = Node::Kind::kMap;
    node.mark = mark;
    return node;
  }

  static Node::Ptr KeyAt(absl::string_view name, Mark mark) {
    auto key = Node::Scalar(name, true);
    key->mark = mark;
    return key;
  }

  void Finish(ParsedObject& parsed, Message& message) {
    if (options_.server_fields) return;
    const FieldDescriptor* field =
        message.GetDescriptor()->FindFieldByName("spec");
    if (field != nullptr && message.GetReflection()->HasField(message, field)) {
      NameContainer(*message.GetReflection()->MutableMessage(&message, field),
                    MetadataOf(parsed.object).name());
    }
    if (options_.folder.empty()) return;
    ForEach<v1::VolumeMount>(message, [this](v1::VolumeMount& mount) {
      if (mount.host_path().empty() ||
          absl::StartsWith(mount.host_path(), "/")) {
        return;
      }
      std::filesystem::path path =
          std::filesystem::path(options_.folder) / mount.host_path();
      std::string text = path.lexically_normal().string();
      if (text.size() > 1 && text.back() == '/') text.pop_back();
      mount.set_host_path(text);
    });
  }

  const ParseOptions& options_;
  ParseResult& result_;
  Decoder decoder_;
  std::vector<Decoder::Entry> entries_;
};

}  // namespace

ParseResult Parse(absl::string_view text, const ParseOptions& options) {
  ParseResult result;
  Substitution substitution(options.file, options.variables);
  YamlDocuments documents = ReadYaml(options.file, text, substitution);
  result.problems = std::move(documents.problems);
  DocumentReader reader(options, result);
  for (const Node::Ptr& root : documents.roots) reader.Read(*root);
  std::stable_sort(result.problems.begin(), result.problems.end(),
                   [](const Problem& a, const Problem& b) {
                     return std::tie(a.place.mark.line, a.place.mark.column) <
                            std::tie(b.place.mark.line, b.place.mark.column);
                   });
  if (reader.truncated()) {
    result.problems.push_back(
        {{options.file, {}}, "", "more problems are not shown", ""});
  }
  return result;
}

}  // namespace bulwark::manifest
