#include "engine/build/dockerfile.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "engine/build/words.h"
#include "engine/image/json.h"

namespace bulwark::engine::build {
namespace {

constexpr size_t kMaxBytes = 4 << 20;
constexpr std::array<absl::string_view, 18> kKeywords = {
    "ADD",    "ARG",  "CMD",    "COPY",       "ENTRYPOINT", "ENV",
    "EXPOSE", "FROM", "LABEL",  "MAINTAINER", "ONBUILD",    "RUN",
    "SHELL",  "USER", "VOLUME", "WORKDIR",    "STOPSIGNAL", "HEALTHCHECK"};

// Edits (insert, delete, change) between two short words.
int Distance(absl::string_view a, absl::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      int change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string Suggestion(absl::string_view keyword) {
  absl::string_view best;
  int least = 3;
  for (absl::string_view known : kKeywords) {
    int distance = Distance(keyword, known);
    if (distance < least) {
      least = distance;
      best = known;
    }
  }
  return best.empty() ? "" : absl::StrCat("; did you mean ", best, "?");
}

bool IsComment(absl::string_view line) {
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "#");
}

// Removes a trailing escape character, with blanks after it. True if there was
// one.
bool TrimContinuation(absl::string_view* line, char escape) {
  absl::string_view trimmed = absl::StripTrailingAsciiWhitespace(*line);
  if (trimmed.empty() || trimmed.back() != escape) return false;
  trimmed.remove_suffix(1);
  *line = trimmed;
  return true;
}

// Takes "--name=value" words off the front.
void TakeFlags(Instruction* instruction) {
  absl::string_view rest = instruction->rest;
  while (absl::StartsWith(rest, "--")) {
    absl::string_view word = rest.substr(0, rest.find_first_of(" \t"));
    rest = absl::StripLeadingAsciiWhitespace(rest.substr(word.size()));
    word.remove_prefix(2);
    if (word.empty()) break;  // "--" ends the flags
    size_t equals = word.find('=');
    instruction->flags.emplace_back(
        word.substr(0, equals),
        equals == absl::string_view::npos ? "" : word.substr(equals + 1));
  }
  instruction->rest = std::string(rest);
}

void TakeExecForm(Instruction* instruction) {
  if (!absl::StartsWith(instruction->rest, "[")) return;
  absl::StatusOr<image::Json> json = image::ParseObject(
      absl::StrCat("{\"words\":", instruction->rest, "}"), "");
  if (!json.ok()) return;  // then it is the shell's
  const image::Json* list = image::Find(*json, "words");
  if (list == nullptr || !list->is_array()) return;
  std::vector<std::string> words = image::StringList(*json, "words");
  if (words.size() != list->size()) return;
  instruction->exec_form = true;
  instruction->words = std::move(words);
}

bool TakesHeredocs(absl::string_view keyword) {
  return keyword == "RUN" || keyword == "COPY" || keyword == "ADD";
}

class Parser {
 public:
  Parser(absl::string_view text, absl::string_view name)
      : lines_(absl::StrSplit(text, '\n')) {
    file_.name = std::string(name);
    for (absl::string_view& line : lines_) absl::ConsumeSuffix(&line, "\r");
    if (!lines_.empty()) absl::ConsumePrefix(&lines_[0], "\xef\xbb\xbf");
  }

  absl::StatusOr<Dockerfile> Run() {
    RETURN_IF_ERROR(ReadDirectives());
    while (next_ < lines_.size()) {
      absl::string_view line = lines_[next_];
      if (IsComment(line) || absl::StripAsciiWhitespace(line).empty()) {
        ++next_;
        continue;
      }
      int first = static_cast<int>(next_) + 1;
      ASSIGN_OR_RETURN(Instruction instruction,
                       ParseInstruction(ReadLogicalLine(), first, file_.name));
      if (TakesHeredocs(instruction.keyword) && !instruction.exec_form) {
        RETURN_IF_ERROR(ReadHeredocs(&instruction));
      }
      file_.instructions.push_back(std::move(instruction));
    }
    if (file_.instructions.empty()) {
      return ErrorAt(file_.name, 1, "it holds no instructions");
    }
    return std::move(file_);
  }

 private:
  // "# escape=`" and the like, before anything else.
  absl::Status ReadDirectives() {
    for (; next_ < lines_.size(); ++next_) {
      absl::string_view line = absl::StripAsciiWhitespace(lines_[next_]);
      if (!absl::ConsumePrefix(&line, "#")) return absl::OkStatus();
      std::vector<absl::string_view> parts =
          absl::StrSplit(line, absl::MaxSplits('=', 1));
      if (parts.size() != 2) return absl::OkStatus();
      std::string key =
          absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts[0]));
      absl::string_view value = absl::StripAsciiWhitespace(parts[1]);
      if (key == "syntax" || key == "check") continue;
      if (key != "escape") return absl::OkStatus();
      if (value != "\\" && value != "`") {
        return ErrorAt(file_.name, static_cast<int>(next_) + 1,
                       "the escape character is \\ or `");
      }
      file_.escape = value[0];
    }
    return absl::OkStatus();
  }

  std::string ReadLogicalLine() {
    std::string result;
    while (next_ < lines_.size()) {
      absl::string_view line = lines_[next_++];
      bool inside = !result.empty();
      if (inside &&
          (IsComment(line) || absl::StripAsciiWhitespace(line).empty())) {
        continue;
      }
      bool more = TrimContinuation(&line, file_.escape);
      absl::StrAppend(&result, line);
      if (!more) break;
      if (result.empty()) result.push_back(' ');
    }
    return std::string(absl::StripAsciiWhitespace(result));
  }

  absl::Status ReadHeredocs(Instruction* instruction) {
    for (absl::string_view word : absl::StrSplit(
             instruction->rest, absl::ByAnyChar(" \t"), absl::SkipEmpty())) {
      if (!absl::ConsumePrefix(&word, "<<")) continue;
      bool strip_tabs = absl::ConsumePrefix(&word, "-");
      Heredoc heredoc;
      if (word.size() > 2 && (word[0] == '"' || word[0] == '\'') &&
          word.back() == word[0]) {
        heredoc.expand = false;
        word = word.substr(1, word.size() - 2);
      }
      if (!IsVariableName(word)) continue;
      heredoc.name = std::string(word);
      RETURN_IF_ERROR(ReadHeredoc(*instruction, strip_tabs, &heredoc));
      instruction->heredocs.push_back(std::move(heredoc));
    }
    return absl::OkStatus();
  }

  absl::Status ReadHeredoc(const Instruction& instruction, bool strip_tabs,
                           Heredoc* heredoc) {
    while (next_ < lines_.size()) {
      absl::string_view line = lines_[next_++];
      if (strip_tabs) {
        line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      }
      if (line == heredoc->name) return absl::OkStatus();
      absl::StrAppend(&heredoc->text, line, "\n");
    }
    return ErrorAt(file_.name, instruction.line,
                   absl::StrCat("the text that <<", heredoc->name,
                                " begins has no end; a line with only ",
                                heredoc->name, " ends it"));
  }

  std::vector<absl::string_view> lines_;
  size_t next_ = 0;
  Dockerfile file_;
};

}  // namespace

std::string Instruction::ToString() const {
  std::string result = keyword;
  for (const auto& [name, value] : flags) {
    absl::StrAppend(&result, " --", name, value.empty() ? "" : "=", value);
  }
  absl::StrAppend(&result, rest.empty() ? "" : " ", rest);
  return result;
}

absl::Status ErrorAt(absl::string_view name, int line, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", why));
}

absl::StatusOr<Instruction> ParseInstruction(absl::string_view text, int line,
                                             absl::string_view name) {
  Instruction result;
  result.line = line;
  size_t end = text.find_first_of(" \t");
  result.keyword = absl::AsciiStrToUpper(text.substr(0, end));
  if (end != absl::string_view::npos) {
    result.rest = std::string(absl::StripAsciiWhitespace(text.substr(end)));
  }
  if (std::find(kKeywords.begin(), kKeywords.end(), result.keyword) ==
      kKeywords.end()) {
    return ErrorAt(name, line,
                   absl::StrCat("unknown instruction \"", text.substr(0, end),
                                "\"", Suggestion(result.keyword)));
  }
  if (result.rest.empty()) {
    return ErrorAt(name, line,
                   absl::StrCat(result.keyword, " needs an argument"));
  }
  TakeFlags(&result);
  TakeExecForm(&result);
  return result;
}

absl::StatusOr<Dockerfile> ParseDockerfile(absl::string_view text,
                                           absl::string_view name) {
  if (text.size() > kMaxBytes || text.find('\0') != absl::string_view::npos) {
    return ErrorAt(name, 1, "it is not a text file of at most 4 MiB");
  }
  return Parser(text, name).Run();
}

}  // namespace bulwark::engine::build
