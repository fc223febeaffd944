#include "engine/image/reference.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/image/digest.h"
#include "engine/images.h"

namespace bulwark::engine::image {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not an image reference: ", why));
}

bool IsLowerAlnum(char c) {
  return absl::ascii_isdigit(c) || absl::ascii_islower(c);
}

// [a-z0-9]+ joined by one '.', one or two '_', or any number of '-'.
bool IsPathComponent(absl::string_view text) {
  if (text.empty() || !IsLowerAlnum(text.front()) ||
      !IsLowerAlnum(text.back())) {
    return false;
  }
  for (size_t i = 0; i < text.size();) {
    size_t start = i;
    while (i < text.size() && !IsLowerAlnum(text[i])) ++i;
    absl::string_view separator = text.substr(start, i - start);
    bool dashes = separator.find_first_not_of('-') == absl::string_view::npos;
    if (!dashes && separator != "." && separator != "_" && separator != "__") {
      return false;
    }
    while (i < text.size() && IsLowerAlnum(text[i])) ++i;
  }
  return true;
}

bool IsTag(absl::string_view text) {
  if (text.empty() || text.size() > kMaxTag) return false;
  if (text.front() == '.' || text.front() == '-') return false;
  for (char c : text) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '.' && c != '-') {
      return false;
    }
  }
  return true;
}

bool IsPort(absl::string_view text) {
  // SimpleAtoi takes signs and spaces, too.
  const bool digits = std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  int port = 0;
  return digits && text.size() <= 5 && absl::SimpleAtoi(text, &port) &&
         port > 0 && port <= 65535;
}

// A host name, an IPv4 address or a bracketed IPv6 address, with or without a
// port.
bool IsRegistry(absl::string_view text) {
  absl::string_view host = text;
  if (absl::StartsWith(text, "[")) {
    size_t end = text.find(']');
    if (end == absl::string_view::npos) return false;
    host = text.substr(1, end - 1);
    for (char c : host) {
      if (!absl::ascii_isxdigit(c) && c != ':') return false;
    }
    absl::string_view rest = text.substr(end + 1);
    return !host.empty() &&
           (rest.empty() || (rest[0] == ':' && IsPort(rest.substr(1))));
  }
  size_t colon = text.find(':');
  if (colon != absl::string_view::npos) {
    host = text.substr(0, colon);
    if (!IsPort(text.substr(colon + 1))) return false;
  }
  for (absl::string_view label : absl::StrSplit(host, '.')) {
    if (label.empty() || label.front() == '-' || label.back() == '-') {
      return false;
    }
    for (char c : label) {
      if (!absl::ascii_isalnum(c) && c != '-') return false;
    }
  }
  return true;
}

// Docker's rule: the first part is a registry if it could not be a folder.
bool LooksLikeRegistry(absl::string_view first) {
  return absl::StrContains(first, ".") || absl::StrContains(first, ":") ||
         first == "localhost" || absl::AsciiStrToLower(first) != first;
}

}  // namespace

std::string Reference::ToString() const {
  std::string result = absl::StrCat(registry, "/", repository);
  if (!tag.empty()) absl::StrAppend(&result, ":", tag);
  if (!digest.empty()) absl::StrAppend(&result, "@", digest);
  return result;
}

absl::StatusOr<Reference> ParseReference(absl::string_view text) {
  Reference result;
  absl::string_view rest = text;
  if (rest.empty()) return Invalid(text, "it is empty");
  if (size_t at = rest.find('@'); at != absl::string_view::npos) {
    result.digest = std::string(rest.substr(at + 1));
    if (!IsDigest(result.digest)) {
      return Invalid(text, "after '@' comes sha256: and 64 hex digits");
    }
    rest = rest.substr(0, at);
  }
  size_t colon = rest.rfind(':');
  if (colon != absl::string_view::npos &&
      rest.find('/', colon) == absl::string_view::npos) {
    result.tag = std::string(rest.substr(colon + 1));
    if (!IsTag(result.tag)) {
      return Invalid(text, absl::StrCat("\"", result.tag,
                                        "\" is not a tag (letters, digits, '_'"
                                        ", '.', '-'; at most 128)"));
    }
    rest = rest.substr(0, colon);
  }
  if (result.tag.empty() && result.digest.empty()) result.tag = "latest";

  size_t slash = rest.find('/');
  absl::string_view first = rest.substr(0, slash);
  if (slash != absl::string_view::npos && LooksLikeRegistry(first)) {
    result.registry = std::string(first);
    rest = rest.substr(slash + 1);
  } else {
    result.registry = "docker.io";
  }
  if (result.registry == "index.docker.io") result.registry = "docker.io";
  if (!IsRegistry(result.registry)) {
    return Invalid(text, absl::StrCat("\"", result.registry,
                                      "\" is not a registry (HOST[:PORT])"));
  }
  result.repository = std::string(rest);
  if (result.registry == "docker.io" && !absl::StrContains(rest, "/")) {
    result.repository = absl::StrCat("library/", rest);
  }
  if (result.registry.size() + result.repository.size() > kMaxName) {
    return Invalid(text, "the name is longer than 255 characters");
  }
  for (absl::string_view part : absl::StrSplit(rest, '/')) {
    if (!IsPathComponent(part)) {
      return Invalid(
          text, absl::StrCat("\"", part,
                             "\" is not a name (lower-case letters and digits,"
                             " with '.', '_' or '-' between them)"));
    }
  }
  return result;
}

}  // namespace bulwark::engine::image

namespace bulwark::engine {

absl::StatusOr<std::string> NormalizeReference(absl::string_view reference) {
  ASSIGN_OR_RETURN(image::Reference parsed, image::ParseReference(reference));
  return parsed.ToString();
}

}  // namespace bulwark::engine
