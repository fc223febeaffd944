// The text of a Dockerfile as a list of instructions. Grammar:
// docs.docker.com/reference/dockerfile.
#ifndef ENGINE_BUILD_DOCKERFILE_H_
#define ENGINE_BUILD_DOCKERFILE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace bulwark::engine::build {

struct Heredoc {
  std::string name;
  std::string text;
  bool expand = true;  // the name was not quoted
};

struct Instruction {
  int line = 0;         // where it begins, from 1
  std::string keyword;  // upper case
  std::vector<std::pair<std::string, std::string>> flags;  // --name=value
  // What follows keyword and flags, lines joined; variables as written.
  std::string rest;
  // The JSON form ["a", "b"]: then `words` has its strings.
  bool exec_form = false;
  std::vector<std::string> words;
  std::vector<Heredoc> heredocs;

  // "RUN make", for messages and history.
  std::string ToString() const;
};

struct Dockerfile {
  std::string name;  // for messages
  char escape = '\\';
  std::vector<Instruction> instructions;  // at least one
};

// INVALID_ARGUMENT "<name>:<line>: …" if the text is not a Dockerfile; a word
// that is nearly an instruction is suggested.
absl::StatusOr<Dockerfile> ParseDockerfile(absl::string_view text,
                                           absl::string_view name);

// One instruction from ONBUILD or the like; `line` is for messages.
absl::StatusOr<Instruction> ParseInstruction(absl::string_view text, int line,
                                             absl::string_view name);

// INVALID_ARGUMENT "<name>:<line>: <why>".
absl::Status ErrorAt(absl::string_view name, int line, absl::string_view why);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_DOCKERFILE_H_
