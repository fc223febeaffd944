#include "secrets/delivery_order.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace bulwark::secrets {
namespace {

constexpr size_t kMaxId = 64;

bool IsCleanPath(absl::string_view path) {
  if (path.size() < 2 || path[0] != '/' ||
      path.find('\0') != absl::string_view::npos) {
    return false;
  }
  for (const absl::string_view part : absl::StrSplit(path.substr(1), '/')) {
    if (part.empty() || part == "." || absl::StartsWith(part, "..")) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool IsContainerId(absl::string_view id) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  return !id.empty() && id.size() <= kMaxId && plain(id[0]) &&
         std::all_of(id.begin(), id.end(), [&](char c) {
           return plain(c) || c == '.' || c == '_' || c == '-';
         });
}

absl::Status CheckContainerId(absl::string_view id) {
  if (IsContainerId(id)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "deliver files: \"", id.substr(0, 80), "\" is no container's id"));
}

absl::Status CheckOrder(const DeliveryOrder& order) {
  RETURN_IF_ERROR(CheckContainerId(order.container_id));
  std::set<std::string> paths;
  for (const DeliveredFile& file : order.files) {
    if (!IsCleanPath(file.path)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "deliver files: \"", file.path, "\" is no path of a file"));
    }
    if (!paths.insert(file.path).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("deliver files: ", file.path, " is given twice"));
    }
  }
  return absl::OkStatus();
}

std::string BaseName(absl::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string FolderOf(absl::string_view path) {
  return std::string(path.substr(0, path.rfind('/')));
}

}  // namespace bulwark::secrets
