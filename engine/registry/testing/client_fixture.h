// What tests of RegistryClient begin with.
#ifndef ENGINE_REGISTRY_TESTING_CLIENT_FIXTURE_H_
#define ENGINE_REGISTRY_TESTING_CLIENT_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>

#include <string>

#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "engine/registry/client.h"
#include "os/files.h"

namespace bulwark::engine::registry::testing {

// Options whose clock does not wait, and a directory.
class ClientFixture : public ::testing::Test {
 protected:
  ClientFixture() {
    options_.clock = &clock_;
    options_.entropy = &entropy_;
  }

  // A file of this content, to be read.
  UniqueFd OpenBlob(const std::string& content) {
    const std::string path = dir_ / "blob";
    EXPECT_OK(os::WriteFileDurably(path, content));
    return UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }

  bulwark::testing::TempDir dir_;
  bulwark::testing::FakeClock clock_;
  SeededEntropy entropy_{7};
  ClientOptions options_;
};

}  // namespace bulwark::engine::registry::testing

#endif  // ENGINE_REGISTRY_TESTING_CLIENT_FIXTURE_H_
