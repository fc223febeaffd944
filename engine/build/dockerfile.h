// The text of a Dockerfile as a list of instructions. Grammar:
// docs.docker.com/reference/dockerfile; docs/build.md says where we differ.
#ifndef ENGINE_BUILD_DOCKERFILE_H_
#define ENGINE_BUILD_DOCKERFILE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/build/source_text.h"

namespace bulwark::engine::build {

struct Heredoc {
  std::string name;
  std::string text;         // leading tabs are gone if it was <<-
  bool expand = true;       // the name was not quoted
  bool strip_tabs = false;  // <<-
};

struct Instruction {
  int line = 0;         // where it begins, from 1
  int last_line = 0;    // with its heredocs
  std::string keyword;  // upper case
  std::string written;  // the keyword as it was written
  // --name=value, as written but without quotes; "true" or "false" for flags
  // that are switches. Only names that the instruction takes; see
  // instruction_flags.h for what they mean.
  std::vector<std::pair<std::string, std::string>> flags;
  // What follows keyword and flags, lines joined; variables as written.
  std::string rest;
  // The JSON form ["a", "b"]: then `words` has its strings, maybe none.
  bool exec_form = false;
  std::vector<std::string> words;
  std::vector<Heredoc> heredocs;
  bool has_empty_continuation = false;  // an empty line within it

  // "RUN make", for history.
  std::string ToString() const;
  // The same, cut to a line's length, for messages.
  std::string Summary() const;
};

struct Dockerfile : SourceText {
  char escape = '\\';
  std::string syntax;  // of the directive of that name, or empty
  std::string check;   // "skip=all;error=true", or empty
  int check_line = 0;
  std::vector<Instruction> instructions;  // at least one
};

// INVALID_ARGUMENT "<name>:<line>: …" with an excerpt if the text is not a
// Dockerfile; what is nearly an instruction or a flag is suggested.
absl::StatusOr<Dockerfile> ParseDockerfile(absl::string_view text,
                                           absl::string_view name);

// One instruction from ONBUILD or the like, with its heredocs; `line` is for
// messages.
absl::StatusOr<Instruction> ParseInstruction(absl::string_view text, int line,
                                             absl::string_view name,
                                             char escape = '\\');

// INVALID_ARGUMENT with line and excerpt.
absl::Status ErrorIn(const Dockerfile& file, const Instruction& instruction,
                     absl::string_view why, absl::string_view word = "");
// `status` with the place before and the excerpt behind it; OK stays OK.
absl::Status AnnotateIn(const absl::Status& status, const Dockerfile& file,
                        const Instruction& instruction);

// The instructions that there are, upper case.
const std::vector<std::string>& Keywords();

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_DOCKERFILE_H_
