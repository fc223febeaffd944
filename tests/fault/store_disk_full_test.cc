// A disk that is really full: a small tmpfs in a mount namespace of the test's
// own, which nobody else sees and which goes away with the process.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "store/rocks/rocks_store.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::IsOk;

class StoreDiskFullTest : public ::testing::Test {
 protected:
  // Before RocksDB starts threads, which must be in the same namespace.
  static void SetUpTestSuite() {
    private_ = unshare(CLONE_NEWNS) == 0 &&
               mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }

  void SetUp() override {
    if (!private_) GTEST_SKIP() << "needs the right to make mount namespaces";
    ASSERT_EQ(mount("disk", dir_.path().c_str(), "tmpfs", 0, "size=48m"), 0);
    mounted_ = true;
    options_.path = dir_ / "store";
    options_.reserve_bytes = int64_t{8} << 20;
    options_.min_free_bytes = 0;
    options_.checkpoint_every = absl::InfiniteDuration();
  }
  void TearDown() override {
    store_ = nullptr;
    if (mounted_) umount2(dir_.path().c_str(), MNT_DETACH);
  }

  absl::Status Open() {
    store_ = nullptr;
    auto store = RocksStore::Open(options_, clock_, entropy_);
    if (store.ok()) store_ = *std::move(store);
    return store.status();
  }
  std::string Incompressible(size_t size) {
    std::string value;
    while (value.size() < size) value += absl::StrCat(entropy_.Next());
    return value;
  }
  // Takes all the space that is left.
  void Fill() {
    UniqueFd fd(open((dir_ / "filler").c_str(),
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string block(1 << 16, 'x');
    while (write(fd.get(), block.data(), block.size()) > 0) {
    }
  }

  static bool private_;
  bool mounted_ = false;
  testing::TempDir dir_;
  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  RocksOptions options_;
  std::unique_ptr<RocksStore> store_;
};

bool StoreDiskFullTest::private_ = false;

TEST_F(StoreDiskFullTest, WhenFilledAndFreed_NothingAcknowledgedIsLost) {
  ASSERT_OK(Open());
  std::map<std::string, uint64_t> acknowledged;
  const auto put = [&](int i) {
    const std::string name = absl::StrCat(i);
    const auto r =
        store_->Commit(Batch().Put({"k", "", name}, Incompressible(20000), 0));
    if (r.ok()) acknowledged[name] = *r;
    return r.status();
  };
  for (int i = 0; i < 20; ++i) ASSERT_OK(put(i));

  // When the disk is full, and full again after the reserve is used up.
  Fill();
  int refused = 0;
  for (int i = 20; i < 1500; ++i) {
    const absl::Status s = put(i);
    if (s.ok()) continue;
    EXPECT_TRUE(absl::IsResourceExhausted(s) || absl::IsUnavailable(s)) << s;
    ++refused;
    Fill();
    if (refused > 6) break;
  }
  EXPECT_GT(refused, 6);
  EXPECT_THAT(store_->Get({"k", "", "0"}), IsOk());  // readers are served

  // Then it goes on as soon as there is space.
  ASSERT_EQ(unlink((dir_ / "filler").c_str()), 0);
  ASSERT_OK(put(5000));
  ASSERT_OK(Open());
  for (const auto& [name, revision] : acknowledged) {
    const auto record = store_->Get({"k", "", name});
    ASSERT_OK(record) << name;
    EXPECT_EQ(record->revision, revision);
  }
}

TEST_F(StoreDiskFullTest, WhenFull_TheReserveLetsThingsBeDeleted) {
  ASSERT_OK(Open());
  ASSERT_OK(store_->Commit(Batch().Put({"k", "", "a"}, "1")));
  ASSERT_EQ(access((options_.path + "/reserve").c_str(), F_OK), 0);
  Fill();
  EXPECT_OK(store_->Commit(Batch().Delete({"k", "", "a"})));
}

// Whatever is given back of the reserve, somebody else takes at once.
TEST_F(StoreDiskFullTest, WhileOthersTakeWhatIsFree_ItGoesOnForLong) {
  ASSERT_EQ(mount("disk", dir_.path().c_str(), "tmpfs", MS_REMOUNT, "size=96m"),
            0);
  options_.reserve_bytes = int64_t{32} << 20;
  options_.min_free_bytes = int64_t{16} << 20;
  ASSERT_OK(Open());
  ASSERT_OK(store_->Commit(Batch().Put({"k", "", "a"}, "1")));
  Fill();
  EXPECT_TRUE(absl::IsResourceExhausted(
      store_->Commit(Batch().Put({"k", "", "b"}, "1")).status()));
  for (int i = 0; i < 3000; ++i) {
    const std::string name = absl::StrCat(i % 10);
    ASSERT_OK(store_->Commit(
        Batch().Put({"k", "", name}, Incompressible(1000)).Essential()))
        << i;
    if (i % 10 == 9) Fill();
  }
  for (int i = 0; i < 10; ++i) {
    Fill();
    ASSERT_OK(store_->Commit(Batch().Delete({"k", "", absl::StrCat(i)})));
  }
  // And another process can go on from there.
  store_ = nullptr;
  Fill();
  ASSERT_OK(Open());
  EXPECT_EQ(store_->Get({"k", "", "a"})->value, "1");
  EXPECT_TRUE(absl::IsNotFound(store_->Get({"k", "", "9"}).status()));
  EXPECT_OK(store_->Commit(Batch().Put({"k", "", "a"}, "2").Essential()));
}

TEST_F(StoreDiskFullTest, WhenThereIsSpaceAgain_TheReserveComesBack) {
  ASSERT_OK(Open());
  Fill();
  const auto size = [&] {
    struct stat st = {};
    stat((options_.path + "/reserve").c_str(), &st);
    return st.st_size;
  };
  for (int i = 0; i < 200 && size() == options_.reserve_bytes; ++i) {
    ASSERT_OK(store_->Commit(
        Batch().Put({"k", "", "a"}, Incompressible(100'000)).Essential()));
  }
  EXPECT_LT(size(), options_.reserve_bytes);
  ASSERT_EQ(unlink((dir_ / "filler").c_str()), 0);
  clock_.Advance(absl::Minutes(2));
  ASSERT_OK(store_->Commit(Batch().Put({"k", "", "a"}, "1")));
  EXPECT_EQ(size(), options_.reserve_bytes);
}

TEST_F(StoreDiskFullTest, WhenFullAtStart_StillOpens) {
  ASSERT_OK(Open());
  ASSERT_OK(store_->Commit(Batch().Put({"k", "", "a"}, "1")));
  store_ = nullptr;
  Fill();
  const absl::Status opened = Open();
  ASSERT_THAT(opened, IsOk());
  EXPECT_EQ(store_->Get({"k", "", "a"})->value, "1");
}

}  // namespace
}  // namespace bulwark::store
