// The text that messages point into.
#ifndef ENGINE_BUILD_SOURCE_TEXT_H_
#define ENGINE_BUILD_SOURCE_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::build {

struct SourceText {
  std::string name;  // of the file, for messages
  std::vector<std::string> lines;
};

// Lines `first` to `last` (from 1) with their numbers and a mark, between their
// neighbours. Carets stand below `word` where it is found in the first of them.
// Long lines and long ranges are cut. Empty if there are no such lines.
std::string Excerpt(const SourceText& source, int first, int last,
                    absl::string_view word = "");

// INVALID_ARGUMENT "<name>:<first>: <why>", and the excerpt.
absl::Status ErrorIn(const SourceText& source, int first, int last,
                     absl::string_view why, absl::string_view word = "");

// `status` with "<name>:<first>: <what>: " before its message and the excerpt
// after it. OK stays OK.
absl::Status AnnotateIn(const absl::Status& status, const SourceText& source,
                        int first, int last, absl::string_view what);

// INVALID_ARGUMENT "<name>:<line>: <why>".
absl::Status ErrorAt(absl::string_view name, int line, absl::string_view why);

// The one of `known` that `word` is most likely meant to be, in the case that
// `known` has; empty if none is near.
std::string Nearest(absl::string_view word,
                    const std::vector<std::string>& known);

// "; did you mean X?", or nothing.
std::string Suggestion(absl::string_view word,
                       const std::vector<std::string>& known);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_SOURCE_TEXT_H_
