// The flags of ctl build, and what they mean.
#ifndef CTL_BUILD_OPTIONS_H_
#define CTL_BUILD_OPTIONS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/context.h"

namespace bulwark::ctl {

struct BuildFlags {
  std::string context;
  std::vector<std::string> tags;
  std::vector<std::string> args;
  std::vector<std::string> labels;
  std::vector<std::string> secrets;
  std::vector<std::string> contexts;
  std::vector<std::string> hosts;
  std::vector<std::string> allow;
  std::vector<std::string> outputs;
  std::vector<std::string> no_cache_filter;
  std::string dockerfile;
  std::string target;
  std::string platform;
  std::string network;
  std::string shm_size;
  std::string compression;
  std::string progress;
  std::string iid_file;
  std::string metadata_file;
  bool no_cache = false;
  bool pull = false;
  bool push = false;
  bool check = false;
  bool quiet = false;
};

// Where what is built goes, beside the store.
struct BuildOutput {
  enum class Kind {
    kNone,    // nowhere
    kFolder,  // FILES, unpacked into `path`
    kFile,    // an archive, to `path`
    kStdout,  // an archive
  };
  Kind kind = Kind::kNone;
  std::string path;
};

// All but the contexts and the Dockerfile. A usage error says what is allowed.
// Secrets are read, and sealed to the daemon's key.
absl::Status ReadBuildFlags(Context& context, const BuildFlags& flags,
                            v1::BuildOptions& options, BuildOutput& output);

// "id=x,src=file" as its parts; an item without "=" has no value.
std::map<std::string, std::string> ReadParts(const std::string& text);

}  // namespace bulwark::ctl

#endif  // CTL_BUILD_OPTIONS_H_
