// The patterns of ${NAME#pattern} and its like: "*" is any text, "?" one
// character, "\" makes "*", "?" and itself ordinary.
#ifndef ENGINE_BUILD_SHELL_PATTERN_H_
#define ENGINE_BUILD_SHELL_PATTERN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::build {

class ShellPattern {
 public:
  // INVALID_ARGUMENT if "\" is before another character. Before "}" and "/",
  // which would end the pattern where it was written, it is just dropped.
  static absl::StatusOr<ShellPattern> Parse(absl::string_view text);

  // `value` without what matches at its beginning or end. INVALID_ARGUMENT if
  // the search would take too long.
  absl::StatusOr<std::string> TrimPrefix(absl::string_view value,
                                         bool longest) const;
  absl::StatusOr<std::string> TrimSuffix(absl::string_view value,
                                         bool longest) const;
  // The longest match that begins first, or every one, is replaced.
  absl::StatusOr<std::string> Replace(absl::string_view value,
                                      absl::string_view replacement,
                                      bool all) const;

 private:
  struct Token {
    enum class Kind { kText, kOne, kAny } kind;
    std::string text;  // one character
  };
  using Characters = std::vector<absl::string_view>;

  // Where matches of `tokens` that begin at `start` end: the first or last
  // place, -1 if there is none.
  static int64_t Match(const std::vector<Token>& tokens,
                       const Characters& value, size_t start, bool longest);
  absl::Status CheckSize(const Characters& value) const;

  std::vector<Token> tokens_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_SHELL_PATTERN_H_
