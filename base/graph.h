// Order among things that depend on each other.
#ifndef BASE_GRAPH_H_
#define BASE_GRAPH_H_

#include <map>
#include <string>
#include <vector>

namespace bulwark {

// Node -> the nodes it depends on. A dependency that is no key of the map is
// ignored: it is not ours to order.
using DependencyGraph = std::map<std::string, std::vector<std::string>>;

struct TopologicalOrder {
  // Every node after all it depends on; ties in the order of names. Without
  // the nodes of a cycle and those that depend on one.
  std::vector<std::string> order;
  // One cycle, its first node repeated at the end ("a", "b", "a"); empty if
  // there is none.
  std::vector<std::string> cycle;
};

// Pure; linear in the size of the graph (times the logarithm of the map).
TopologicalOrder SortTopologically(const DependencyGraph& graph);

}  // namespace bulwark

#endif  // BASE_GRAPH_H_
