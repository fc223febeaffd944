// Reads the text of a manifest, YAML or JSON, into trees.
#ifndef MANIFEST_YAML_H_
#define MANIFEST_YAML_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "manifest/node.h"
#include "manifest/substitute.h"

namespace bulwark::manifest {

// Bounds on what one file may hold.
constexpr size_t kMaxFileBytes = size_t{4} << 20;
constexpr size_t kMaxDocuments = 1000;
constexpr size_t kMaxNodes = 200000;
constexpr int kMaxDepth = 64;

struct YamlDocuments {
  // Roots that are not empty; a list at the root counts as its items.
  std::vector<Node::Ptr> roots;
  std::vector<Problem> problems;
};

// Aliases share nodes; "<<" is left to the reader. A syntax error ends the
// reading: what came before it is returned. `substitution` is applied to
// every scalar. Never throws, whatever the text.
YamlDocuments ReadYaml(absl::string_view file, absl::string_view text,
                       Substitution& substitution);

}  // namespace bulwark::manifest

#endif  // MANIFEST_YAML_H_
