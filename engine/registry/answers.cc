#include "engine/registry/answers.h"

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/image/json.h"

namespace bulwark::engine::registry {
namespace {

// Of the first error that the body tells.
std::string FirstError(const HttpResponse& response, const char* field) {
  absl::StatusOr<image::Json> body = image::ParseObject(response.body, "error");
  if (!body.ok()) return "";
  const image::Json* errors = image::Find(*body, "errors");
  if (errors == nullptr || !errors->is_array() || errors->empty() ||
      !(*errors)[0].is_object()) {
    return "";
  }
  return image::StringField((*errors)[0], field);
}

}  // namespace

std::string Explanation(const HttpResponse& response) {
  std::string text = FirstError(response, "message");
  if (text.empty()) text = FirstError(response, "code");
  std::string clean;
  for (char c : text.substr(0, 200)) {
    clean.push_back(static_cast<unsigned char>(c) < ' ' ? ' ' : c);
  }
  return clean.empty() ? "" : absl::StrCat(" (", clean, ")");
}

std::string ErrorCode(const HttpResponse& response) {
  return FirstError(response, "code");
}

absl::Status GiveUp(const absl::Status& stalled) {
  return absl::UnavailableError(absl::StrCat(
      stalled.message(),
      "; bulwarkd's registry-stall-timeout and registry-min-rate say how slow a"
      " registry may be"));
}

std::string NextLink(const HttpResponse& response) {
  auto range = response.headers.equal_range("link");
  for (auto it = range.first; it != range.second; ++it) {
    for (absl::string_view link : absl::StrSplit(it->second, ',')) {
      const size_t begin = link.find('<');
      const size_t end = link.find('>');
      if (begin == absl::string_view::npos || end == absl::string_view::npos ||
          end < begin) {
        continue;
      }
      const std::string rest = absl::AsciiStrToLower(link.substr(end + 1));
      if (absl::StrContains(rest, "rel=\"next\"") ||
          absl::StrContains(rest, "rel=next")) {
        return std::string(link.substr(begin + 1, end - begin - 1));
      }
    }
  }
  return "";
}

}  // namespace bulwark::engine::registry
