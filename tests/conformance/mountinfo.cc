#include "tests/conformance/mountinfo.h"

#include <sys/mount.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace bulwark::conformance {

bool MountEntry::Has(const std::string& option) const {
  return std::count(options.begin(), options.end(), option) > 0;
}

bool MountEntry::Propagates(const std::string& kind) const {
  return std::any_of(
      propagation.begin(), propagation.end(),
      [&](const std::string& p) { return absl::StartsWith(p, kind); });
}

std::map<std::string, MountEntry> ParseMountInfo(const std::string& text) {
  std::map<std::string, MountEntry> mounts;
  for (const auto& line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    // ID PARENT DEVICE ROOT POINT OPTIONS PROPAGATION... - TYPE SOURCE OPTIONS
    const std::vector<std::string> f = absl::StrSplit(line, ' ');
    const size_t dash = std::find(f.begin(), f.end(), "-") - f.begin();
    if (dash < 6 || dash + 3 >= f.size()) continue;
    MountEntry& entry = mounts[f[4]];
    entry.type = f[dash + 1];
    entry.options = absl::StrSplit(f[5], ',');
    for (const auto& o : absl::StrSplit(f[dash + 3], ',')) {
      // The file system's own `rw` says nothing of the mount.
      if (o != "rw" && o != "ro") entry.options.emplace_back(o);
    }
    entry.propagation.assign(f.begin() + 6, f.begin() + dash);
  }
  return mounts;
}

std::map<std::string, MountEntry> MountSuite::Inside() {
  const Outcome outcome = container().RunScript("cat /proc/self/mountinfo");
  EXPECT_THAT(outcome, Succeeds());
  return ParseMountInfo(outcome.out);
}

void MountSuite::Source(const std::string& name) {
  std::filesystem::create_directory(scratch() + "/" + name);
  WriteFile(scratch() + "/" + name + "/name", name + "\n");
}

void MountSuite::MountBelow(const std::string& name) {
  const std::string at = scratch() + "/" + name + "/sub";
  std::filesystem::create_directory(at);
  CHECK(mount("below", at.c_str(), "tmpfs", 0, nullptr) == 0);
  mounted_.push_back(at);
  WriteFile(at + "/below", "below\n");
}

void MountSuite::MakeShared(const std::string& name) {
  const std::string at = scratch() + "/" + name;
  CHECK(mount(at.c_str(), at.c_str(), nullptr, MS_BIND, nullptr) == 0);
  mounted_.push_back(at);
  CHECK(mount(nullptr, at.c_str(), nullptr, MS_SHARED, nullptr) == 0);
}

void MountSuite::TearDown() {
  for (auto at = mounted_.rbegin(); at != mounted_.rend(); ++at) {
    umount2(at->c_str(), MNT_DETACH);
  }
  Suite::TearDown();
}

}  // namespace bulwark::conformance
