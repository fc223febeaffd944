// A test suite with one world for all of its tests, which leaves nothing
// behind. Linking it gives the program its main().
#ifndef TESTS_E2E_SUITE_H_
#define TESTS_E2E_SUITE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Suites call Open() from SetUpTestSuite() and Close() from
// TearDownTestSuite().
class Suite : public ::testing::Test {
 protected:
  // A world of this instance with a registry, a busybox image and a daemon, the
  // one at the path `daemon`.
  static void Open(const std::string& instance,
                   const std::string& daemon = "daemon/bulwarkd");
  // Ends everything, and expects that the host is as it was.
  static void Close();

  static World& world() { return *world_; }
  static const std::string& busybox() { return busybox_; }

  void SetUp() override;

  // Expects that ctl succeeds.
  static Result Ctl(const std::vector<std::string>& arguments,
                    const std::string& input = "");
  // Expects that it fails with an error and this exit code.
  static Result CtlFails(const std::vector<std::string>& arguments,
                         int code = 1);
  // A service of busybox with this command, and further lines.
  static std::string Manifest(const std::string& name,
                              const std::string& command,
                              const std::string& more = "");
  static bool Exists(const std::string& kind, const std::string& name);

 private:
  static World* world_;
  static std::string busybox_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_SUITE_H_
