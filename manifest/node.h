// The tree between a manifest's text and the messages: what was written, where.
#ifndef MANIFEST_NODE_H_
#define MANIFEST_NODE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "manifest/problem.h"

namespace bulwark::manifest {

// Immutable once it is built: aliases share nodes, and the tree has no cycle.
struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  using Ptr = std::shared_ptr<Node>;

  Kind kind = Kind::kNull;
  Mark mark;
  // Of a scalar.
  std::string text;
  // The scalar is a string whatever it looks like ("8080" in quotes).
  bool quoted = false;
  // Of a list.
  std::vector<Ptr> items;
  // Of a map, in the order written; keys may repeat and may be any node.
  std::vector<std::pair<Ptr, Ptr>> entries;

  bool IsScalar() const { return kind == Kind::kScalar; }
  bool IsList() const { return kind == Kind::kList; }
  bool IsMap() const { return kind == Kind::kMap; }

  // The value of the first entry with that key, or null.
  const Node* Find(absl::string_view key) const;

  // For building by hand.
  static Ptr Scalar(absl::string_view text, bool quoted);
  static Ptr List();
  static Ptr Map();
  void Set(absl::string_view key, Ptr value);
};

// "a list", "a mapping", …: for messages.
absl::string_view Describe(const Node& node);

// Block-style YAML, without a document mark; ends with a newline.
std::string WriteYaml(const Node& node);
// JSON indented by two spaces; ends with a newline.
std::string WriteJson(const Node& node);

}  // namespace bulwark::manifest

#endif  // MANIFEST_NODE_H_
