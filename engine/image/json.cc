#include "engine/image/json.h"

#include "absl/strings/str_cat.h"

namespace bulwark::engine::image {
namespace {

constexpr int kMaxDepth = 32;

// Deepest nesting of brackets outside strings.
int DepthOf(absl::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      deepest = std::max(deepest, ++depth);
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

absl::StatusOr<Json> ParseObject(absl::string_view text,
                                 absl::string_view what) {
  if (DepthOf(text) > kMaxDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": nested deeper than ", kMaxDepth));
  }
  Json value = Json::parse(text.begin(), text.end(), nullptr,
                           /*allow_exceptions=*/false);
  if (value.is_discarded()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": not valid JSON"));
  }
  if (!value.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, ": not a JSON object"));
  }
  return value;
}

const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  auto it = object.find(key);
  if (it == object.end() || it->is_null()) return nullptr;
  return &*it;
}

std::string StringField(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_string()) return "";
  return value->get_ref<const std::string&>();
}

int64_t IntField(const Json& object, const char* key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_number_integer()) return 0;
  return value->get<int64_t>();
}

std::vector<std::string> StringList(const Json& object, const char* key) {
  std::vector<std::string> result;
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_array()) return result;
  for (const Json& item : *value) {
    if (!item.is_string()) return {};
    result.push_back(item.get_ref<const std::string&>());
  }
  return result;
}

std::map<std::string, std::string> StringMap(const Json& object,
                                             const char* key) {
  std::map<std::string, std::string> result;
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_object()) return result;
  for (const auto& [name, item] : value->items()) {
    if (item.is_string()) result[name] = item.get_ref<const std::string&>();
  }
  return result;
}

std::vector<std::string> KeysOf(const Json& object, const char* key) {
  std::vector<std::string> result;
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_object()) return result;
  for (const auto& [name, item] : value->items()) result.push_back(name);
  return result;
}

std::string Dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace bulwark::engine::image
