#include "base/graph.h"

#include <algorithm>
#include <set>

namespace bulwark {
namespace {

// Follows unordered nodes until one comes twice. Each of them has at least one
// unordered dependency, so the walk cannot end before.
std::vector<std::string> FindCycle(const DependencyGraph& graph,
                                   const std::map<std::string, int>& waiting,
                                   const std::string& start) {
  std::vector<std::string> path;
  std::string node = start;
  while (true) {
    auto seen = std::find(path.begin(), path.end(), node);
    if (seen != path.end()) {
      std::vector<std::string> cycle(seen, path.end());
      cycle.push_back(node);
      return cycle;
    }
    path.push_back(node);
    for (const std::string& next : graph.at(node)) {
      auto it = waiting.find(next);
      if (it != waiting.end() && it->second > 0) {
        node = next;
        break;
      }
    }
  }
}

}  // namespace

TopologicalOrder SortTopologically(const DependencyGraph& graph) {
  std::map<std::string, int> waiting;  // dependencies not yet ordered
  std::map<std::string, std::vector<std::string>> dependents;
  std::set<std::string> ready;
  for (const auto& [node, dependencies] : graph) {
    int count = 0;
    for (const std::string& dependency : dependencies) {
      if (!graph.contains(dependency)) continue;
      ++count;
      dependents[dependency].push_back(node);
    }
    waiting[node] = count;
    if (count == 0) ready.insert(node);
  }
  TopologicalOrder result;
  while (!ready.empty()) {
    const std::string node = *ready.begin();
    ready.erase(ready.begin());
    result.order.push_back(node);
    for (const std::string& dependent : dependents[node]) {
      if (--waiting[dependent] == 0) ready.insert(dependent);
    }
  }
  for (const auto& [node, count] : waiting) {
    if (count == 0) continue;
    result.cycle = FindCycle(graph, waiting, node);
    break;
  }
  return result;
}

}  // namespace bulwark
