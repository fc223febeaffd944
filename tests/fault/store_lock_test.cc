// Who waits for the lock of a store.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <fstream>
#include <functional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "store/rocks/rocks_store.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

// Tells of each Sleep() before time goes on.
class TellingClock final : public Clock {
 public:
  explicit TellingClock(std::function<void()> sleeps)
      : sleeps_(std::move(sleeps)) {}
  absl::Time Now() override { return clock_.Now(); }
  absl::Duration Steady() override { return clock_.Steady(); }
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu) {
    return clock_.AwaitUntil(mu, condition, deadline);
  }
  void Sleep(absl::Duration d) override {
    sleeps_();
    clock_.Sleep(d);
  }

 private:
  testing::FakeClock clock_;
  const std::function<void()> sleeps_;
};

TEST(StoreLockTest, WhenAChildOfADeadOwnerHasIt_WaitsABoundedTime) {
  testing::TempDir dir;
  testing::FakeClock clock;
  SeededEntropy entropy(1);
  RocksOptions options;
  options.path = dir / "store";
  ASSERT_OK(RocksStore::Open(options, clock, entropy).status());
  const std::string lock = options.path + "/LOCK";
  std::ofstream(lock) << "4194305\n";  // above the highest that there can be
  UniqueFd heir(open(lock.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(flock(heir.get(), LOCK_EX), 0);
  int sleeps = 0;
  TellingClock stays([&] { ++sleeps; });
  EXPECT_THAT(RocksStore::Open(options, stays, entropy).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("pid 4194305")));
  EXPECT_EQ(sleeps, 250);
  TellingClock goes([&] { heir.Reset(); });
  EXPECT_OK(RocksStore::Open(options, goes, entropy).status());
}

}  // namespace
}  // namespace bulwark::store
