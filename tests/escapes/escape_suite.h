// The fixture of the escape tests of bulwark-oci: a hostile bundle, and a piece
// of the host beside it that must be the same afterwards.
//
// It is the conformance suite's, which also sees that no mount, group or
// process is left. ESCAPES_RUNTIMES="crun runc" runs the attacks on those
// instead, which shows what they are worth.
#ifndef TESTS_ESCAPES_ESCAPE_SUITE_H_
#define TESTS_ESCAPES_ESCAPE_SUITE_H_

#include <map>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "tests/conformance/suite.h"
#include "tests/escapes/swapper.h"

namespace bulwark::escapes {

using conformance::Eventually;
using conformance::IsRefused;
using conformance::Outcome;
using conformance::Prints;
using conformance::Succeeds;

inline constexpr char kUntouched[] = "untouched by all containers";

// Every path below `directory`, with what it is and holds.
std::map<std::string, std::string> Tree(const std::string& directory);

std::vector<conformance::Runtime> RuntimesUnderAttack();

class EscapeTest : public conformance::Suite {
 protected:
  void SetUp() override;
  // Says that the host's piece and the runtime's binary are what they were.
  void TearDown() override;

  // A directory of the host; the file "sentinel" in it holds kUntouched.
  std::string host() const { return scratch() + "/host"; }
  // How a symbolic link in the root file system would lead to host(), if it
  // were followed from there.
  std::string WayUp() const { return "../../../../../../../../.." + host(); }
  void AddHostProgram(const std::string& name);

  // In the root file system.
  std::string Inside(const std::string& path) {
    return bundle().rootfs() + path;
  }
  void AddAttacker();
  void Bind(const std::string& source, const std::string& destination);
  // A directory of the host that stands for a volume which others write too,
  // on /shared.
  std::string AddSharedVolume();
  // /dev is a directory that the attacker filled.
  std::string AddHostileDev();

  // As container().Run() and Exec(), by a caller that has `files` open.
  Outcome RunWith(const std::vector<int>& files);
  Outcome ExecWith(const std::vector<int>& files,
                   const std::vector<std::string>& args);
  // Some descriptors of host(), as a caller leaks them.
  std::vector<UniqueFd> LeakedFiles() const;

  // Runs the container over and over for some seconds; calls `check` with what
  // came of each. Says that `swapper` was at work all the time.
  template <typename F>
  void RunAgainst(const Swapper& swapper, F&& check);

 private:
  std::map<std::string, std::string> host_before_;
  std::string runtime_before_;
};

std::vector<int> Numbers(const std::vector<UniqueFd>& files);

template <typename F>
void EscapeTest::RunAgainst(const Swapper& swapper, F&& check) {
  const absl::Time end = conformance::WallNow() + absl::Seconds(6);
  int launches = 0;
  while (launches < 200 && (launches < 5 || conformance::WallNow() < end)) {
    const int64_t before = swapper.swaps();
    check(container().Run());
    ++launches;
    ASSERT_TRUE(Eventually([&] { return swapper.swaps() > before; }));
    if (HasFailure()) break;
  }
}

}  // namespace bulwark::escapes

#endif  // TESTS_ESCAPES_ESCAPE_SUITE_H_
