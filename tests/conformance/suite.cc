#include "tests/conformance/suite.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"

namespace bulwark::conformance {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Mounts() {
  return absl::StrSplit(ReadFile("/proc/self/mountinfo"), '\n');
}

int next_test = 0;

}  // namespace

std::string RuntimeSuffix(const ::testing::TestParamInfo<Runtime>& info) {
  std::string suffix = info.param.name;
  std::replace(suffix.begin(), suffix.end(), '-', '_');
  return suffix;
}

std::string Suite::TestName() const {
  const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
  // "Runtimes/Suite" and "Case/runtime".
  const std::string suite = info->test_suite_name();
  const std::string name = info->name();
  return absl::StrCat(suite.substr(suite.find('/') + 1), ".",
                      name.substr(0, name.find('/')));
}

void Suite::SetUp() {
  directory_ = absl::StrCat(Workspace::directory(), "/", ++next_test);
  CHECK(mkdir(directory_.c_str(), 0755) == 0);
  CHECK(mkdir(root().c_str(), 0700) == 0);
  CHECK(mkdir(scratch().c_str(), 0755) == 0);
  Workspace::HideUnified(GetParam().wants_no_hybrid);
  mounts_ = Mounts();
  container_ = Another("c");
  deviation_ = KnownDeviation(GetParam().name, TestName());
  if (deviation_.has_value() && absl::StartsWith(*deviation_, "sometimes: ")) {
    GTEST_SKIP() << *deviation_;
  }
  if (deviation_.has_value()) {
    interceptor_ =
        std::make_unique<::testing::ScopedFakeTestPartResultReporter>(
            ::testing::ScopedFakeTestPartResultReporter::
                INTERCEPT_ONLY_CURRENT_THREAD,
            &failures_);
  }
}

std::unique_ptr<Container> Suite::Another(const std::string& name) {
  return std::make_unique<Container>(
      GetParam(), root(), directory_ + "/" + name,
      absl::StrCat("conf-", getpid(), "-", next_test, "-", name));
}

void Suite::TearDown() {
  container_.reset();
  ExpectNothingLeft();
  if (interceptor_ == nullptr) return;
  interceptor_.reset();
  bool failed = false;
  std::string skipped;  // why; the reporter has taken the skip, too
  for (int i = 0; i < failures_.size(); ++i) {
    const ::testing::TestPartResult& result = failures_.GetTestPartResult(i);
    failed |= result.failed();
    if (result.skipped()) skipped = result.message();
  }
  if (!failed && !skipped.empty()) GTEST_SKIP() << skipped;
  EXPECT_TRUE(failed) << GetParam().name << " passes " << TestName()
                      << " now; take it out of the table of deviations";
  std::printf("known deviation of %s: %s\n", GetParam().name.c_str(),
              deviation_->c_str());
}

void Suite::ExpectNothingLeft() {
  // The kernel takes down groups and mounts of the dead in the background.
  const bool clean = Eventually(
      [&] { return Workspace::CgroupsLeft().empty() && Mounts() == mounts_; },
      absl::Seconds(3));
  if (!clean) {
    EXPECT_THAT(Workspace::CgroupsLeft(), ::testing::IsEmpty());
    EXPECT_EQ(Mounts(), mounts_);
  }
  Workspace::ClearCgroups();
  const bool alone = Eventually(
      [] {
        while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
        return waitpid(-1, nullptr, WNOHANG) < 0;
      },
      absl::Seconds(3));
  EXPECT_TRUE(alone) << "processes are left";
  for (const auto& entry : fs::directory_iterator(root())) {
    // What belongs to no container, such as a lock, may stay.
    EXPECT_FALSE(absl::StrContains(entry.path().string(), "/conf-"))
        << "left: " << entry.path();
  }
  fs::remove_all(directory_);
}

void Suite::StartScript(const std::string& script) {
  bundle().Script(script);
  ASSERT_THAT(container().Create(), Succeeds());
  ASSERT_THAT(container().Start(), Succeeds());
}

void Suite::ExpectCreateRefused() {
  EXPECT_THAT(container().Create(), IsRefused());
  EXPECT_EQ(container().State(), Json::object());
  EXPECT_FALSE(fs::exists(root() + "/" + container().id()));
}

}  // namespace bulwark::conformance

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  bulwark::conformance::Workspace::Enter();
  const int status = RUN_ALL_TESTS();
  bulwark::conformance::Workspace::Leave();
  return status;
}
