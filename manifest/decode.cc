#include "manifest/decode.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "manifest/kinds.h"
#include "manifest/scalar.h"
#include "manifest/schema.h"
#include "manifest/shorthand.h"
#include "manifest/suggest.h"
#include "proto/bulwark/v1/container.pb.h"
#include "proto/bulwark/v1/options.pb.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr size_t kMaxProblems = 100;
constexpr size_t kMaxVisitedNodes = 200000;
constexpr size_t kMaxVisitedBytes = size_t{32} << 20;
constexpr int kMaxMergeDepth = 16;

std::string Join(const std::string& path, absl::string_view name) {
  return path.empty() ? std::string(name) : absl::StrCat(path, ".", name);
}

bool Contains(const std::vector<std::string>& list, absl::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// `{request: …, limit: …}`.
std::string MappingExample(const Descriptor& type) {
  std::vector<std::string> fields;
  for (int i = 0; i < type.field_count() && i < 3; ++i) {
    fields.push_back(absl::StrCat(type.field(i)->json_name(), ": …"));
  }
  return absl::StrCat("{", absl::StrJoin(fields, ", "), "}");
}

// Numbers of what there is at least one of. On the wire 0 is none given: only
// here it can be told that somebody wrote it.
bool CountsFromOne(const FieldDescriptor& field) {
  static const auto& names = *new std::set<std::string>{
      "bulwark.v1.Autoscale.min_replicas",
      "bulwark.v1.Autoscale.max_replicas",
      "bulwark.v1.AutoscaleMetric.cpu",
      "bulwark.v1.AutoscaleMetric.memory",
      "bulwark.v1.AutoscaleMetric.connections",
      "bulwark.v1.JobSpec.completions",
      "bulwark.v1.JobSpec.parallelism",
  };
  return names.count(field.full_name()) > 0;
}

int64_t NumberIn(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  return field.cpp_type() == FieldDescriptor::CPPTYPE_INT64
             ? reflection.GetInt64(message, &field)
             : reflection.GetInt32(message, &field);
}

std::string ExpectedMessage(const Descriptor& type) {
  const absl::string_view example = ShortFormExample(type);
  std::string out = absl::StrCat("write ", MappingExample(type));
  if (!example.empty()) absl::StrAppend(&out, ", or \"", example, "\"");
  return out;
}

}  // namespace

void Decoder::Report(Mark mark, absl::string_view field,
                     absl::string_view message, absl::string_view remedy) {
  if (problems_.size() >= kMaxProblems) {
    truncated_ = true;
    return;
  }
  problems_.push_back({{file_, mark},
                       std::string(field),
                       std::string(message),
                       std::string(remedy)});
}

bool Decoder::Spend(const Node& node) {
  if (exhausted_) return false;
  ++nodes_;
  bytes_ += node.text.size();
  if (nodes_ <= kMaxVisitedNodes && bytes_ <= kMaxVisitedBytes) return true;
  exhausted_ = true;
  Report(node.mark, "", "its aliases expand to too much");
  return false;
}

void Decoder::Suggest(std::string path, std::vector<std::string> names) {
  suggest_path_ = std::move(path);
  suggest_names_ = std::move(names);
}

std::vector<Decoder::Entry> Decoder::Entries(const Node& map,
                                             const std::string& path) {
  std::vector<Entry> entries;
  std::vector<const Node*> merges;
  std::map<std::string, Mark> seen;
  for (const auto& [key, value] : map.entries) {
    if (!Spend(*key)) return entries;
    if (!key->IsScalar()) {
      Report(key->mark, path,
             absl::StrCat("a key must be text, not ", Describe(*key)));
      continue;
    }
    if (key->text == "<<" && !key->quoted) {
      merges.push_back(value.get());
      continue;
    }
    auto [first, added] = seen.emplace(key->text, key->mark);
    if (!added) {
      Report(key->mark, Join(path, key->text),
             absl::StrCat("given twice; first in line ", first->second.line));
      continue;
    }
    entries.push_back({key->text, key->mark, value});
  }
  for (const Node* from : merges) Merge(*from, path, entries, 0);
  return entries;
}

// YAML's merge key: adds the entries of a mapping, or of each in a list, whose
// keys are not there yet.
void Decoder::Merge(const Node& from, const std::string& path,
                    std::vector<Entry>& entries, int depth) {
  if (!Spend(from) || depth > kMaxMergeDepth) return;
  if (from.IsList()) {
    for (const Node::Ptr& item : from.items) {
      Merge(*item, path, entries, depth + 1);
    }
    return;
  }
  if (!from.IsMap()) {
    Report(from.mark, path,
           absl::StrCat("\"<<\" takes a mapping, not ", Describe(from)));
    return;
  }
  for (const auto& [key, value] : from.entries) {
    if (!Spend(*key)) return;
    if (!key->IsScalar()) continue;
    if (key->text == "<<" && !key->quoted) {
      Merge(*value, path, entries, depth + 1);
      continue;
    }
    const bool present =
        std::any_of(entries.begin(), entries.end(),
                    [&](const Entry& e) { return e.key == key->text; });
    if (!present) entries.push_back({key->text, key->mark, value});
  }
}

void Decoder::Decode(const Node& node, const std::string& path,
                     Message& message) {
  if (!Spend(node)) return;
  if (!node.IsMap()) return DecodeNoMap(node, path, message);
  const Descriptor& type = *message.GetDescriptor();
  std::vector<std::string> seen, meant;
  std::vector<Entry> inlined;
  for (Entry& entry : Entries(node, path)) {
    const FieldDescriptor* field = FindField(type, entry.key);
    if (field != nullptr) {
      seen.push_back(entry.key);
      DecodeField(entry, Join(path, entry.key), *field, message);
    } else if (Knows(type, entry.key)) {
      inlined.push_back(std::move(entry));
    } else {
      ReportUnknown(entry, path, type);
      // Of what it may have been meant for nothing is said again.
      meant.push_back(Nearest(entry.key, KnownNames(type)));
    }
  }
  if (!inlined.empty()) DecodeInline(inlined, path, message, seen);
  seen.insert(seen.end(), meant.begin(), meant.end());
  CheckRequired(node, path, message, seen);
}

void Decoder::DecodeNoMap(const Node& node, const std::string& path,
                          Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  if (node.IsScalar() && HasShortForm(type)) {
    absl::Status status = ReadShortForm(node.text, message);
    if (!status.ok()) {
      Report(node.mark, path, std::string(status.message()));
    }
    return;
  }
  if (node.IsList() && &type == v1::ExecProbe::descriptor()) {
    DecodeList(node, Join(path, "command"), *type.FindFieldByName("command"),
               message);
    return;
  }
  Report(node.mark, path,
         absl::StrCat("must be a mapping, not ", Describe(node)),
         ExpectedMessage(type));
}

void Decoder::ReportUnknown(const Entry& entry, const std::string& path,
                            const Descriptor& type) {
  std::vector<std::string> names = KnownNames(type);
  if (path == suggest_path_) {
    names.insert(names.end(), suggest_names_.begin(), suggest_names_.end());
  }
  std::string remedy;
  if (absl::string_view ours = NameElsewhere(entry.key);
      !ours.empty() &&
      Contains(names, ours.substr(0, std::min(ours.find(':'), ours.size())))) {
    remedy = absl::StrCat("here it is ", ours);
  } else if (std::string nearest = Nearest(entry.key, names);
             !nearest.empty()) {
    remedy = absl::StrCat("did you mean ", nearest, "?");
  } else if (const Kind* kind = FindKind(kind_);
             kind != nullptr &&
             IsOfContainers(*kind->field->message_type(), entry.key)) {
    remedy = "it belongs to the container, beside image";
  } else if (names.size() <= 12) {
    remedy = absl::StrCat("known are ", absl::StrJoin(names, ", "));
  } else if (!kind_.empty()) {
    remedy = absl::StrCat("`ctl explain ", Join(kind_, path),
                          "` lists what there is");
  }
  Report(entry.mark, Join(path, entry.key), "unknown field", remedy);
}

void Decoder::DecodeField(const Entry& entry, const std::string& path,
                          const FieldDescriptor& field, Message& message) {
  if (places_ != nullptr) places_->Add(path, entry.mark);
  const Node& node = *entry.value;
  if (!server_fields_ && field.options().GetExtension(v1::output_only)) {
    Report(entry.mark, path, "is set by the server", "remove it");
    return;
  }
  if (node.kind == Node::Kind::kNull) {
    Report(entry.mark, path, "has no value",
           field.type() == FieldDescriptor::TYPE_STRING && !field.is_repeated()
               ? "write \"\" for empty text, or remove it"
               : "give it one, or remove it");
    return;
  }
  if (field.is_map()) return DecodeMap(node, path, field, message);
  if (!field.is_repeated()) return DecodeSingle(node, path, field, message);
  if (node.IsMap() && MapFormOf(field)) {
    return DecodeMapForm(node, path, field, message);
  }
  DecodeList(node, path, field, message);
}

// One value of `field`: the only one, or the next of a list.
void Decoder::DecodeSingle(const Node& node, const std::string& path,
                           const FieldDescriptor& field, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (!IsScalarField(field)) {
    Decode(node, path,
           field.is_repeated() ? *reflection.AddMessage(&message, &field)
                               : *reflection.MutableMessage(&message, &field));
    return;
  }
  if (!Spend(node)) return;
  if (!node.IsScalar()) {
    Report(node.mark, path,
           absl::StrCat("must be a single value, not ", Describe(node)));
    return;
  }
  absl::Status status = ReadScalar(node.text, field, message);
  if (!status.ok()) {
    Report(node.mark, path, std::string(status.message()));
  } else if (CountsFromOne(field) && NumberIn(message, field) < 1) {
    Report(node.mark, path, absl::StrCat("is ", node.text),
           "use 1 or more, or leave it out");
  }
}

void Decoder::DecodeList(const Node& node, const std::string& path,
                         const FieldDescriptor& field, Message& message) {
  if (!Spend(node)) return;
  if (!node.IsList()) {
    std::string remedy = "write [\"…\", \"…\"]";
    if (MapFormOf(field)) remedy = "write {NAME: value}";
    if (node.IsMap() && !IsScalarField(field)) {
      remedy = "put \"- \" in front of its first field";
    }
    Report(node.mark, path,
           absl::StrCat("must be a list, not ", Describe(node)), remedy);
    return;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const Node& item = *node.items[i];
    const std::string item_path = absl::StrCat(path, "[", i, "]");
    if (places_ != nullptr) places_->Add(item_path, item.mark);
    if (item.kind == Node::Kind::kNull) {
      Report(item.mark, item_path, "has no value", "remove it");
    } else {
      DecodeSingle(item, item_path, field, message);
    }
    if (exhausted_) return;
  }
}

// {A: b} for [{name: A, value: b}].
void Decoder::DecodeMapForm(const Node& node, const std::string& path,
                            const FieldDescriptor& field, Message& message) {
  if (!Spend(node)) return;
  const MapForm form = MapFormOf(field);
  int index = 0;
  for (const Entry& entry : Entries(node, path)) {
    const std::string item = absl::StrCat(path, "[", index++, "]");
    if (places_ != nullptr) places_->Add(item, entry.mark);
    Message& element = *message.GetReflection()->AddMessage(&message, &field);
    absl::Status status = ReadScalar(entry.key, *form.key, element);
    if (!status.ok()) {
      Report(entry.mark, Join(path, entry.key), std::string(status.message()));
    }
    const Node& value = *entry.value;
    if (value.IsMap()) {
      Decode(value, item, element);
    } else if (value.kind == Node::Kind::kNull) {
      Report(entry.mark, Join(path, entry.key), "has no value",
             "write \"\" for empty text");
    } else if (form.value == nullptr) {
      Decode(value, item, element);
    } else {
      const std::string value_path = Join(item, form.value->json_name());
      if (places_ != nullptr) places_->Add(value_path, value.mark);
      DecodeSingle(value, value_path, *form.value, element);
    }
  }
}

// map<string, scalar>.
void Decoder::DecodeMap(const Node& node, const std::string& path,
                        const FieldDescriptor& field, Message& message) {
  if (!Spend(node)) return;
  if (!node.IsMap()) {
    Report(node.mark, path,
           absl::StrCat("must be a mapping, not ", Describe(node)),
           "write {key: value}");
    return;
  }
  for (const Entry& entry : Entries(node, path)) {
    const std::string item = Join(path, entry.key);
    if (places_ != nullptr) places_->Add(item, entry.mark);
    if (!entry.value->IsScalar()) {
      Report(
          entry.mark, item,
          absl::StrCat("must be a single value, not ", Describe(*entry.value)));
      continue;
    }
    if (!Spend(*entry.value)) return;
    Message& element = *message.GetReflection()->AddMessage(&message, &field);
    const Descriptor& type = *element.GetDescriptor();
    absl::Status status =
        ReadScalar(entry.key, *type.FindFieldByNumber(1), element);
    status.Update(
        ReadScalar(entry.value->text, *type.FindFieldByNumber(2), element));
    if (!status.ok()) {
      Report(entry.mark, item, std::string(status.message()));
    }
  }
}

// The fields of a single container that stand in the spec itself.
void Decoder::DecodeInline(const std::vector<Entry>& entries,
                           const std::string& path, Message& message,
                           std::vector<std::string>& seen) {
  const FieldDescriptor& field = *InlineField(*message.GetDescriptor());
  if (Contains(seen, field.json_name())) {
    for (const Entry& entry : entries) {
      Report(entry.mark, Join(path, entry.key),
             absl::StrCat("stands beside ", field.json_name()),
             absl::StrCat("write it inside ", field.json_name()));
    }
    return;
  }
  seen.push_back(field.json_name());
  Node node;
  node.kind = Node::Kind::kMap;
  node.mark = entries[0].mark;
  for (const Entry& entry : entries) {
    auto key = Node::Scalar(entry.key, true);
    key->mark = entry.mark;
    node.entries.emplace_back(std::move(key), entry.value);
  }
  std::string inner = Join(path, field.json_name());
  if (places_ != nullptr) places_->Add(inner, node.mark);
  if (field.is_repeated()) {
    absl::StrAppend(&inner, "[0]");
    if (places_ != nullptr) places_->Add(inner, node.mark);
  }
  DecodeSingle(node, inner, field, message);
}

void Decoder::CheckRequired(const Node& node, const std::string& path,
                            const Message& message,
                            const std::vector<std::string>& seen) {
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    if (!field->options().GetExtension(v1::required)) continue;
    const bool set = field->is_repeated()
                         ? reflection.FieldSize(message, field) > 0
                         : reflection.HasField(message, field);
    if (set || Contains(seen, field->json_name())) continue;
    const bool inlined = field == InlineField(type);
    Report(node.mark, Join(path, field->json_name()), "is missing",
           inlined && field->name() == "containers" ? "give it, or image" : "");
  }
}

}  // namespace bulwark::manifest
