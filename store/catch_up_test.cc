#include "store/catch_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"

namespace bulwark::store {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

class CatchUpTest : public ::testing::Test {
 protected:
  void Put(const std::string& kind, const std::string& name,
           const std::string& value) {
    ASSERT_OK(store_.Commit(Batch().Put({kind, "p", name}, value)));
  }
  void Run() {
    resets_ = told_ = 0;
    auto revision = catch_up_.Run(
        [this] {
          ++resets_;
          picture_.clear();
        },
        [this](const Key& key, absl::string_view value, uint64_t) {
          ++told_;
          picture_[key.name] = std::string(value);
        },
        [this](const Key& key) {
          ++told_;
          picture_.erase(key.name);
        });
    ASSERT_OK(revision);
    EXPECT_EQ(*revision, store_.CurrentRevision());
  }

  testing::FakeClock clock_;
  MemStore store_{clock_};
  CatchUp catch_up_{store_, {"a", "b"}};
  std::map<std::string, std::string> picture_;
  int resets_ = 0;
  int told_ = 0;
};

TEST_F(CatchUpTest, WhenCalledAgain_TellsOnlyWhatChanged) {
  Put("a", "x", "1");
  Put("b", "y", "1");
  Put("c", "z", "1");
  Run();
  EXPECT_EQ(resets_, 1);
  EXPECT_THAT(picture_, ElementsAre(Pair("x", "1"), Pair("y", "1")));
  Run();
  EXPECT_EQ(resets_ + told_, 0);
  Put("a", "x", "2");
  Put("c", "z", "2");
  ASSERT_OK(store_.Commit(Batch().Delete({"b", "p", "y"})));
  Run();
  EXPECT_EQ(resets_, 0);
  EXPECT_EQ(told_, 2);
  EXPECT_THAT(picture_, ElementsAre(Pair("x", "2")));
}

TEST_F(CatchUpTest, WhenFarBehind_ListsAnew) {
  Put("a", "x", "0");
  Run();
  for (int i = 0; i < 2500; ++i) Put("a", "x", std::to_string(i));
  Put("b", "y", "1");
  Run();
  EXPECT_EQ(resets_, 1);
  EXPECT_EQ(told_, 2);
  EXPECT_THAT(picture_, ElementsAre(Pair("x", "2499"), Pair("y", "1")));
}

TEST_F(CatchUpTest, WhenNothingIsThere_ThePictureIsEmpty) {
  Run();
  EXPECT_EQ(resets_, 1);
  EXPECT_THAT(picture_, IsEmpty());
}

}  // namespace
}  // namespace bulwark::store
