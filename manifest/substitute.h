// ${VARIABLES} in manifests.
#ifndef MANIFEST_SUBSTITUTE_H_
#define MANIFEST_SUBSTITUTE_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "manifest/problem.h"

namespace bulwark::manifest {

// The value of a variable; nullopt if it is unset.
using VariableLookup =
    std::function<std::optional<std::string>(absl::string_view name)>;

// Replaces, in what stands in values (comments do not count):
//   ${NAME}           its value; a problem if it is unset
//   ${NAME:-default}  `default` if it is unset or empty (with "-": if unset)
//   ${NAME:?message}  a problem with this message if unset or empty
//   $$                a dollar sign
// A value is never read as YAML: it cannot add fields or break the syntax.
//
// For that the text is parsed with marker characters of the same width in
// place of each variable, which keeps lines and columns true; Expand() then
// works on the parsed strings. Thread-compatible.
class Substitution {
 public:
  // With a null `lookup` nothing is replaced.
  Substitution(std::string file, VariableLookup lookup)
      : file_(std::move(file)), lookup_(std::move(lookup)) {}

  // `text` with markers.
  std::string Protect(absl::string_view text);

  // `scalar` with the markers replaced; problems are appended.
  std::string Expand(absl::string_view scalar,
                     std::vector<Problem>& problems) const;

 private:
  struct Reference {
    // For "$$" and for marker characters that stood in the text itself.
    std::optional<std::string> literal;
    // Between the braces.
    std::string body;
    bool closed = true;
    Mark mark;
  };

  std::string Value(const Reference& reference,
                    std::vector<Problem>& problems) const;

  std::string file_;
  VariableLookup lookup_;
  std::vector<Reference> references_;
};

// `text` written so that Expand() gives it back.
std::string EscapeVariables(absl::string_view text);

// NAME=value lines, "#" comments, an optional "export ", values optionally in
// single or double quotes (\n, \t, \" and \\ in double ones).
// INVALID_ARGUMENT "FILE:LINE: ..." on anything else.
absl::StatusOr<std::map<std::string, std::string>> ParseEnvFile(
    absl::string_view file, absl::string_view text);

}  // namespace bulwark::manifest

#endif  // MANIFEST_SUBSTITUTE_H_
