// What a build takes files from, beside its stages.
#ifndef ENGINE_BUILD_SOURCES_H_
#define ENGINE_BUILD_SOURCES_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/build/build_context.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::build {

// The main context, the named ones, and images. Remote ones are fetched once,
// and removed with this object. Thread-safe but for OpenMain().
class Sources {
 public:
  // `context` is borrowed.
  explicit Sources(BuildContext* context) : context_(context) {}
  Sources(const Sources&) = delete;
  Sources& operator=(const Sources&) = delete;
  ~Sources();

  // Where the main context is; what request.remote_context means is fetched. If
  // that is a Dockerfile and no archive, `*dockerfile` is its text.
  absl::StatusOr<std::string> OpenMain(std::string* dockerfile);

  // The names of request.contexts.
  std::set<std::string> Names() const;

  // Files of a named context.
  absl::StatusOr<SourceFiles> Files(const std::string& name);
  // A named context as the base of a stage: it has to be an image.
  absl::StatusOr<StageImage> Base(const std::string& name,
                                  const std::string& platform);

  // An image of the store or a registry.
  absl::StatusOr<StageImage> ReadImage(const std::string& reference,
                                       const std::string& platform);
  absl::StatusOr<SourceFiles> ImageFiles(const std::string& reference);

 private:
  // The image that a context's value names: "docker-image://REFERENCE", or
  // "oci-layout:" and a directory with an OCI layout, which may have
  // "@sha256:…" or ":TAG" behind it.
  absl::StatusOr<StageImage> ContextImage(const std::string& value,
                                          const std::string& platform);
  absl::StatusOr<StageImage> ReadLayout(absl::string_view place,
                                        const std::string& platform);
  absl::StatusOr<std::string> NewDirectory() ABSL_LOCKS_EXCLUDED(mu_);
  // The directory with what `url` names; `*dockerfile` (may be null) as in
  // OpenMain().
  absl::StatusOr<std::string> Fetch(const std::string& url,
                                    std::string* dockerfile);

  BuildContext* const context_;
  absl::Mutex fetching_;  // one at a time
  std::map<std::string, std::string> fetched_ ABSL_GUARDED_BY(fetching_);
  absl::Mutex mu_;
  std::vector<std::string> temporary_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_SOURCES_H_
