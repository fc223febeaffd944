// The verbs' command lines.
#ifndef ENGINE_OCI_COMMANDS_H_
#define ENGINE_OCI_COMMANDS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "engine/oci/args.h"
#include "engine/oci/container.h"

namespace bulwark::engine::oci {

inline constexpr char kSpecVersion[] = "1.2.0";
inline constexpr char kVersion[] = "0.1.0";

// What was found out about the call, for the report of its failure.
struct Invocation {
  std::string verb;
  std::string log;
  bool json_log = false;
};

// Runs a whole command line. Returns the exit status.
absl::StatusOr<int> Execute(const std::vector<std::string>& words, Clock& clock,
                            Invocation& invocation);

// Parts, by file.

// `update`'s flags and --resources as the change that they ask for.
absl::StatusOr<Resources> ReadUpdate(const Args& args);
extern const std::vector<Flag>* const kUpdateFlags;
// The answer of `features` (features.md of the specification).
std::string FeaturesJson();
// A config.json to begin with.
std::string DefaultConfig(bool rootless);
std::string UsageText();

}  // namespace bulwark::engine::oci

#endif  // ENGINE_OCI_COMMANDS_H_
