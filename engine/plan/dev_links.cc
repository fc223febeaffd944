#include "engine/plan/dev_links.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace bulwark::engine {

void AddDevLinks(Stage stage, uint32_t flags, PlanBuilder& plan) {
  constexpr std::pair<const char*, const char*> kLinks[] = {
      {"/proc/self/fd", "/dev/fd"},
      {"/proc/self/fd/0", "/dev/stdin"},
      {"/proc/self/fd/1", "/dev/stdout"},
      {"/proc/self/fd/2", "/dev/stderr"},
      {"pts/ptmx", "/dev/ptmx"}};
  for (const auto& [target, path] : kLinks) {
    StepArgs args;
    args.str = target;
    args.str2 = path;
    args.flags = flags;
    plan.Add(stage, child::StepKind::kSymlink, absl::StrCat("make ", path),
             args);
  }
}

}  // namespace bulwark::engine
