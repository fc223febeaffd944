// Where a runtime is known to depart from the specification; each line has been
// looked at. A departure of bulwark-oci needs a page in docs/ as well.
#include "tests/conformance/runtimes.h"

namespace bulwark::conformance {
namespace {

struct Deviation {
  const char* runtime;
  const char* test;
  const char* reason;
};

constexpr Deviation kDeviations[] = {
    {"crun", "LifecycleTest.WhenTheIdIsAnAbsolutePath_ThenThatPathIsLeftAlone",
     "1.8.1 takes an absolute id for its state's directory, and removes it"},
    {"crun", "LifecycleTest.WhenOnlyCreated_ThenDeleteFailsWithoutEffect",
     "kills and deletes a container that is only created"},
    {"runc", "LifecycleTest.WhenOnlyCreated_ThenDeleteFailsWithoutEffect",
     "kills and deletes a container that is only created"},
    {"crun", "KillTest.WhenTheSignalIsUnknown_ThenItFailsWithoutEffect",
     "1.8.1 reads what is no name as a number, and sends whatever that is"},
};

}  // namespace

std::optional<std::string> KnownDeviation(const std::string& runtime,
                                          const std::string& test) {
  for (const Deviation& d : kDeviations) {
    if (runtime == d.runtime && test == d.test) return d.reason;
  }
  return std::nullopt;
}

}  // namespace bulwark::conformance
