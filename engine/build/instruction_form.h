// The arguments of instructions, taken apart but with variables as written.
#ifndef ENGINE_BUILD_INSTRUCTION_FORM_H_
#define ENGINE_BUILD_INSTRUCTION_FORM_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/build/dockerfile.h"

namespace bulwark::engine::build {

// ENV and LABEL.
struct Pairs {
  std::vector<std::pair<std::string, std::string>> pairs;  // quotes kept
  bool legacy = false;  // "NAME the rest is the value"
};
absl::StatusOr<Pairs> ReadPairs(const Instruction& instruction, char escape);

struct ArgDeclaration {
  std::string name;
  std::optional<std::string> fallback;  // quotes kept
};
absl::StatusOr<std::vector<ArgDeclaration>> ReadArgs(
    const Instruction& instruction, char escape);

struct HealthcheckForm {
  bool none = false;               // HEALTHCHECK NONE
  bool exec_form = false;          // else `command` is the shell's
  std::vector<std::string> words;  // of the exec form
  std::string command;
};
absl::StatusOr<HealthcheckForm> ReadHealthcheck(const Instruction& instruction);

// What ONBUILD holds, and its text as it is kept in images (with heredocs).
std::string TriggerText(const Instruction& onbuild);
absl::StatusOr<Instruction> ReadTrigger(const Instruction& onbuild,
                                        absl::string_view name, char escape);

// INVALID_ARGUMENT if number or form of the arguments are wrong, as far as that
// shows without variables.
absl::Status CheckForm(const Instruction& instruction, absl::string_view name,
                       char escape);

// The command words of RUN, CMD or ENTRYPOINT: the exec form's own, or `shell`
// (empty: /bin/sh -c) and the text.
std::vector<std::string> CommandWords(const Instruction& instruction,
                                      const std::vector<std::string>& shell);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_INSTRUCTION_FORM_H_
