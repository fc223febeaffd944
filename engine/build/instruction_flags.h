// The flags of instructions: which there are, and what they mean.
#ifndef ENGINE_BUILD_INSTRUCTION_FLAGS_H_
#define ENGINE_BUILD_INSTRUCTION_FLAGS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/build/dockerfile.h"

namespace bulwark::engine::build {

// Replaces the variables in one value.
using ExpandText =
    std::function<absl::StatusOr<std::string>(absl::string_view text)>;
// Leaves it as it is.
absl::StatusOr<std::string> NoExpansion(absl::string_view text);

// RUN --mount.
struct RunMount {
  enum class Type { kBind, kCache, kTmpfs, kSecret };
  enum class Sharing { kShared, kPrivate, kLocked };

  Type type = Type::kBind;
  // Of a cache (default: the target) or a secret (default: the last part of
  // source or target). Never empty for these.
  std::string id;
  // Where it appears; relative to the working directory if it does not begin
  // with "/". Empty only for a secret that is wanted as a variable alone.
  std::string target;
  std::string source;  // within `from`; empty: all of it
  std::string from;    // stage, image or named context; empty: the context
  std::string env;     // of a secret: the variable that holds it, or empty
  // kBind: false means that what is written is thrown away.
  bool read_only = true;
  bool required = false;  // of a secret
  Sharing sharing = Sharing::kShared;
  std::optional<mode_t> mode;  // default: secret 0400, cache 0755
  std::optional<uid_t> uid;    // default: 0
  std::optional<gid_t> gid;
  int64_t size_bytes = 0;  // of a tmpfs; 0: the engine's default
};

// INVALID_ARGUMENT says which option is wrong and what is allowed.
absl::StatusOr<RunMount> ParseRunMount(absl::string_view value,
                                       const ExpandText& expand);

struct RunFlags {
  enum class Network { kDefault, kNone, kHost };

  std::vector<RunMount> mounts;
  Network network = Network::kDefault;
  bool insecure = false;
};

absl::StatusOr<RunFlags> ReadRunFlags(const Instruction& instruction,
                                      const ExpandText& expand);

// COPY and ADD.
struct CopyFlags {
  std::string from;   // stage, image or named context; never has variables
  std::string chown;  // "user", "user:group"; empty: not given
  std::string chmod;  // octal or symbolic; empty: not given
  bool link = false;
  bool parents = false;
  std::vector<std::string> exclude;  // patterns as in .dockerignore
  bool keep_git_dir = false;         // ADD only, as all that follows
  std::string checksum;              // "sha256:…", or a git commit; or empty
  std::optional<bool> unpack;        // nothing: only local archives
};

absl::StatusOr<CopyFlags> ReadCopyFlags(const Instruction& instruction,
                                        const ExpandText& expand);

struct HealthcheckFlags {
  absl::Duration interval;  // zero: not given
  absl::Duration timeout;
  absl::Duration start_period;
  absl::Duration start_interval;
  int retries = 0;
};

absl::StatusOr<HealthcheckFlags> ReadHealthcheckFlags(
    const Instruction& instruction);

// FROM --platform as written, or empty.
std::string PlatformFlag(const Instruction& from);

// Checks the names of the flags, fills in what a bare "--switch" means, and
// checks the values as far as they hold no variables. `bare` names the flags
// that were written without "=". INVALID_ARGUMENT says what is allowed.
absl::Status CheckFlags(Instruction* instruction,
                        const std::set<std::string>& bare);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_INSTRUCTION_FLAGS_H_
