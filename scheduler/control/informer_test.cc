#include "scheduler/control/informer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::store::Batch;
using ::bulwark::store::Change;
using ::bulwark::store::Key;
using ::testing::SizeIs;

const Key kA{"service", "shop", "a"};
const Key kB{"service", "shop", "b"};

// The store, with watches and listings that fail when told.
class FlakyStore final : public store::MetadataStore {
 public:
  explicit FlakyStore(Clock& clock) : inner_(clock, {absl::Hours(1), 2}) {}

  absl::StatusOr<uint64_t> Commit(const Batch& batch) override {
    return inner_.Commit(batch);
  }
  absl::Status AwaitDurable(uint64_t revision) override {
    return inner_.AwaitDurable(revision);
  }
  absl::StatusOr<store::Record> Get(const Key& key) override {
    return inner_.Get(key);
  }
  absl::StatusOr<store::Listing> List(const store::Filter& f) override {
    return inner_.List(f);
  }
  absl::StatusOr<std::unique_ptr<store::Watcher>> Watch(
      uint64_t after, const store::Filter& filter) override {
    absl::MutexLock lock(&mu_);
    ++watches_;
    // Held back here, a follower falls behind.
    mu_.Await(absl::Condition(&open_));
    return inner_.Watch(after, filter);
  }
  uint64_t CurrentRevision() override { return inner_.CurrentRevision(); }
  std::string InstanceId() override { return inner_.InstanceId(); }

  void SetOpen(bool open) {
    absl::MutexLock lock(&mu_);
    open_ = open;
  }
  void AwaitWatch() {
    absl::MutexLock lock(&mu_);
    auto asked = [this] { return watches_ > 0; };
    mu_.Await(absl::Condition(&asked));
  }

 private:
  store::MemStore inner_;
  absl::Mutex mu_;
  bool open_ = true;
  int watches_ = 0;
};

class InformerTest : public ::testing::Test {
 protected:
  std::unique_ptr<Informer> Make() {
    return std::make_unique<Informer>("test", store_, clock_, entropy_,
                                      store::Filter{.kind = "service"},
                                      [this](const Change& c) {
                                        absl::MutexLock lock(&mu_);
                                        changes_.push_back(c);
                                      });
  }
  uint64_t Put(const Key& key, const std::string& value) {
    return store_.Commit(Batch().Put(key, value)).value();
  }
  // The first `n` changes that the handler got.
  std::vector<Change> Changes(size_t n) {
    absl::MutexLock lock(&mu_);
    auto enough = [&] { return changes_.size() >= n; };
    mu_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
    return changes_;
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  FlakyStore store_{clock_};
  absl::Mutex mu_;
  std::vector<Change> changes_;
};

TEST_F(InformerTest, WhenStarted_ViewIsFilledAndHandlerTold) {
  Put(kA, "1");
  Put({"job", "shop", "j"}, "other kind");
  auto informer = Make();
  ASSERT_OK(informer->Start());

  ASSERT_NE(informer->Get(kA), nullptr);
  EXPECT_EQ(informer->Get(kA)->value, "1");
  EXPECT_EQ(informer->Get(kB), nullptr);
  EXPECT_THAT(informer->List(), SizeIs(1));
  EXPECT_THAT(informer->List("shop"), SizeIs(1));
  EXPECT_THAT(informer->List("other"), SizeIs(0));
  const auto changes = Changes(1);
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_TRUE(changes[0].created);
}

TEST_F(InformerTest, WhenStoreChanges_ViewFollows) {
  auto informer = Make();
  ASSERT_OK(informer->Start());
  Put(kA, "1");
  Put(kB, "1");
  const uint64_t r = store_.Commit(Batch().Delete(kA)).value();

  ASSERT_TRUE(informer->AwaitRevision(r, absl::InfiniteDuration()));

  EXPECT_EQ(informer->Get(kA), nullptr);
  EXPECT_NE(informer->Get(kB), nullptr);
  EXPECT_THAT(Changes(3), SizeIs(3));
}

TEST_F(InformerTest, WhenOneCommitChangesTwoKeys_HandlerSeesBothInTheView) {
  std::unique_ptr<Informer> informer;
  std::atomic<int> both{0};
  informer = std::make_unique<Informer>(
      "test", store_, clock_, entropy_, store::Filter{.kind = "service"},
      [&](const Change&) {
        both += informer->Get(kA) != nullptr && informer->Get(kB) != nullptr;
      });
  ASSERT_OK(informer->Start());
  ASSERT_OK(store_.Commit(Batch().Put(kA, "1").Put(kB, "1")));
  RealClock real;
  const absl::Duration deadline = real.Steady() + absl::Seconds(10);
  while (both < 2 && real.Steady() < deadline) std::this_thread::yield();
  EXPECT_EQ(both, 2);
}

TEST_F(InformerTest, WhenItFellBehindTheLog_ListsAgainAndTellsDifferences) {
  Put(kA, "1");
  Put(kB, "1");
  store_.SetOpen(false);
  auto informer = Make();
  ASSERT_OK(informer->Start());
  store_.AwaitWatch();
  const Key c{"service", "shop", "c"};
  // While it is held back the log moves on beyond what it knows.
  Put(kA, "2");
  ASSERT_OK(store_.Commit(Batch().Delete(kB)));
  Put(c, "1");
  clock_.Advance(absl::Hours(2));
  for (int i = 0; i < 5; ++i) Put({"job", "", "j"}, "x");
  const uint64_t now = store_.CurrentRevision();

  store_.SetOpen(true);

  ASSERT_TRUE(informer->AwaitRevision(now, absl::InfiniteDuration()));
  const auto changes = Changes(5);
  ASSERT_THAT(changes, SizeIs(5));  // two from the start
  EXPECT_EQ(changes[2].value, "2");
  EXPECT_FALSE(changes[2].created);
  EXPECT_EQ(changes[3].key, c);
  EXPECT_TRUE(changes[3].created);
  EXPECT_EQ(changes[4].op, Change::Op::kDelete);
  EXPECT_EQ(changes[4].previous, "1");
  const uint64_t r = Put(kA, "3");
  EXPECT_TRUE(informer->AwaitRevision(r, absl::InfiniteDuration()));
}

TEST_F(InformerTest, WhenStopped_Returns) {
  auto informer = Make();
  ASSERT_OK(informer->Start());
  informer->Stop();
  Put(kA, "1");
  EXPECT_EQ(informer->Get(kA), nullptr);
}

}  // namespace
}  // namespace bulwark::scheduler
