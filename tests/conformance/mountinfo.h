// What a container's mounts are, by what it reads of /proc/self/mountinfo.
#ifndef TESTS_CONFORMANCE_MOUNTINFO_H_
#define TESTS_CONFORMANCE_MOUNTINFO_H_

#include <map>
#include <string>
#include <vector>

#include "tests/conformance/suite.h"

namespace bulwark::conformance {

struct MountEntry {
  std::string type;
  std::vector<std::string> options;      // the mount's and the file system's
  std::vector<std::string> propagation;  // "shared:3", "master:1", "unbindable"

  bool Has(const std::string& option) const;
  // Whether an entry of `propagation` begins so.
  bool Propagates(const std::string& kind) const;
};

// By mount point; of several at one place, the last.
std::map<std::string, MountEntry> ParseMountInfo(const std::string& text);

class MountSuite : public Suite {
 protected:
  // Runs the container and returns its mounts.
  std::map<std::string, MountEntry> Inside();
  // Makes scratch()/NAME with a file `name` that holds NAME.
  void Source(const std::string& name);
  // Mounts a tmpfs at scratch()/NAME/sub with a file `below` that says so. It
  // is gone with the test.
  void MountBelow(const std::string& name);
  // Makes scratch()/NAME a mount that shares what is mounted in it.
  void MakeShared(const std::string& name);
  void TearDown() override;

 private:
  std::vector<std::string> mounted_;
};

}  // namespace bulwark::conformance

#endif  // TESTS_CONFORMANCE_MOUNTINFO_H_
