// leakcheck: what of a Bulwark instance is in the kernel.
//
//   leakcheck --instance b1 --runtime-dir /run/b1 --state-dir /var/lib/b1
//       prints all of it, one JSON object a line.
//   leakcheck ... --expect FILE
//       fails if something is there that FILE (an earlier output) lacks. It
//       looks again for up to --settle: the kernel takes down namespaces and
//       links in the background.
//   leakcheck --compare BEFORE AFTER
//       does the same with two files.
//
// Exit status: 0 nothing leaked, 1 something did (listed on standard output),
// 2 the check could not be made.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/units.h"
#include "tests/leakcheck/scan.h"

namespace bulwark::leakcheck {
namespace {

struct Flags {
  Options options;
  std::string expect;
  std::string settle = "3s";
  std::vector<std::string> compare;
};

absl::StatusOr<std::vector<Item>> ReadItems(const std::string& path) {
  std::ifstream file(path);
  if (!file) return ErrnoStatus("open", path);
  std::stringstream text;
  text << file.rdbuf();
  absl::StatusOr<std::vector<Item>> items = Parse(text.str());
  if (!items.ok()) return Annotate(items.status(), path);
  return items;
}

int Report(const std::vector<Item>& leaked) {
  std::fputs(Print(leaked).c_str(), stdout);
  if (leaked.empty()) return 0;
  std::fprintf(stderr, "leakcheck: %zu leaked\n", leaked.size());
  return 1;
}

absl::StatusOr<int> Run(const Flags& flags, Clock& clock) {
  if (!flags.compare.empty()) {
    ASSIGN_OR_RETURN(std::vector<Item> before, ReadItems(flags.compare[0]));
    ASSIGN_OR_RETURN(std::vector<Item> after, ReadItems(flags.compare[1]));
    return Report(Leaked(before, after));
  }
  if (flags.options.instance.empty() || flags.options.runtime_dir.empty() ||
      flags.options.state_dir.empty()) {
    return absl::InvalidArgumentError(
        "--instance, --runtime-dir and --state-dir are needed");
  }
  ASSIGN_OR_RETURN(std::vector<Item> now, Scan(flags.options));
  if (flags.expect.empty()) {
    std::fputs(Print(now).c_str(), stdout);
    return 0;
  }
  ASSIGN_OR_RETURN(std::vector<Item> expected, ReadItems(flags.expect));
  ASSIGN_OR_RETURN(absl::Duration settle, ParseDuration(flags.settle));
  const absl::Duration deadline = clock.Steady() + settle;
  std::vector<Item> leaked = Leaked(expected, now);
  while (!leaked.empty() && clock.Steady() < deadline) {
    clock.Sleep(absl::Milliseconds(50));
    ASSIGN_OR_RETURN(now, Scan(flags.options));
    leaked = Leaked(expected, now);
  }
  return Report(leaked);
}

}  // namespace
}  // namespace bulwark::leakcheck

int main(int argc, char** argv) {
  bulwark::leakcheck::Flags flags;
  CLI::App app("Lists what a Bulwark instance has in the kernel");
  app.add_option("--instance", flags.options.instance);
  app.add_option("--runtime-dir", flags.options.runtime_dir);
  app.add_option("--state-dir", flags.options.state_dir);
  app.add_option("--expect", flags.expect, "fail if there is more than this");
  app.add_option("--settle", flags.settle, "how long to look again");
  app.add_option("--compare", flags.compare, "BEFORE AFTER")->expected(2);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    int rc = app.exit(e);
    return rc == 0 ? 0 : 2;
  }
  bulwark::RealClock clock;
  absl::StatusOr<int> rc = bulwark::leakcheck::Run(flags, clock);
  if (rc.ok()) return *rc;
  std::fprintf(stderr, "leakcheck: %s\n", rc.status().ToString().c_str());
  return 2;
}
