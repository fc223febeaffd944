#include "engine/build/dockerfile.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "engine/build/instruction_flags.h"
#include "engine/build/instruction_form.h"
#include "engine/build/words.h"
#include "engine/image/json.h"

namespace bulwark::engine::build {
namespace {

constexpr size_t kMaxBytes = 4 << 20;
constexpr size_t kMaxSummary = 100;
constexpr char kBlanks[] = " \t\v\f\r";

bool IsBlank(char c) {
  return absl::string_view(kBlanks).find(c) != absl::string_view::npos;
}

bool IsComment(absl::string_view line) {
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "#");
}

// Removes a trailing escape character, with blanks after it. True if there was
// one. Two of them are an ordinary character.
bool TrimContinuation(absl::string_view* line, char escape) {
  absl::string_view trimmed = *line;
  while (!trimmed.empty() &&
         (trimmed.back() == ' ' || trimmed.back() == '\t')) {
    trimmed.remove_suffix(1);
  }
  if (trimmed.empty() || trimmed.back() != escape) return false;
  trimmed.remove_suffix(1);
  if (!trimmed.empty() && trimmed.back() == escape) return false;
  *line = trimmed;
  return true;
}

// Takes one word off the front, without its quotes.
std::string TakeFlagWord(absl::string_view* rest) {
  std::string word;
  char quote = 0;
  size_t i = 0;
  for (; i < rest->size(); ++i) {
    const char c = (*rest)[i];
    if (quote == 0 && IsBlank(c)) break;
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == '\\') {
      if (i + 1 < rest->size()) word.push_back((*rest)[++i]);
    } else {
      word.push_back(c);
    }
  }
  rest->remove_prefix(i);
  return word;
}

// Takes "--name=value" words off the front.
absl::Status TakeFlags(Instruction* instruction) {
  absl::string_view rest = instruction->rest;
  std::set<std::string> bare;
  while (absl::StartsWith(rest, "--")) {
    const std::string word = TakeFlagWord(&rest);
    rest = absl::StripLeadingAsciiWhitespace(rest);
    if (word == "--") break;  // ends the flags
    const size_t equals = word.find('=');
    std::string name = word.substr(2, equals - 2);
    if (equals == std::string::npos) {
      name = word.substr(2);
      bare.insert(name);
    }
    instruction->flags.emplace_back(
        std::move(name),
        equals == std::string::npos ? "" : word.substr(equals + 1));
  }
  instruction->rest = std::string(rest);
  return CheckFlags(instruction, bare);
}

bool TakesExecForm(const std::string& keyword) {
  static const auto* const keywords = new std::set<std::string>{
      "ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"};
  return keywords->count(keyword) > 0;
}

// JSON that is broken means the shell form; a list of other things than strings
// is a mistake.
absl::Status TakeExecForm(Instruction* instruction) {
  absl::string_view text = instruction->rest;
  if (!TakesExecForm(instruction->keyword) || !absl::StartsWith(text, "[")) {
    return absl::OkStatus();
  }
  absl::StatusOr<image::Json> json =
      image::ParseObject(absl::StrCat("{\"words\":", text, "}"), "");
  if (!json.ok() || json->size() != 1) return absl::OkStatus();
  const image::Json* list = image::Find(*json, "words");
  if (list == nullptr || !list->is_array()) return absl::OkStatus();
  std::vector<std::string> words = image::StringList(*json, "words");
  if (words.size() != list->size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(instruction->keyword,
                     ": the JSON form holds strings only: [\"program\","
                     " \"argument\"]"));
  }
  instruction->exec_form = true;
  instruction->words = std::move(words);
  return absl::OkStatus();
}

bool TakesHeredocs(const Instruction& instruction) {
  std::string keyword = instruction.keyword;
  absl::string_view rest = instruction.rest;
  if (keyword == "ONBUILD") {
    keyword =
        absl::AsciiStrToUpper(rest.substr(0, rest.find_first_of(kBlanks)));
  }
  return !instruction.exec_form &&
         (keyword == "RUN" || keyword == "COPY" || keyword == "ADD");
}

// "<<EOF", "<<-EOF", "3<<'EOF'"; false if the word is none.
bool ReadHeredocWord(absl::string_view word, char escape, Heredoc* heredoc) {
  while (!word.empty() && absl::ascii_isdigit(word[0])) word.remove_prefix(1);
  if (!absl::ConsumePrefix(&word, "<<")) return false;
  heredoc->strip_tabs = absl::ConsumePrefix(&word, "-");
  if (word.empty() || absl::StrContains(word, "<")) return false;
  absl::StatusOr<std::string> name = RemoveQuotes(word, escape);
  if (!name.ok() || name->empty() || name->find('\n') != std::string::npos) {
    return false;
  }
  heredoc->expand = *name == word;
  heredoc->name = *std::move(name);
  return true;
}

class Parser {
 public:
  // `fixed_line`: of an instruction that is not in a file; 0: it is in one.
  Parser(absl::string_view text, absl::string_view name, char escape,
         int fixed_line)
      : fixed_line_(fixed_line) {
    file_.name = std::string(name);
    file_.escape = escape;
    absl::ConsumePrefix(&text, "\xef\xbb\xbf");
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      absl::ConsumeSuffix(&line, "\r");
      file_.lines.emplace_back(line);
    }
    if (file_.lines.size() > 1 && file_.lines.back().empty()) {
      file_.lines.pop_back();
    }
  }

  absl::StatusOr<Dockerfile> Run() {
    if (fixed_line_ == 0) RETURN_IF_ERROR(ReadDirectives());
    while (next_ < file_.lines.size()) {
      absl::string_view line = file_.lines[next_];
      if (IsComment(line) || absl::StripAsciiWhitespace(line).empty()) {
        ++next_;
        continue;
      }
      RETURN_IF_ERROR(ReadInstruction());
    }
    if (file_.instructions.empty()) {
      return ErrorAt(file_.name, fixed_line_ == 0 ? 1 : fixed_line_,
                     "it holds no instructions");
    }
    return std::move(file_);
  }

 private:
  absl::Status Error(const Instruction& instruction, absl::string_view why,
                     absl::string_view word = "") const {
    if (fixed_line_ != 0) return ErrorAt(file_.name, fixed_line_, why);
    return build::ErrorIn(static_cast<const SourceText&>(file_),
                          instruction.line, instruction.last_line, why, word);
  }

  // "# escape=`" and the like, before anything else.
  absl::Status ReadDirectives() {
    std::set<std::string> seen;
    for (; next_ < file_.lines.size(); ++next_) {
      absl::string_view line = absl::StripAsciiWhitespace(file_.lines[next_]);
      if (!absl::ConsumePrefix(&line, "#")) return absl::OkStatus();
      const size_t equals = line.find('=');
      if (equals == absl::string_view::npos) return absl::OkStatus();
      const std::string key = absl::AsciiStrToLower(
          absl::StripAsciiWhitespace(line.substr(0, equals)));
      const absl::string_view value =
          absl::StripAsciiWhitespace(line.substr(equals + 1));
      if (key != "syntax" && key != "check" && key != "escape") {
        return absl::OkStatus();
      }
      const int number = static_cast<int>(next_) + 1;
      if (!seen.insert(key).second) {
        return ErrorAt(file_.name, number,
                       absl::StrCat("the directive \"", key,
                                    "\" is given twice", At(number)));
      }
      if (key == "syntax") file_.syntax = std::string(value);
      if (key == "check") {
        file_.check = std::string(value);
        file_.check_line = number;
      }
      if (key != "escape") continue;
      if (value != "\\" && value != "`") {
        return ErrorAt(
            file_.name, number,
            absl::StrCat("the escape character is \\ or `", At(number)));
      }
      file_.escape = value[0];
    }
    return absl::OkStatus();
  }

  std::string At(int line) const { return Excerpt(file_, line, line); }

  absl::Status ReadInstruction() {
    Instruction instruction;
    instruction.line = static_cast<int>(next_) + 1;
    const std::string text = ReadLogicalLine(&instruction);
    instruction.last_line = static_cast<int>(next_);
    const size_t end = text.find_first_of(kBlanks);
    instruction.written = text.substr(0, end);
    instruction.keyword = absl::AsciiStrToUpper(instruction.written);
    if (end != std::string::npos) {
      instruction.rest = std::string(
          absl::StripAsciiWhitespace(absl::string_view(text).substr(end)));
    }
    RETURN_IF_ERROR(Check(&instruction));
    if (fixed_line_ != 0) {
      instruction.line = instruction.last_line = fixed_line_;
    }
    file_.instructions.push_back(std::move(instruction));
    return absl::OkStatus();
  }

  absl::Status Check(Instruction* instruction) {
    const std::vector<std::string>& known = Keywords();
    if (std::find(known.begin(), known.end(), instruction->keyword) ==
        known.end()) {
      return Error(*instruction,
                   absl::StrCat("unknown instruction \"", instruction->written,
                                "\"", Suggestion(instruction->written, known)),
                   instruction->written);
    }
    if (instruction->rest.empty()) {
      return Error(*instruction,
                   absl::StrCat(instruction->keyword, " needs an argument"));
    }
    absl::Status status = TakeFlags(instruction);
    if (status.ok() && instruction->rest.empty()) {
      status = absl::InvalidArgumentError(absl::StrCat(
          instruction->keyword, " needs an argument after its flags"));
    }
    if (status.ok()) status = TakeExecForm(instruction);
    if (!status.ok()) return Error(*instruction, status.message());
    if (TakesHeredocs(*instruction)) RETURN_IF_ERROR(ReadHeredocs(instruction));
    status = CheckForm(*instruction, "", file_.escape);
    if (status.ok()) return status;
    // A trigger's error names a place of its own.
    absl::string_view why = status.message();
    absl::ConsumePrefix(&why, absl::StrCat(":", instruction->line, ": "));
    return Error(*instruction, why);
  }

  std::string ReadLogicalLine(Instruction* instruction) {
    std::string result;
    bool inside = false;
    bool empty = false;
    for (; next_ < file_.lines.size(); inside = true) {
      absl::string_view line = file_.lines[next_++];
      if (!inside) line = absl::StripLeadingAsciiWhitespace(line);
      if (inside && IsComment(line)) continue;
      if (inside && absl::StripAsciiWhitespace(line).empty()) {
        empty = true;
        continue;
      }
      const bool more = TrimContinuation(&line, file_.escape);
      absl::StrAppend(&result, line);
      if (!more) break;
    }
    instruction->has_empty_continuation = empty;
    return std::string(absl::StripAsciiWhitespace(result));
  }

  absl::Status ReadHeredocs(Instruction* instruction) {
    if (!absl::StrContains(instruction->rest, "<<")) return absl::OkStatus();
    for (const std::string& word :
         SplitWords(instruction->rest, file_.escape)) {
      Heredoc heredoc;
      if (!ReadHeredocWord(word, file_.escape, &heredoc)) continue;
      RETURN_IF_ERROR(ReadHeredoc(instruction, &heredoc));
      instruction->heredocs.push_back(std::move(heredoc));
    }
    return absl::OkStatus();
  }

  absl::Status ReadHeredoc(Instruction* instruction, Heredoc* heredoc) {
    while (next_ < file_.lines.size()) {
      absl::string_view line = file_.lines[next_++];
      if (heredoc->strip_tabs) {
        line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      }
      instruction->last_line = static_cast<int>(next_);
      if (line == heredoc->name) return absl::OkStatus();
      absl::StrAppend(&heredoc->text, line, "\n");
    }
    instruction->last_line = instruction->line;
    return Error(*instruction,
                 absl::StrCat("the text that <<", heredoc->name,
                              " begins has no end; a line with only ",
                              heredoc->name, " ends it"));
  }

  const int fixed_line_;
  size_t next_ = 0;
  Dockerfile file_;
};

absl::Status CheckText(absl::string_view text, absl::string_view name,
                       int line) {
  if (text.size() > kMaxBytes || text.find('\0') != absl::string_view::npos) {
    return ErrorAt(name, line, "it is not a text file of at most 4 MiB");
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<std::string>& Keywords() {
  static const auto* const keywords = new std::vector<std::string>{
      "ADD",    "ARG",  "CMD",    "COPY",       "ENTRYPOINT", "ENV",
      "EXPOSE", "FROM", "LABEL",  "MAINTAINER", "ONBUILD",    "RUN",
      "SHELL",  "USER", "VOLUME", "WORKDIR",    "STOPSIGNAL", "HEALTHCHECK"};
  return *keywords;
}

std::string Instruction::ToString() const {
  std::string result = keyword;
  for (const auto& [name, value] : flags) {
    absl::StrAppend(&result, " --", name, value.empty() ? "" : "=", value);
  }
  absl::StrAppend(&result, rest.empty() ? "" : " ", rest);
  return result;
}

std::string Instruction::Summary() const {
  std::string result = ToString();
  if (result.size() <= kMaxSummary) return result;
  size_t end = kMaxSummary;
  while (end > 0 && (result[end] & 0xc0) == 0x80) --end;
  return absl::StrCat(result.substr(0, end), "…");
}

absl::Status ErrorIn(const Dockerfile& file, const Instruction& instruction,
                     absl::string_view why, absl::string_view word) {
  return ErrorIn(file, instruction.line, instruction.last_line, why, word);
}

absl::Status AnnotateIn(const absl::Status& status, const Dockerfile& file,
                        const Instruction& instruction) {
  return AnnotateIn(status, file, instruction.line, instruction.last_line,
                    instruction.Summary());
}

absl::StatusOr<Instruction> ParseInstruction(absl::string_view text, int line,
                                             absl::string_view name,
                                             char escape) {
  line = std::max(line, 1);
  RETURN_IF_ERROR(CheckText(text, name, line));
  ASSIGN_OR_RETURN(Dockerfile file, Parser(text, name, escape, line).Run());
  if (file.instructions.size() != 1) {
    return ErrorAt(name, line, "it holds more than one instruction");
  }
  return std::move(file.instructions[0]);
}

absl::StatusOr<Dockerfile> ParseDockerfile(absl::string_view text,
                                           absl::string_view name) {
  RETURN_IF_ERROR(CheckText(text, name, 1));
  return Parser(text, name, '\\', 0).Run();
}

}  // namespace bulwark::engine::build
