// What is questionable in a Dockerfile, though it builds: the rules and names
// of docs.docker.com/reference/build-checks.
#ifndef ENGINE_BUILD_LINT_H_
#define ENGINE_BUILD_LINT_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/build/dockerfile.h"
#include "engine/build/stage_plan.h"
#include "engine/image_build.h"

namespace bulwark::engine::build {

// Which rules count: "skip=Rule,Rule;error=true", from "# check=" or the
// argument BUILDKIT_DOCKERFILE_CHECK.
struct LintSettings {
  bool skip_all = false;
  std::set<std::string> skip;
  bool error = false;  // warnings make the build fail
  bool experimental_all = false;
  std::set<std::string> experimental;
};

// INVALID_ARGUMENT says what is allowed.
absl::StatusOr<LintSettings> ParseLintSettings(absl::string_view text);

// Those of the file, or of the argument in its place if that is given.
absl::StatusOr<LintSettings> SettingsFor(
    const Dockerfile& file, const std::optional<std::string>& argument);

// Collects warnings that count, with their excerpts. Each is kept once.
class Linter {
 public:
  // Both are borrowed.
  Linter(const Dockerfile* file, const LintSettings* settings)
      : file_(file), settings_(settings) {}

  void Warn(absl::string_view rule, const Instruction& instruction,
            std::string message);
  // There are so many that no more are taken.
  bool full() const;
  // By line.
  std::vector<BuildWarning> Take();

 private:
  bool Counts(const std::string& rule) const;

  const Dockerfile* const file_;
  const LintSettings* const settings_;
  std::set<std::pair<std::string, std::string>> seen_;  // place, message
  std::vector<BuildWarning> warnings_;
};

// The rules that need the text alone, for all stages.
void LintText(const Dockerfile& file, Linter* linter);

// The rules about FROM, for all stages. `defaults` is a scope without what the
// user gave: default values alone should name an image.
void LintFroms(const Dockerfile& file, const GlobalScope& global,
               const GlobalScope& defaults, Linter* linter);

// "ARG" or "ENV" that look as if they held something secret.
bool NamesSecret(absl::string_view name);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_LINT_H_
