#include "tests/conformance/runtimes.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_split.h"
#include "tests/conformance/workspace.h"

namespace bulwark::conformance {

std::vector<Runtime> Runtimes() {
  const std::vector<Runtime> all = {
      {"crun", "/usr/bin/crun", /*wants_no_hybrid=*/true},
      {"runc", "/usr/sbin/runc"},
      {"bulwark-oci", Workspace::Runfile("engine/oci/bulwark-oci")},
  };
  const char* wanted = getenv("CONFORMANCE_RUNTIMES");
  std::vector<Runtime> runtimes;
  for (const Runtime& runtime : all) {
    bool is_wanted = wanted == nullptr;
    if (wanted != nullptr) {
      for (const auto& name : absl::StrSplit(wanted, ' ')) {
        is_wanted |= name == runtime.name;
      }
    }
    if (!is_wanted) continue;
    if (access(runtime.path.c_str(), X_OK) != 0) {
      std::fprintf(stderr, "conformance: no program %s; run tools/deps\n",
                   runtime.path.c_str());
      std::exit(1);
    }
    runtimes.push_back(runtime);
  }
  return runtimes;
}

}  // namespace bulwark::conformance
