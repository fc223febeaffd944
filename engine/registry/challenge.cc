#include "engine/registry/challenge.h"

#include "absl/strings/ascii.h"

namespace bulwark::engine::registry {
namespace {

// Takes a quoted string or a token off the front.
std::string TakeValue(absl::string_view* rest) {
  std::string value;
  if (rest->empty() || rest->front() != '"') {
    size_t end = rest->find_first_of(", \t");
    value = std::string(rest->substr(0, end));
    rest->remove_prefix(value.size());
    return value;
  }
  size_t i = 1;
  for (; i < rest->size() && (*rest)[i] != '"'; ++i) {
    if ((*rest)[i] == '\\' && i + 1 < rest->size()) ++i;
    value.push_back((*rest)[i]);
  }
  rest->remove_prefix(i < rest->size() ? i + 1 : i);
  return value;
}

}  // namespace

Challenge ParseChallenge(absl::string_view header) {
  Challenge result;
  absl::string_view rest = absl::StripLeadingAsciiWhitespace(header);
  size_t space = rest.find_first_of(" \t");
  result.scheme = absl::AsciiStrToLower(rest.substr(0, space));
  if (space == absl::string_view::npos) return result;
  rest.remove_prefix(space);
  for (;;) {
    size_t start = rest.find_first_not_of(", \t");
    if (start == absl::string_view::npos) return result;
    rest.remove_prefix(start);
    size_t equals = rest.find('=');
    if (equals == absl::string_view::npos) return result;
    std::string name = absl::AsciiStrToLower(
        absl::StripAsciiWhitespace(rest.substr(0, equals)));
    rest.remove_prefix(equals + 1);
    rest = absl::StripLeadingAsciiWhitespace(rest);
    result.params.emplace(std::move(name), TakeValue(&rest));
  }
}

}  // namespace bulwark::engine::registry
