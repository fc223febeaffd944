// Power failures at random points of random histories: every acknowledged
// durable commit is there afterwards, whole, and nothing is out of order. With
// fsync turned off the same histories must lose something, or the test proves
// nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "rocksdb/env.h"
#include "store/rocks/rocks_store.h"
#include "store/rocks/unsynced_fs.h"

namespace bulwark::store {
namespace {

// Fake time that passes as soon as somebody waits for it and has not got what
// it waits for within a millisecond: no wait with a deadline lasts.
class PassingClock final : public testing::FakeClock {
 public:
  bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition,
                  absl::Duration deadline) override
      ABSL_SHARED_LOCKS_REQUIRED(mu) {
    if (mu.AwaitWithTimeout(condition, absl::Milliseconds(1))) return true;
    const absl::Duration left = deadline - Steady();
    if (left > absl::ZeroDuration()) Advance(left);
    return condition.Eval();
  }
};

// One commit that some thread tried.
struct Attempt {
  bool durable = false;
  uint64_t revision = 0;  // 0: not acknowledged
};

struct Losses {
  int acknowledged = 0;  // durable commits that are gone
  int torn = 0;          // commits that are there in part
  int disordered = 0;    // commits gone though a later one is there
  int repeated = 0;      // revisions that were given out twice
  int restarts = 0;      // power failures survived
  int rooms = 0;         // logs found with room behind their records
};

class History {
 public:
  History(uint64_t seed, bool sync)
      : durable_one_in_(seed % 2 == 0 ? 15 : 2),
        entropy_(seed),
        fs_(std::make_shared<UnsyncedFs>(attic_.path(), seed)),
        env_(rocksdb::NewCompositeEnv(fs_)) {
    options_.path = dir_ / "store";
    options_.reserve_bytes = 0;
    options_.min_free_bytes = 0;
    options_.checkpoint_every = absl::Minutes(1);
    options_.checkpoints_kept = 1;
    options_.env = env_.get();
    // None, a few records', or more than a history needs.
    constexpr uint64_t kRooms[] = {0, 2000, 10000, 256 << 10};
    options_.log_room_bytes = kRooms[seed / 2 % std::size(kRooms)];
    options_.unsafe_no_sync_for_test = !sync;
  }

  Losses Run(int cycles, int threads) {
    for (int cycle = 0; cycle < cycles; ++cycle) {
      fs_->CrashAfter(1 + entropy_.Next() % 150);
      if (auto store = Open()) {
        Check(*store);
        Work(*store, threads);
      }
      fs_->Crash();
      fs_->Restart(entropy_.Next() % 2 ? UnsyncedFs::Loss::kEverything
                                       : UnsyncedFs::Loss::kSome);
      ++losses_.restarts;
      clock_.Sleep(absl::Seconds(30));
    }
    if (auto store = Open()) {
      Check(*store);
    } else if (!options_.unsafe_no_sync_for_test) {
      ADD_FAILURE() << "the store does not open after the last failure";
    }
    return losses_;
  }

 private:
  // Null if the power fails first.
  std::unique_ptr<RocksStore> Open() {
    CountRooms();
    auto store = RocksStore::Open(options_, clock_, entropy_);
    if (store.ok()) return *std::move(store);
    if (options_.unsafe_no_sync_for_test && absl::IsDataLoss(store.status())) {
      ++losses_.acknowledged;  // lost, but at least found out
      return nullptr;
    }
    EXPECT_TRUE(fs_->crashed()) << store.status();
    return nullptr;
  }

  // Of the logs that the next start finds, with zeros behind their records.
  void CountRooms() {
    std::error_code none;
    for (std::filesystem::directory_iterator it(options_.path + "/db", none),
         end;
         !none && it != end; it.increment(none)) {
      if (it->path().extension() != ".log") continue;
      std::ifstream in(it->path(), std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(in)), {});
      const size_t last = bytes.find_last_not_of('\0');
      losses_.rooms += last != std::string::npos && bytes.size() - last > 1000;
    }
  }

  // Commits until the power fails: a marker of its own and a pair of shared
  // keys each.
  void Work(RocksStore& store, int threads) {
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([this, &store] {
        while (!fs_->crashed()) {
          TryCommit(store);
          if (entropy_.Next() % 8 == 0) Witness(store);
        }
      });
    }
    for (std::thread& w : workers) w.join();
  }

  void TryCommit(RocksStore& store) {
    const uint64_t random = entropy_.Next();
    const bool durable = random % durable_one_in_ == 0;
    const std::string pair = absl::StrCat(random / 30 % 5);
    int id;
    {
      absl::MutexLock lock(&mu_);
      id = static_cast<int>(attempts_.size());
      attempts_.push_back({durable, 0});
    }
    const std::string value = absl::StrCat(id, ":", std::string(300, 'x'));
    Batch batch;
    batch.Put({"marker", "", absl::StrCat(id)}, value, 0)
        .Put({"left", "", pair}, value)
        .Put({"right", "", pair}, value);
    if (random % 7 == 0) batch.Delete({"left", "", "gone"});
    if (!durable) batch.NotDurable();
    if (random % 4 < 2) {
      random / 64 % 2 == 0 ? batch.SeenEarly() : batch.SeenEarlyAndFollowed();
    }
    const absl::StatusOr<uint64_t> r = store.Commit(batch);
    if (!r.ok()) return;
    absl::MutexLock lock(&mu_);
    attempts_[id].revision = *r;
    if (!revisions_.insert(*r).second) ++losses_.repeated;
  }

  // Whoever waits for what others have committed may rely on it, too.
  void Witness(RocksStore& store) {
    Filter markers;
    markers.kind = "marker";
    const absl::StatusOr<Listing> seen = store.List(markers);
    if (!seen.ok() || !store.AwaitDurable(seen->revision).ok()) return;
    absl::MutexLock lock(&mu_);
    for (const Record& record : seen->records) {
      Attempt& attempt = attempts_[std::stoi(record.key.name)];
      if (attempt.durable) attempt.revision = record.revision;
    }
  }

  void Check(RocksStore& store) {
    const absl::StatusOr<Listing> listing = store.List({});
    if (fs_->crashed()) return;
    ASSERT_OK(listing);
    std::map<std::string, uint64_t> there;  // key to revision
    for (const Record& r : listing->records) {
      there[r.key.ToString()] = r.revision;
    }
    absl::MutexLock lock(&mu_);
    for (int id = 0; id < static_cast<int>(attempts_.size()); ++id) {
      Attempt& attempt = attempts_[id];
      if (attempt.revision == 0) continue;
      const std::string marker = absl::StrCat("marker//", id);
      const bool found = there.count(marker) != 0;
      if (!found && attempt.durable) ++losses_.acknowledged;
      if (!found && attempt.revision <= LastOf(there)) ++losses_.disordered;
      if (found && there[marker] != attempt.revision) ++losses_.torn;
      if (!found) attempt.revision = 0;  // counted once
    }
    for (int pair = 0; pair < 5; ++pair) {
      if (there[absl::StrCat("left//", pair)] !=
          there[absl::StrCat("right//", pair)]) {
        ++losses_.torn;
      }
    }
  }

  // The newest revision before this opening.
  static uint64_t LastOf(const std::map<std::string, uint64_t>& there) {
    uint64_t last = 0;
    for (const auto& [key, revision] : there) last = std::max(last, revision);
    return last;
  }

  // Few durable commits leave a long unsynced end of the log.
  const uint64_t durable_one_in_;
  testing::TempDir dir_;
  testing::TempDir attic_;
  PassingClock clock_;
  SeededEntropy entropy_;
  std::shared_ptr<UnsyncedFs> fs_;
  std::unique_ptr<rocksdb::Env> env_;
  RocksOptions options_;

  absl::Mutex mu_;
  std::vector<Attempt> attempts_;
  std::set<uint64_t> revisions_;
  Losses losses_;
};

Losses RunAll(bool sync, int threads) {
  Losses sum;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const Losses l = History(seed, sync).Run(8, threads);
    sum.acknowledged += l.acknowledged;
    sum.torn += l.torn;
    sum.disordered += l.disordered;
    sum.repeated += l.repeated;
    sum.restarts += l.restarts;
    sum.rooms += l.rooms;
  }
  return sum;
}

TEST(StoreDurabilityTest, WhenPowerFailsAnywhere_NothingAcknowledgedIsLost) {
  for (int threads : {1, 4}) {
    const Losses losses = RunAll(true, threads);
    EXPECT_EQ(losses.acknowledged, 0);
    EXPECT_EQ(losses.torn, 0);
    EXPECT_EQ(losses.disordered, 0);
    EXPECT_EQ(losses.repeated, 0);
    EXPECT_EQ(losses.restarts, 64);
    EXPECT_GT(losses.rooms, 5);
  }
}

TEST(StoreDurabilityTest, WhenSyncIsTurnedOff_TheSameHistoriesLoseCommits) {
  const Losses losses = RunAll(false, 1);
  EXPECT_GT(losses.acknowledged, 0);
  EXPECT_EQ(losses.torn, 0);
}

}  // namespace
}  // namespace bulwark::store
