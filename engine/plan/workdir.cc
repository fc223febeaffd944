#include "engine/plan/workdir.h"

#include "absl/strings/str_cat.h"

namespace bulwark::engine {
namespace {

void Add(Stage stage, child::StepKind kind, const std::string& path,
         PlanBuilder& plan) {
  StepArgs args;
  args.str = path;
  args.value = 0755;  // of what is made
  args.blame = Blame::kSpec;
  plan.Add(stage, kind, absl::StrCat("change to directory ", path), args);
}

}  // namespace

void AddMakeWorkdir(const std::string& path, PlanBuilder& plan) {
  if (path.empty() || path == "/") return;
  Add(Stage::kMakeWorkdir, child::StepKind::kMkdir, path, plan);
}

void AddWorkdir(const std::string& path, PlanBuilder& plan) {
  Add(Stage::kWorkdir, child::StepKind::kWorkdir, path.empty() ? "/" : path,
      plan);
}

}  // namespace bulwark::engine
