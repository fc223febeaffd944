// File name patterns of COPY and .dockerignore.
#ifndef ENGINE_BUILD_GLOB_H_
#define ENGINE_BUILD_GLOB_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bulwark::engine::build {

// "*", "?", "[a-z]", "[^a-z]" and "\x" within a path component, "**" for any
// number of components. The whole path must match. Time is bounded by the
// product of the lengths.
bool GlobMatch(absl::string_view pattern, absl::string_view path);

// True if `text` has a character that is special to GlobMatch.
bool IsGlob(absl::string_view text);

// Makes a path without ".", ".." (which stops at the top), empty components
// and leading slashes.
std::string CleanRelative(absl::string_view path);

// Which files of a build context do not belong to it: patterns, one a line; the
// last one that matches a path or a directory above it decides; "!" takes back.
class IgnoreList {
 public:
  IgnoreList() = default;
  explicit IgnoreList(absl::string_view text);

  // `path` is clean and relative.
  bool Ignores(absl::string_view path) const;
  // Whether something below an ignored directory may be taken back, so that it
  // must be looked into.
  bool HasExceptions() const { return has_exceptions_; }

 private:
  struct Pattern {
    std::string glob;
    bool exception = false;
  };
  std::vector<Pattern> patterns_;
  bool has_exceptions_ = false;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_GLOB_H_
