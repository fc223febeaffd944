// The runtimes that the suite is run over, and where they are known to depart
// from the specification.
#ifndef TESTS_CONFORMANCE_RUNTIMES_H_
#define TESTS_CONFORMANCE_RUNTIMES_H_

#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace bulwark::conformance {

struct Runtime {
  std::string name;
  std::string path;  // of the program, absolute
  // Whether it refuses to work where version 2 has controllers beside the
  // hierarchies of version 1.
  bool wants_no_hybrid = false;
};

inline void PrintTo(const Runtime& runtime, std::ostream* out) {
  *out << runtime.name;
}

// All of them; CONFORMANCE_RUNTIMES="crun runc" leaves only those. Dies with a
// message if the program of one is not there.
std::vector<Runtime> Runtimes();

// Why `runtime` fails the test "Suite.Case", if it is known to. A test that is
// listed has to fail: one that passes again is a stale line of the table.
std::optional<std::string> KnownDeviation(const std::string& runtime,
                                          const std::string& test);

}  // namespace bulwark::conformance

#endif  // TESTS_CONFORMANCE_RUNTIMES_H_
