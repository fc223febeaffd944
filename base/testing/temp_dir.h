// A directory that goes away with its owner.
#ifndef BASE_TESTING_TEMP_DIR_H_
#define BASE_TESTING_TEMP_DIR_H_

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/check.h"

namespace bulwark::testing {

// Made under TEST_TMPDIR, or under /tmp if that is unset or so long that a unix
// socket in a TempDir would not fit (unix(7): 107 characters; a test runner's
// own folders easily take 100). Removed with all it holds.
class TempDir {
 public:
  TempDir() {
    const char* given = std::getenv("TEST_TMPDIR");
    const std::string parent = given != nullptr ? given : "";
    const bool usable = !parent.empty() && parent.size() <= kLongestParent;
    path_ = (usable ? parent : "/tmp") + "/bw.XXXXXX";
    CHECK(mkdtemp(path_.data()) != nullptr);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const {
    return path_ + "/" + name;
  }

 private:
  static constexpr size_t kLongestParent = 60;

  std::string path_;
};

}  // namespace bulwark::testing

#endif  // BASE_TESTING_TEMP_DIR_H_
