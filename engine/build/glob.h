// File name patterns of COPY. Those of .dockerignore: base/ignore_list.h.
#ifndef ENGINE_BUILD_GLOB_H_
#define ENGINE_BUILD_GLOB_H_

#include <string>

#include "absl/strings/string_view.h"
#include "base/ignore_list.h"

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

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_GLOB_H_
