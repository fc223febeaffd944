// "Did you mean …?"
#ifndef MANIFEST_SUGGEST_H_
#define MANIFEST_SUGGEST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace bulwark::manifest {

// Insertions, deletions, substitutions and swaps of neighbours that turn `a`
// into `b` (optimal string alignment).
int EditDistance(absl::string_view a, absl::string_view b);

// The candidate nearest to `word`, ignoring case, dashes and underscores; empty
// if none is near enough to be a slip of the fingers.
std::string Nearest(absl::string_view word,
                    const std::vector<std::string>& candidates);

}  // namespace bulwark::manifest

#endif  // MANIFEST_SUGGEST_H_
