// Words, quotes and variables of Dockerfile instructions, as Docker's own
// small shell language has them.
#ifndef ENGINE_BUILD_WORDS_H_
#define ENGINE_BUILD_WORDS_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::build {

// [A-Za-z_][A-Za-z0-9_]*
bool IsVariableName(absl::string_view text);

// Splits at blanks outside quotes; quotes and escapes are kept.
std::vector<std::string> SplitWords(absl::string_view text, char escape);

// The value of a variable, or nothing if it is not set.
using Lookup =
    std::function<std::optional<std::string>(absl::string_view name)>;

// Replaces $NAME, ${NAME}, ${NAME:-default}, ${NAME-default},
// ${NAME:+alternative}, ${NAME+alternative} and ${NAME:?message}, and removes
// quotes and escapes. Single quotes keep what they hold. INVALID_ARGUMENT if
// quotes or braces do not end, or a wanted variable is not set.
absl::StatusOr<std::string> Expand(absl::string_view text, char escape,
                                   const Lookup& lookup);

// The same for the text of a heredoc: quotes are ordinary characters there.
absl::StatusOr<std::string> ExpandHeredoc(absl::string_view text, char escape,
                                          const Lookup& lookup);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_WORDS_H_
