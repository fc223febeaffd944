// Words, quotes and variables of Dockerfile instructions, as Docker's own
// small shell language has them.
#ifndef ENGINE_BUILD_WORDS_H_
#define ENGINE_BUILD_WORDS_H_

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::build {

// Longer results of Expand are refused: variables that double each other would
// fill the memory.
inline constexpr size_t kMaxExpandedBytes = 1 << 20;
inline constexpr size_t kMaxHeredocBytes = 8 << 20;

// [A-Za-z_][A-Za-z0-9_]*
bool IsVariableName(absl::string_view text);

// Splits at blanks outside quotes; quotes and escapes are kept.
std::vector<std::string> SplitWords(absl::string_view text, char escape);

// The value of a variable, or nothing if it is not set.
using Lookup =
    std::function<std::optional<std::string>(absl::string_view name)>;

// Replaces variables and removes quotes and escapes; single quotes keep what
// they hold. $NAME, ${NAME} and, where `word` may hold variables too:
//   ${NAME:-word} ${NAME-word}   word, if NAME is not set (":": or empty)
//   ${NAME:+word} ${NAME+word}   word, if it is
//   ${NAME:?word} ${NAME?word}   an error that says word, if it is not
//   ${NAME#word} ${NAME##word}   without the shortest, longest match at the
//   ${NAME%word} ${NAME%%word}   beginning, the end; "*" and "?" in word
//   ${NAME/word/other} ${NAME//word/other}   first match, every match replaced
// INVALID_ARGUMENT if quotes or braces do not end, a wanted variable is not
// set, or the result is too long. `unset` (if any) gets the names that are not
// set and had no word to take their place.
absl::StatusOr<std::string> Expand(absl::string_view text, char escape,
                                   const Lookup& lookup,
                                   std::set<std::string>* unset = nullptr);

// The same, split at the blanks that stand outside quotes, also those that came
// from variables. Empty words vanish.
absl::StatusOr<std::vector<std::string>> ExpandWords(
    absl::string_view text, char escape, const Lookup& lookup,
    std::set<std::string>* unset = nullptr);

// The same for the text of a heredoc: quotes are ordinary characters there, and
// the escape character is one but before "$" and itself.
absl::StatusOr<std::string> ExpandHeredoc(
    absl::string_view text, char escape, const Lookup& lookup,
    std::set<std::string>* unset = nullptr);

// Removes quotes and escapes only.
absl::StatusOr<std::string> RemoveQuotes(absl::string_view text, char escape);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_WORDS_H_
