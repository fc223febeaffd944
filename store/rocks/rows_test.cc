#include "store/rocks/rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/entropy.h"
#include "base/testing/status_matchers.h"

namespace bulwark::store::rows {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

CommitEntry Example() {
  CommitEntry entry;
  entry.revision = 300;
  entry.time = absl::FromUnixMicros(1893456000123456);
  entry.changes = {
      {300, Change::Op::kPut, {"a", "p", "new"}, "value", "", true},
      {300,
       Change::Op::kPut,
       {"a", "p", "old"},
       std::string(70000, 'x'),
       "",
       false},
      {300, Change::Op::kDelete, {"a", "", "gone"}, "", "before", false},
  };
  return entry;
}

TEST(RowsTest, WhenEntryIsEncoded_DecodesToTheSame) {
  const CommitEntry entry = Example();
  const std::string row = LogRow(entry.revision);
  ASSERT_OK_AND_ASSIGN(const CommitEntry back,
                       DecodeEntry(row, EncodeEntry(entry)));
  EXPECT_EQ(back.revision, entry.revision);
  EXPECT_EQ(back.time, entry.time);
  ASSERT_EQ(back.changes.size(), entry.changes.size());
  for (size_t i = 0; i < back.changes.size(); ++i) {
    EXPECT_EQ(back.changes[i].key, entry.changes[i].key);
    EXPECT_EQ(back.changes[i].op, entry.changes[i].op);
    EXPECT_EQ(back.changes[i].value, entry.changes[i].value);
    EXPECT_EQ(back.changes[i].previous, entry.changes[i].previous);
    EXPECT_EQ(back.changes[i].created, entry.changes[i].created);
    EXPECT_EQ(back.changes[i].revision, 300);
  }
}

TEST(RowsTest, WhenEntryIsCutOrGarbled_IsDataLossOrAnotherEntry) {
  const std::string good = EncodeEntry(Example());
  for (size_t size : {0, 7, 8, 9, 12, 20, 40}) {
    EXPECT_THAT(DecodeEntry(LogRow(1), good.substr(0, size)),
                StatusIs(absl::StatusCode::kDataLoss));
  }
  SeededEntropy entropy(1);
  for (int i = 0; i < 2000; ++i) {  // must not read out of bounds
    std::string bad = good.substr(0, 200);
    bad[entropy.Next() % bad.size()] ^= static_cast<char>(entropy.Next());
    DecodeEntry(LogRow(1), bad).status().IgnoreError();  // either is right
  }
}

TEST(RowsTest, WhenRowNamesAreForeign_AreDataLossAndPrintable) {
  EXPECT_THAT(DecodeObjectRow(std::string("o/\1", 3)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("o/\\x1")));
  EXPECT_THAT(DecodeLogRow("l/123"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(DecodeNumber("m/x", "1"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(DecodeObject("o/x", "1234567"),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(RowsTest, WhenRevisionsGrow_LogRowsSort) {
  EXPECT_LT(LogRow(255), LogRow(256));
  EXPECT_LT(LogRow(1), LogRow(1ull << 63));
  EXPECT_LT(LogRow(~0ull), EndOf(kLog));
}

}  // namespace
}  // namespace bulwark::store::rows
