// The fixture of every test: one runtime, one container, and a check that
// nothing is left when the test is over.
#ifndef TESTS_CONFORMANCE_SUITE_H_
#define TESTS_CONFORMANCE_SUITE_H_

#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/bundle.h"
#include "tests/conformance/container.h"
#include "tests/conformance/exec.h"
#include "tests/conformance/runtimes.h"
#include "tests/conformance/workspace.h"

namespace bulwark::conformance {

// Succeeds if the outcome is an error of the runtime: an exit status that is
// not 0, a message, and an end in time.
MATCHER(IsRefused,
        negation ? "is not an error" : "is an error with a message") {
  return arg.code > 0 && !(arg.out.empty() && arg.err.empty());
}
MATCHER(Succeeds, negation ? "fails" : "succeeds") { return arg.ok(); }
// Succeeds with that on standard output, but for space at its end.
MATCHER_P(Prints, text, "succeeds and prints the text") {
  std::string printed = arg.out;
  while (!printed.empty() && isspace(printed.back())) printed.pop_back();
  return arg.ok() && ::testing::Matches(text)(printed);
}

class Suite : public ::testing::TestWithParam<Runtime> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // The test's container; more of them with Another().
  Container& container() { return *container_; }
  Bundle& bundle() { return container_->bundle(); }
  Json& config() { return bundle().config(); }
  std::unique_ptr<Container> Another(const std::string& name);
  // Where the runtime keeps states.
  std::string root() const { return directory_ + "/state"; }
  // A directory for what a test makes beside its bundle.
  std::string scratch() const { return directory_ + "/scratch"; }

  bool Is(const std::string& runtime) const {
    return GetParam().name == runtime;
  }
  // Creates and starts a container that runs `script`.
  void StartScript(const std::string& script);
  // Says that config.json is refused, by `create`, and that nothing of a
  // container is there afterwards.
  void ExpectCreateRefused();

 private:
  std::string TestName() const;
  void ExpectNothingLeft();

  std::string directory_;
  std::unique_ptr<Container> container_;
  std::vector<std::string> mounts_;
  // Of a test that this runtime is known to fail: why, and what failed.
  std::optional<std::string> deviation_;
  ::testing::TestPartResultArray failures_;
  std::unique_ptr<::testing::ScopedFakeTestPartResultReporter> interceptor_;
};

// The end of a test's name: the runtime's, in letters that may be there.
std::string RuntimeSuffix(const ::testing::TestParamInfo<Runtime>& info);

}  // namespace bulwark::conformance

// A fixture derived from `Base`, and its instances over every runtime.
#define CONFORMANCE_SUITE_OF(Fixture, Base)                    \
  class Fixture : public Base {};                              \
  INSTANTIATE_TEST_SUITE_P(                                    \
      Runtimes, Fixture,                                       \
      ::testing::ValuesIn(::bulwark::conformance::Runtimes()), \
      ::bulwark::conformance::RuntimeSuffix)
#define CONFORMANCE_SUITE(Fixture) \
  CONFORMANCE_SUITE_OF(Fixture, ::bulwark::conformance::Suite)

#endif  // TESTS_CONFORMANCE_SUITE_H_
