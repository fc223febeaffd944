#include "scheduler/shutdown.h"

#include <vector>

namespace bulwark::scheduler {

std::set<std::string> StopNext(const DependencyGraph& services,
                               const std::set<std::string>& live) {
  // Everything that a live service needs, over any number of steps.
  std::set<std::string> needed;
  for (const std::string& service : live) {
    std::vector<std::string> todo = {service};
    std::set<std::string> seen;
    while (!todo.empty()) {
      auto it = services.find(todo.back());
      todo.pop_back();
      if (it == services.end()) continue;
      for (const std::string& dependency : it->second) {
        if (!seen.insert(dependency).second) continue;
        needed.insert(dependency);
        todo.push_back(dependency);
      }
    }
  }
  std::set<std::string> next;
  for (const std::string& service : live) {
    if (!needed.contains(service)) next.insert(service);
  }
  return next.empty() ? live : next;
}

}  // namespace bulwark::scheduler
