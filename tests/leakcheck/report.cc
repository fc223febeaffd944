#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "tests/leakcheck/scan.h"

namespace bulwark::leakcheck {

bool HasInstance(absl::string_view text, absl::string_view instance) {
  if (instance.empty()) return false;
  auto word = [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c));
  };
  for (size_t at = text.find(instance); at != absl::string_view::npos;
       at = text.find(instance, at + 1)) {
    size_t end = at + instance.size();
    if ((at == 0 || !word(text[at - 1])) &&
        (end == text.size() || !word(text[end]))) {
      return true;
    }
  }
  return false;
}

bool IsBelow(absl::string_view path, absl::string_view directory) {
  return !directory.empty() && absl::StartsWith(path, directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

absl::StatusOr<std::vector<Item>> Scan(const Options& options) {
  std::vector<Item> items;
  RETURN_IF_ERROR(ScanCgroups(options, &items));
  RETURN_IF_ERROR(ScanProcesses(options, &items));
  RETURN_IF_ERROR(ScanMounts(options, &items));
  RETURN_IF_ERROR(ScanInputs(options, &items));
  RETURN_IF_ERROR(ScanLoopDevices(options, &items));
  RETURN_IF_ERROR(ScanPins(options, &items));
  RETURN_IF_ERROR(ScanNetwork(options, &items));
  std::sort(items.begin(), items.end());
  return items;
}

std::string Print(const std::vector<Item>& items) {
  std::string text;
  for (const Item& item : items) {
    nlohmann::ordered_json line{
        {"kind", item.kind}, {"id", item.id}, {"detail", item.detail}};
    // Names in the kernel need not be UTF-8.
    absl::StrAppend(
        &text,
        line.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace),
        "\n");
  }
  return text;
}

absl::StatusOr<std::vector<Item>> Parse(absl::string_view text) {
  std::vector<Item> items;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty()) continue;
    nlohmann::json json =
        nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
    auto field = [&json](const char* name) -> std::string {
      auto it = json.find(name);
      return it != json.end() && it->is_string() ? it->get<std::string>() : "";
    };
    if (!json.is_object() || field("kind").empty() || field("id").empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " is not an object with kind and id"));
    }
    items.push_back({field("kind"), field("id"), field("detail")});
  }
  return items;
}

std::vector<Item> Leaked(const std::vector<Item>& before,
                         const std::vector<Item>& after) {
  std::set<std::pair<std::string, std::string>> known;
  for (const Item& item : before) known.insert({item.kind, item.id});
  std::vector<Item> leaked;
  for (const Item& item : after) {
    if (!known.contains({item.kind, item.id})) leaked.push_back(item);
  }
  return leaked;
}

}  // namespace bulwark::leakcheck
