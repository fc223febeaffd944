// The variables that a stage of a Dockerfile sees.
#ifndef ENGINE_BUILD_SCOPE_H_
#define ENGINE_BUILD_SCOPE_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/build/words.h"
#include "engine/image/manifest.h"

namespace bulwark::engine::build {

// Arguments of the whole file: those that the user gave, the platform's
// (TARGETARCH and so on), and those that ARG declares before the first FROM.
class GlobalScope {
 public:
  GlobalScope(const std::map<std::string, std::string>& given,
              const image::Platform& platform);

  // ARG before the first FROM.
  void Declare(const std::string& name,
               const std::optional<std::string>& fallback);
  // For FROM lines.
  std::optional<std::string> Get(absl::string_view name) const;

  // What the user gave for `name`.
  std::optional<std::string> Given(const std::string& name);
  std::optional<std::string> Automatic(const std::string& name) const;
  // Given arguments that no ARG asked for: most likely misspelt.
  std::vector<std::string> Unused() const;
  // HTTP_PROXY and the like, which need no ARG and do not count for the cache.
  std::map<std::string, std::string> Proxies() const;

 private:
  std::map<std::string, std::string> given_;
  std::map<std::string, std::string> automatic_;
  std::map<std::string, std::string> declared_;
  std::set<std::string> used_;
};

// Arguments of one stage; the image's ENV, which wins, is kept elsewhere.
class StageScope {
 public:
  explicit StageScope(GlobalScope* global) : global_(global) {}

  // ARG in a stage: the user's value, else the fallback, else the one from
  // before the first FROM.
  void Declare(const std::string& name,
               const std::optional<std::string>& fallback);
  std::optional<std::string> Get(absl::string_view name) const;
  const std::map<std::string, std::string>& values() const { return values_; }

 private:
  GlobalScope* global_;
  std::map<std::string, std::string> values_;
};

// The value of `name` in KEY=VALUE entries.
std::optional<std::string> FindEnv(const std::vector<std::string>& env,
                                   absl::string_view name);
// Sets or replaces it.
void SetEnv(std::vector<std::string>* env, const std::string& name,
            const std::string& value);

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_SCOPE_H_
