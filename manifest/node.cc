#include "manifest/node.h"

namespace bulwark::manifest {

const Node* Node::Find(absl::string_view key) const {
  for (const auto& [k, v] : entries) {
    if (k->IsScalar() && k->text == key) return v.get();
  }
  return nullptr;
}

Node::Ptr Node::Scalar(absl::string_view text, bool quoted) {
  auto node = std::make_shared<Node>();
  node->kind = Kind::kScalar;
  node->text = std::string(text);
  node->quoted = quoted;
  return node;
}

Node::Ptr Node::List() {
  auto node = std::make_shared<Node>();
  node->kind = Kind::kList;
  return node;
}

Node::Ptr Node::Map() {
  auto node = std::make_shared<Node>();
  node->kind = Kind::kMap;
  return node;
}

void Node::Set(absl::string_view key, Ptr value) {
  entries.emplace_back(Scalar(key, true), std::move(value));
}

absl::string_view Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return "a single value";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a mapping";
  }
  return "";
}

}  // namespace bulwark::manifest
