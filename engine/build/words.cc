#include "engine/build/words.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"

namespace bulwark::engine::build {
namespace {

constexpr int kMaxNesting = 16;

bool IsNameCharacter(char c) { return absl::ascii_isalnum(c) || c == '_'; }

class Expander {
 public:
  Expander(absl::string_view text, char escape, const Lookup& lookup,
           bool quotes, int nesting)
      : rest_(text),
        escape_(escape),
        lookup_(lookup),
        quotes_(quotes),
        nesting_(nesting) {}

  absl::StatusOr<std::string> Run() {
    if (nesting_ > kMaxNesting) {
      return absl::InvalidArgumentError("variables are nested too deeply");
    }
    while (!rest_.empty()) {
      char c = Take();
      if (c == escape_) {
        AfterEscape(/*in_quotes=*/false);
      } else if (c == '$') {
        RETURN_IF_ERROR(Variable());
      } else if (quotes_ && c == '\'') {
        RETURN_IF_ERROR(SingleQuotes());
      } else if (quotes_ && c == '"') {
        RETURN_IF_ERROR(DoubleQuotes());
      } else {
        out_.push_back(c);
      }
    }
    return std::move(out_);
  }

 private:
  char Take() {
    char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  void AfterEscape(bool in_quotes) {
    if (rest_.empty()) {
      out_.push_back(escape_);
      return;
    }
    bool special = rest_[0] == '$' || rest_[0] == '"' || rest_[0] == escape_;
    if ((in_quotes || !quotes_) && !special) out_.push_back(escape_);
    out_.push_back(Take());
  }

  absl::Status SingleQuotes() {
    size_t end = rest_.find('\'');
    if (end == absl::string_view::npos) return Unterminated("'");
    out_.append(rest_.data(), end);
    rest_.remove_prefix(end + 1);
    return absl::OkStatus();
  }

  absl::Status DoubleQuotes() {
    while (!rest_.empty()) {
      char c = Take();
      if (c == '"') return absl::OkStatus();
      if (c == escape_) {
        AfterEscape(/*in_quotes=*/true);
      } else if (c == '$') {
        RETURN_IF_ERROR(Variable());
      } else {
        out_.push_back(c);
      }
    }
    return Unterminated("\"");
  }

  static absl::Status Unterminated(absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", what, " has no counterpart"));
  }

  std::string TakeName() {
    size_t n = 0;
    while (n < rest_.size() && IsNameCharacter(rest_[n])) ++n;
    std::string name(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return name;
  }

  // After the dollar sign.
  absl::Status Variable() {
    if (absl::ConsumePrefix(&rest_, "{")) return Braces();
    if (rest_.empty() || !IsNameCharacter(rest_[0]) ||
        absl::ascii_isdigit(rest_[0])) {
      out_.push_back('$');
      return absl::OkStatus();
    }
    out_.append(lookup_(TakeName()).value_or(""));
    return absl::OkStatus();
  }

  // After "${".
  absl::Status Braces() {
    std::string name = TakeName();
    if (!IsVariableName(name)) {
      return absl::InvalidArgumentError(
          "${ must be followed by the name of a variable");
    }
    std::optional<std::string> value = lookup_(name);
    if (absl::ConsumePrefix(&rest_, "}")) {
      out_.append(value.value_or(""));
      return absl::OkStatus();
    }
    if (absl::ConsumePrefix(&rest_, ":") && value.has_value() &&
        value->empty()) {
      value.reset();  // with a colon, empty counts as not set
    }
    if (rest_.empty()) return Unterminated("{");
    char operation = Take();
    ASSIGN_OR_RETURN(std::string word, TakeBracedWord());
    switch (operation) {
      case '-':
        out_.append(value.has_value() ? *value : word);
        return absl::OkStatus();
      case '+':
        if (value.has_value()) out_.append(word);
        return absl::OkStatus();
      case '?':
        if (!value.has_value()) {
          return absl::InvalidArgumentError(
              absl::StrCat(name, ": ", word.empty() ? "it is not set" : word));
        }
        out_.append(*value);
        return absl::OkStatus();
      default:
        return absl::InvalidArgumentError(
            absl::StrCat("${", name, std::string(1, operation),
                         "…} is not supported; use ${NAME}, ${NAME:-default} or"
                         " ${NAME:+alternative}"));
    }
  }

  // Up to the closing brace, expanded.
  absl::StatusOr<std::string> TakeBracedWord() {
    int depth = 1;
    size_t i = 0;
    for (; i < rest_.size(); ++i) {
      if (rest_[i] == escape_) {
        ++i;
      } else if (rest_[i] == '{' && i > 0 && rest_[i - 1] == '$') {
        ++depth;
      } else if (rest_[i] == '}' && --depth == 0) {
        break;
      }
    }
    if (i >= rest_.size()) return Unterminated("{");
    absl::string_view word = rest_.substr(0, i);
    rest_.remove_prefix(i + 1);
    return Expander(word, escape_, lookup_, quotes_, nesting_ + 1).Run();
  }

  absl::string_view rest_;
  const char escape_;
  const Lookup& lookup_;
  const bool quotes_;
  const int nesting_;
  std::string out_;
};

}  // namespace

bool IsVariableName(absl::string_view text) {
  if (text.empty() || absl::ascii_isdigit(text[0])) return false;
  for (char c : text) {
    if (!IsNameCharacter(c)) return false;
  }
  return true;
}

std::vector<std::string> SplitWords(absl::string_view text, char escape) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool blank = c == ' ' || c == '\t';
    if (quote == 0 && blank) {
      if (in_word) words.push_back(std::exchange(word, ""));
      in_word = false;
      continue;
    }
    in_word = true;
    word.push_back(c);
    if (c == escape && quote != '\'' && i + 1 < text.size()) {
      word.push_back(text[++i]);
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return words;
}

absl::StatusOr<std::string> Expand(absl::string_view text, char escape,
                                   const Lookup& lookup) {
  return Expander(text, escape, lookup, /*quotes=*/true, 0).Run();
}

absl::StatusOr<std::string> ExpandHeredoc(absl::string_view text, char escape,
                                          const Lookup& lookup) {
  return Expander(text, escape, lookup, /*quotes=*/false, 0).Run();
}

}  // namespace bulwark::engine::build
