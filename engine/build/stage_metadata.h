// The instructions that change no file: what they make of an image's
// configuration.
#ifndef ENGINE_BUILD_STAGE_METADATA_H_
#define ENGINE_BUILD_STAGE_METADATA_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/build/dockerfile.h"
#include "engine/build/scope.h"
#include "engine/build/words.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::build {

// One stage's. Thread-compatible.
class StageMetadata {
 public:
  // `global` and `config` are borrowed; `config` is the base's to begin with,
  // and changes. `inherited` are the arguments of the stage that is the base.
  StageMetadata(char escape, GlobalScope* global, image::ConfigFile* config,
                std::map<std::string, std::string> inherited = {})
      : escape_(escape),
        config_(config),
        scope_(global, std::move(inherited)) {}

  // Everything but FROM, RUN, COPY and ADD; of WORKDIR all but making the
  // directory. INVALID_ARGUMENT says why; an instruction that is not for here
  // is refused, too.
  absl::Status Apply(const Instruction& instruction);

  // ENV before ARG. PATH is always set, to what a container without one gets:
  // ENV PATH=$PATH:/more is usual also where the base has none.
  Lookup Variables() const;
  const StageScope& scope() const { return scope_; }

  // With variables replaced and quotes removed. INVALID_ARGUMENT, too, if all
  // of the stage becomes more than 16 MiB so.
  absl::StatusOr<std::string> ExpandText(absl::string_view text) const;
  // Each word of the instruction, or of its JSON form.
  absl::StatusOr<std::vector<std::string>> ExpandWordsOf(
      const Instruction& instruction) const;

  // "/a/b" for "b" in the working directory "/a"; "/" at the end is kept.
  std::string AbsolutePath(const std::string& path) const;

  // The variables that the last Apply or Expand… wanted and that are not set.
  const std::set<std::string>& unset() const { return unset_; }
  void ForgetUnset() { unset_.clear(); }

  // Bytes that variables and words have become in this stage: no less than what
  // its configuration and arguments grew by. Bounded.
  size_t expanded_bytes() const { return expanded_bytes_; }

 private:
  absl::Status ApplyArg(const Instruction& instruction);
  absl::Status ApplyEnv(const Instruction& instruction);
  absl::Status ApplyLabel(const Instruction& instruction);
  absl::Status ApplyExpose(const Instruction& instruction);
  absl::Status ApplyHealthcheck(const Instruction& instruction);
  absl::Status ApplyStopSignal(const Instruction& instruction);
  absl::Status ApplyVolume(const Instruction& instruction);
  absl::Status ApplyWorkdir(const Instruction& instruction);
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ExpandPairs(
      const Instruction& instruction) const;

  const char escape_;
  image::ConfigFile* const config_;
  StageScope scope_;
  bool command_set_ = false;  // by CMD in this stage
  mutable std::set<std::string> unset_;
  mutable size_t expanded_bytes_ = 0;
};

// The ports that one word of EXPOSE means, "80/tcp"; ranges are written out, a
// host's address and port are dropped. INVALID_ARGUMENT if it is none.
absl::StatusOr<std::vector<std::string>> ParsePorts(const std::string& text);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_STAGE_METADATA_H_
