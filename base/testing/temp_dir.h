// A directory that goes away with its owner.
#ifndef BASE_TESTING_TEMP_DIR_H_
#define BASE_TESTING_TEMP_DIR_H_

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "base/check.h"

namespace bulwark::testing {

// Made under TEST_TMPDIR, else under /tmp; removed with all it holds.
class TempDir {
 public:
  TempDir() {
    const char* parent = std::getenv("TEST_TMPDIR");
    path_ = std::string(parent ? parent : "/tmp") + "/bw.XXXXXX";
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
  std::string path_;
};

}  // namespace bulwark::testing

#endif  // BASE_TESTING_TEMP_DIR_H_
