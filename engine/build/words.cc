#include "engine/build/words.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "engine/build/shell_pattern.h"

namespace bulwark::engine::build {
namespace {

constexpr int kMaxNesting = 16;

bool IsNameCharacter(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// What the shell calls special parameters: names of one character, which are
// never set here.
bool IsSpecial(char c) {
  return absl::string_view("@*#?-$!").find(c) != absl::string_view::npos;
}

// Collects a result, and the words that it consists of.
class Output {
 public:
  explicit Output(size_t most = kMaxExpandedBytes) : most_(most) {}

  // `splits`: a blank is one between words.
  void Add(absl::string_view text, bool splits) {
    text_.append(text.data(), text.size());
    for (char c : text) {
      if (!splits || !absl::ascii_isspace(c)) {
        word_.push_back(c);
      } else {
        EndWord();
      }
    }
  }
  absl::Status Check() const {
    if (text_.size() <= most_) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("the value is longer than ", most_ >> 20, " MiB"));
  }
  std::string TakeText() { return std::move(text_); }
  std::vector<std::string> TakeWords() {
    EndWord();
    return std::move(words_);
  }

 private:
  void EndWord() {
    if (!word_.empty()) words_.push_back(std::exchange(word_, ""));
  }

  const size_t most_;
  std::string text_;
  std::string word_;
  std::vector<std::string> words_;
};

// How the text is read.
struct Mode {
  char escape;
  bool quotes = true;         // that they mean something
  bool keep_escapes = false;  // within a pattern, which reads them itself
};

class Expander {
 public:
  Expander(absl::string_view text, const Lookup& lookup,
           std::set<std::string>* unset)
      : rest_(text), lookup_(lookup), unset_(unset) {}

  absl::Status Run(const Mode& mode, Output* out) {
    return Until(0, mode, out);
  }

 private:
  char Take() {
    char c = rest_.front();
    rest_.remove_prefix(1);
    return c;
  }

  // Up to `stop`, which is taken, too; 0: up to the end.
  absl::Status Until(char stop, const Mode& mode, Output* out) {
    while (!rest_.empty()) {
      RETURN_IF_ERROR(out->Check());
      char c = Take();
      if (stop != 0 && c == stop) return absl::OkStatus();
      if (c == '$') {
        std::string value;
        RETURN_IF_ERROR(Variable(mode, &value));
        out->Add(value, true);
      } else if (mode.quotes && c == '\'') {
        RETURN_IF_ERROR(SingleQuotes(out));
      } else if (mode.quotes && c == '"') {
        RETURN_IF_ERROR(DoubleQuotes(mode, out));
      } else if (c == mode.escape) {
        AfterEscape(mode, out);
      } else {
        out->Add(absl::string_view(&c, 1), true);
      }
    }
    RETURN_IF_ERROR(out->Check());
    if (stop == 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("a ${ has no \"", std::string(1, stop), "\""));
  }

  // At the end of the text it means nothing.
  void AfterEscape(const Mode& mode, Output* out) {
    const bool ordinary = !mode.quotes && !rest_.empty() && rest_[0] != '$' &&
                          rest_[0] != mode.escape;
    if (mode.keep_escapes || ordinary || (!mode.quotes && rest_.empty())) {
      out->Add(absl::string_view(&mode.escape, 1), false);
    }
    if (rest_.empty()) return;
    char c = Take();
    out->Add(absl::string_view(&c, 1), false);
  }

  absl::Status SingleQuotes(Output* out) {
    size_t end = rest_.find('\'');
    if (end == absl::string_view::npos) return Unterminated('\'');
    out->Add(rest_.substr(0, end), false);
    rest_.remove_prefix(end + 1);
    return absl::OkStatus();
  }

  absl::Status DoubleQuotes(const Mode& mode, Output* out) {
    while (!rest_.empty()) {
      RETURN_IF_ERROR(out->Check());
      char c = Take();
      if (c == '"') return absl::OkStatus();
      if (c == '$') {
        std::string value;
        RETURN_IF_ERROR(Variable(mode, &value));
        out->Add(value, false);
        continue;
      }
      if (c == mode.escape) {
        if (mode.keep_escapes) out->Add(absl::string_view(&c, 1), false);
        if (rest_.empty()) break;
        if (rest_[0] == '"' || rest_[0] == '$' || rest_[0] == mode.escape) {
          c = Take();
        }
      }
      out->Add(absl::string_view(&c, 1), false);
    }
    return Unterminated('"');
  }

  static absl::Status Unterminated(char what) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ", std::string(1, what), " has no counterpart"));
  }

  std::string TakeName() {
    size_t n = 0;
    if (!rest_.empty() && absl::ascii_isdigit(rest_[0])) {
      while (n < rest_.size() && absl::ascii_isdigit(rest_[n])) ++n;
    } else if (!rest_.empty() && IsSpecial(rest_[0])) {
      n = 1;
    } else {
      while (n < rest_.size() && IsNameCharacter(rest_[n])) ++n;
    }
    std::string name(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return name;
  }

  void NoteUnset(const std::string& name) {
    if (unset_ != nullptr && IsVariableName(name)) unset_->insert(name);
  }

  // After the dollar sign.
  absl::Status Variable(const Mode& mode, std::string* value) {
    if (absl::ConsumePrefix(&rest_, "{")) {
      if (++nesting_ > kMaxNesting) {
        return absl::InvalidArgumentError("variables are nested too deeply");
      }
      RETURN_IF_ERROR(Braces(mode, value));
      --nesting_;
      return absl::OkStatus();
    }
    const std::string name = TakeName();
    if (name.empty()) {
      *value = "$";
      return absl::OkStatus();
    }
    std::optional<std::string> found = lookup_(name);
    if (!found.has_value()) NoteUnset(name);
    *value = std::move(found).value_or("");
    return absl::OkStatus();
  }

  // After "${".
  absl::Status Braces(const Mode& mode, std::string* value) {
    const std::string name = TakeName();
    if (name.empty()) {
      return absl::InvalidArgumentError(
          "${ must be followed by the name of a variable");
    }
    std::optional<std::string> found = lookup_(name);
    if (rest_.empty()) return NoBrace(name);
    char operation = Take();
    if (operation == '}') {
      if (!found.has_value()) NoteUnset(name);
      *value = std::move(found).value_or("");
      return absl::OkStatus();
    }
    if (operation == '/') return Replacement(name, mode, found, value);
    const bool colon = operation == ':';
    if (colon) {
      if (rest_.empty()) return NoBrace(name);
      operation = Take();
      if (found.has_value() && found->empty()) found.reset();
    }
    const bool trims = operation == '#' || operation == '%';
    if (!trims &&
        absl::string_view("+-?").find(operation) == absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("${", name, colon ? ":" : "", std::string(1, operation),
                       "…}: what follows the name is one of :- :+ :? - + ? # ##"
                       " % %% / and //"));
    }
    ASSIGN_OR_RETURN(std::string word, TakeWord('}', trims, mode, name));
    return Apply(name, operation, std::move(word), std::move(found), value);
  }

  static absl::Status NoBrace(const std::string& name) {
    return absl::InvalidArgumentError(
        absl::StrCat("${", name, " has no \"}\""));
  }

  absl::StatusOr<std::string> TakeWord(char stop, bool pattern, Mode mode,
                                       const std::string& name) {
    mode.keep_escapes = pattern;
    Output out;
    absl::Status status = Until(stop, mode, &out);
    if (!status.ok() && rest_.empty() && stop == '}') return NoBrace(name);
    if (!status.ok()) return status;
    return out.TakeText();
  }

  absl::Status Apply(const std::string& name, char operation, std::string word,
                     std::optional<std::string> found, std::string* value) {
    switch (operation) {
      case '-':
        *value = found.has_value() ? *std::move(found) : std::move(word);
        return absl::OkStatus();
      case '+':
        *value = found.has_value() ? std::move(word) : "";
        return absl::OkStatus();
      case '?':
        if (!found.has_value()) {
          return absl::InvalidArgumentError(
              absl::StrCat(name, ": ", word.empty() ? "it is not set" : word));
        }
        *value = *std::move(found);
        return absl::OkStatus();
      default:
        break;
    }
    if (!found.has_value()) NoteUnset(name);
    const bool longest = !word.empty() && word[0] == operation;
    if (longest) word.erase(0, 1);
    ASSIGN_OR_RETURN(ShellPattern pattern, ShellPattern::Parse(word));
    const std::string old = std::move(found).value_or("");
    if (operation == '#') {
      ASSIGN_OR_RETURN(*value, pattern.TrimPrefix(old, longest));
    } else {
      ASSIGN_OR_RETURN(*value, pattern.TrimSuffix(old, longest));
    }
    return absl::OkStatus();
  }

  // After "${NAME/".
  absl::Status Replacement(const std::string& name, const Mode& mode,
                           const std::optional<std::string>& found,
                           std::string* value) {
    const bool all = absl::ConsumePrefix(&rest_, "/");
    ASSIGN_OR_RETURN(std::string word, TakeWord('/', true, mode, name));
    ASSIGN_OR_RETURN(std::string other, TakeWord('}', true, mode, name));
    if (!found.has_value()) NoteUnset(name);
    ASSIGN_OR_RETURN(ShellPattern pattern, ShellPattern::Parse(word));
    ASSIGN_OR_RETURN(*value, pattern.Replace(found.value_or(""), other, all));
    return absl::OkStatus();
  }

  absl::string_view rest_;
  const Lookup& lookup_;
  std::set<std::string>* const unset_;
  int nesting_ = 0;
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
    if (quote == 0 && absl::ascii_isspace(c)) {
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
                                   const Lookup& lookup,
                                   std::set<std::string>* unset) {
  Output out;
  RETURN_IF_ERROR(Expander(text, lookup, unset).Run({escape}, &out));
  return out.TakeText();
}

absl::StatusOr<std::vector<std::string>> ExpandWords(
    absl::string_view text, char escape, const Lookup& lookup,
    std::set<std::string>* unset) {
  Output out;
  RETURN_IF_ERROR(Expander(text, lookup, unset).Run({escape}, &out));
  return out.TakeWords();
}

absl::StatusOr<std::string> ExpandHeredoc(absl::string_view text, char escape,
                                          const Lookup& lookup,
                                          std::set<std::string>* unset) {
  Output out(kMaxHeredocBytes);
  RETURN_IF_ERROR(
      Expander(text, lookup, unset).Run({escape, /*quotes=*/false}, &out));
  return out.TakeText();
}

absl::StatusOr<std::string> RemoveQuotes(absl::string_view text, char escape) {
  std::string result;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == escape && quote != '\'' && i + 1 < text.size()) {
      result.push_back(text[++i]);
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else {
      result.push_back(c);
    }
  }
  if (quote == 0) return result;
  return absl::InvalidArgumentError("quotes have no counterpart");
}

}  // namespace bulwark::engine::build
