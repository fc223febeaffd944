// Which files of a directory are left out: the language of .dockerignore, as
// Docker and BuildKit read it.
#ifndef BASE_IGNORE_LIST_H_
#define BASE_IGNORE_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark {

// Patterns, of which the last one that matches a path or a directory above it
// decides; "!" takes back. In a pattern, "*" is any text without "/", "?" one
// character but "/", "[a-z]" and "[^a-z]" one of (not of) those, "\x" is x.
// "**" is any text, with "/" too; "**/" may also be nothing.
// Immutable once made; safe to use from several threads.
class IgnoreList {
 public:
  // Ignores nothing.
  IgnoreList() = default;

  // The text of a file called `name`: a pattern a line; lines that begin with
  // "#" are comments; blanks around patterns and a leading "/" do not count.
  // INVALID_ARGUMENT "<name>:<line>: …" if a pattern is malformed.
  static absl::StatusOr<IgnoreList> Parse(absl::string_view text,
                                          absl::string_view name);

  // The same of single patterns (COPY --exclude).
  static absl::StatusOr<IgnoreList> FromPatterns(
      const std::vector<std::string>& patterns);

  // `path` is relative, without "." and ".." and "//". "" is never ignored.
  bool Ignores(absl::string_view path) const;

  // Whether something below an ignored directory may be taken back, so that it
  // must be looked into.
  bool HasExceptions() const { return has_exceptions_; }
  bool empty() const { return patterns_.empty(); }

 private:
  struct Token {
    enum class Kind {
      kText,       // `low`
      kOne,        // a character but "/"
      kMany,       // any number of them
      kDeep,       // any text
      kDeepSlash,  // nothing, or any text that ends with "/"
      kClass,      // one of `ranges`, or none of them
    } kind;
    char32_t low = 0;
    bool negated = false;
    std::vector<std::pair<char32_t, char32_t>> ranges;
  };
  struct Pattern {
    std::vector<Token> tokens;
    bool exception = false;
  };

  static absl::StatusOr<std::vector<Token>> Compile(absl::string_view pattern);
  static bool Matches(const Token& token, char32_t c);
  // Whether the pattern matches the path, or a directory above it.
  static bool MatchesOrAbove(const Pattern& pattern,
                             const std::vector<char32_t>& path);
  absl::Status Add(absl::string_view line);

  std::vector<Pattern> patterns_;
  bool has_exceptions_ = false;
};

// What is sent although it is ignored, since the build itself reads it: the
// Dockerfile and the two places where its patterns can be.
// docs.docker.com: "You can even use the .dockerignore file to exclude the
// Dockerfile and .dockerignore files. These files are still sent".
std::vector<std::string> AlwaysSent(absl::string_view dockerfile);

// Where the patterns for `dockerfile` are looked for, best first.
std::vector<std::string> IgnoreFilesOf(absl::string_view dockerfile);

}  // namespace bulwark

#endif  // BASE_IGNORE_LIST_H_
