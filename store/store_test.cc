// Keys, and the pure rules of a commit.
#include "store/store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/testing/status_matchers.h"
#include "store/commit.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

TEST(KeyTest, WhenPrinted_ParsesBack) {
  for (const Key& key : {Key{"service", "shop", "web"}, Key{"node", "", "n"},
                         Key{"event", "p", "a/b//c"}}) {
    ASSERT_OK_AND_ASSIGN(const Key back, Key::Parse(key.ToString()));
    EXPECT_EQ(back, key);
  }
}

TEST(KeyTest, WhenMalformed_SaysWhatIsWrong) {
  const struct {
    Key key;
    const char* message;
  } kCases[] = {
      {{"", "p", "n"}, "kind"},
      {{"Service", "p", "n"}, "kind"},
      {{"a/b", "p", "n"}, "kind"},
      {{"k", "p/q", "n"}, "project"},
      {{"k", std::string(65, 'a'), "n"}, "project"},
      {{"k", "p", ""}, "name"},
      {{"k", "p", std::string("a\0b", 3)}, "name"},
      {{"k", "p", std::string(513, 'a')}, "name"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(c.key.Validate(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr(c.message)));
  }
  for (const char* text : {"", "a", "a/b", "a/b/", "/b/c", "A/b/c"}) {
    EXPECT_THAT(Key::Parse(text), StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST(KeyTest, WhenSorted_OrderIsThatOfTheStringForms) {
  std::vector<Key> keys;
  for (const char* kind : {"a", "a-b", "ab", "a0", "b"}) {
    for (const char* project : {"", "p", "p-q", "pq", "p0"}) {
      for (const char* name : {"n", "n/m", "n m", "nm"}) {
        keys.push_back({kind, project, name});
      }
    }
  }
  std::vector<std::string> texts;
  for (const Key& key : keys) texts.push_back(key.ToString());
  std::sort(keys.begin(), keys.end());
  std::sort(texts.begin(), texts.end());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(keys[i].ToString(), texts[i]);
  }
}

TEST(FilterTest, WhenMatching_EachPartNarrows) {
  const Key key{"service", "shop", "web"};
  EXPECT_TRUE(Filter{}.Matches(key));
  EXPECT_TRUE((Filter{"service", "shop", "we"}.Matches(key)));
  EXPECT_FALSE((Filter{"job", std::nullopt, ""}.Matches(key)));
  EXPECT_FALSE((Filter{"service", "", ""}.Matches(key)));
  EXPECT_FALSE((Filter{"service", "shop", "x"}.Matches(key)));
}

TEST(PlanCommitTest, WhenOneExpectationFails_NamesTheKey) {
  auto lookup = [](const Key& key) -> absl::StatusOr<std::optional<Stored>> {
    if (key.name == "old") return Stored{7, "x"};
    return std::nullopt;
  };
  const Key old{"k", "p", "old"};
  const Key none{"k", "p", "none"};
  const struct {
    Batch batch;
    const char* message;
  } kCases[] = {
      {Batch().Put(old, "", 0), "k/p/old: it exists already, with revision 7"},
      {Batch().Put(old, "", 6), "k/p/old: its revision is 7, expected 6"},
      {Batch().Delete(none, 3), "k/p/none: it does not exist any more"},
      {Batch().Put(none, "").Require(old, 8), "revision is 7, expected 8"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(PlanCommit(c.batch, 9, lookup),
                StatusIs(absl::StatusCode::kAborted, HasSubstr(c.message)));
  }
}

TEST(PlanCommitTest, WhenExpectationsHold_ListsTheChanges) {
  auto lookup = [](const Key& key) -> absl::StatusOr<std::optional<Stored>> {
    if (key.name == "new") return std::nullopt;
    return Stored{7, "before"};
  };
  const Batch batch = Batch()
                          .Put({"k", "", "new"}, "1", 0)
                          .Put({"k", "", "old"}, "2", 7)
                          .Delete({"k", "", "gone"})
                          .Require({"k", "", "seen"}, 7);

  ASSERT_OK_AND_ASSIGN(auto changes, PlanCommit(batch, 9, lookup));

  ASSERT_EQ(changes.size(), 3);
  EXPECT_TRUE(changes[0].created);
  EXPECT_FALSE(changes[1].created);
  EXPECT_EQ(changes[1].value, "2");
  EXPECT_EQ(changes[2].op, Change::Op::kDelete);
  EXPECT_EQ(changes[2].previous, "before");
  for (const Change& change : changes) EXPECT_EQ(change.revision, 9);
}

TEST(ValidateBatchTest, WhenKeyIsRepeatedOrValueTooLarge_IsInvalid) {
  const Key key{"k", "", "n"};
  EXPECT_THAT(ValidateBatch(Batch().Put(key, "1").Delete(key)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
  EXPECT_THAT(ValidateBatch(Batch().Put(key, std::string(kMaxValue + 1, 'x'))),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_OK(ValidateBatch(Batch().Put(key, std::string(kMaxValue, 'x'))));
}

}  // namespace
}  // namespace bulwark::store
