// The variables that a stage of a Dockerfile sees.
#ifndef ENGINE_BUILD_SCOPE_H_
#define ENGINE_BUILD_SCOPE_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/build/words.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::build {

// Arguments of the whole file: those that the user gave, the platform's
// (TARGETARCH and so on), and those that ARG declares before the first FROM.
class GlobalScope {
 public:
  // `target` is the platform of the image, `build` this host's; `stage` is the
  // stage that was asked for by name, or empty.
  GlobalScope(const std::map<std::string, std::string>& given,
              const image::Platform& target, const image::Platform& build,
              const std::string& stage = "");
  GlobalScope(const std::map<std::string, std::string>& given,
              const image::Platform& platform)
      : GlobalScope(given, platform, platform) {}

  // ARG before the first FROM.
  void Declare(const std::string& name,
               const std::optional<std::string>& fallback);
  // For FROM lines.
  std::optional<std::string> Get(absl::string_view name) const;
  // Whether an ARG before the first FROM names it, with a value or without.
  bool Declares(absl::string_view name) const;
  // All that FROM lines may name.
  std::vector<std::string> Names() const;

  // What the user gave for `name`.
  std::optional<std::string> Given(const std::string& name);
  std::optional<std::string> Automatic(const std::string& name) const;
  // Given arguments that no ARG asked for: most likely misspelt.
  std::vector<std::string> Unused() const;
  // HTTP_PROXY and the like, which need no ARG and do not count for the cache.
  std::map<std::string, std::string> Proxies() const;
  // What SOURCE_DATE_EPOCH, given or declared, says; nothing without it.
  // INVALID_ARGUMENT if it is no number of seconds.
  absl::StatusOr<std::optional<absl::Time>> SourceDateEpoch() const;

  // The arguments that are set without an ARG before the first FROM.
  const std::map<std::string, std::string>& automatic() const {
    return automatic_;
  }

 private:
  std::map<std::string, std::string> given_;
  std::map<std::string, std::string> automatic_;
  std::map<std::string, std::string> declared_;
  std::set<std::string> names_;  // of ARG, also without a value
  std::set<std::string> used_;
};

// Arguments of one stage; the image's ENV, which wins, is kept elsewhere.
class StageScope {
 public:
  // `inherited`: those of the stage that this one is built on.
  explicit StageScope(GlobalScope* global,
                      std::map<std::string, std::string> inherited = {})
      : global_(global), values_(std::move(inherited)) {}

  // ARG in a stage: the user's value, else the fallback, else the one from
  // before the first FROM.
  void Declare(const std::string& name,
               const std::optional<std::string>& fallback);
  std::optional<std::string> Get(absl::string_view name) const;
  // Whether an ARG of this stage names it, with a value or without.
  bool Declares(const std::string& name) const {
    return names_.count(name) > 0;
  }
  const std::map<std::string, std::string>& values() const { return values_; }

 private:
  GlobalScope* global_;
  std::map<std::string, std::string> values_;
  std::set<std::string> names_;
};

// The value of `name` in KEY=VALUE entries.
std::optional<std::string> FindEnv(const std::vector<std::string>& env,
                                   absl::string_view name);
// Sets or replaces it.
void SetEnv(std::vector<std::string>* env, const std::string& name,
            const std::string& value);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_SCOPE_H_
