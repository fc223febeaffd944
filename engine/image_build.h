// What Images::Build is asked for, and what long operations on images say.
#ifndef ENGINE_IMAGE_BUILD_H_
#define ENGINE_IMAGE_BUILD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/secret_text.h"

namespace bulwark::engine {

struct RegistryAuth {
  std::string username;
  SecretText password;
};

// What is questionable in a Dockerfile, though it builds.
struct BuildWarning {
  std::string rule;  // "StageNameCasing": the names that BuildKit's checks have
  std::string message;
  int line = 0;  // from 1
  std::string excerpt;
};

// What a long operation says while it runs.
struct Progress {
  std::string id;          // layer digest, or step "3/7"
  std::string status;      // "downloading", "unpacking", "done", "cached"
  int64_t current = 0;     // bytes
  int64_t total = 0;       // bytes; 0: unknown
  std::string output;      // a line that a build step printed, else empty
  bool error = false;      // it was printed to the standard error stream
  std::string stage;       // of a build step
  absl::Duration elapsed;  // of a step or layer that is done; else zero
  std::vector<BuildWarning> warnings;
};
// Called from several threads, one at a time. Returning false cancels the
// operation (CANCELLED).
using ProgressSink = std::function<bool(const Progress&)>;

struct BuildRequest {
  // What becomes of the last stage.
  enum class Output {
    kImage,      // into the store, under `tags`
    kFiles,      // a tar of its file system, to `output_fd`
    kOci,        // an OCI layout, to `output_fd`
    kDocker,     // a docker-archive, to `output_fd`
    kCheckOnly,  // nothing is built: only the warnings are wanted
  };
  std::string context_dir;                // a directory the builder only reads
  std::string dockerfile = "Dockerfile";  // relative to context_dir
  // The file itself, where it is not in the context; empty: it is.
  std::string dockerfile_text;
  std::vector<std::string> tags;
  std::map<std::string, std::string> args;
  std::string target;  // empty: the last stage
  bool no_cache = false;
  std::set<std::string> no_cache_stages;      // those that do without it
  std::map<std::string, std::string> labels;  // over those of the file
  bool pull = false;     // ask registries for images that are here, too
  std::string platform;  // empty: this host's
  std::map<std::string, SecretText> secrets;  // by id
  // Further contexts by name: a directory, which the builder only reads, or
  // "docker-image://REFERENCE", "https://…" of an archive, a git URL.
  std::map<std::string, std::string> contexts;
  // A git URL or "https://…" in place of context_dir; empty: none.
  std::string remote_context;
  std::map<std::string, RegistryAuth> auth;  // by registry
  std::string network;          // of RUN: "default" or empty, "none", "host"
  bool allow_insecure = false;  // RUN --security=insecure
  bool allow_host_network = false;  // `network`, RUN --network=host
  std::map<std::string, std::string> extra_hosts;  // name -> address
  int64_t shm_size_bytes = 0;                      // 0: 64 MiB
  bool zstd = false;  // compress new layers so, not with gzip
  Output output = Output::kImage;
  int output_fd = -1;  // borrowed; may be a pipe
};

}  // namespace bulwark::engine

#endif  // ENGINE_IMAGE_BUILD_H_
