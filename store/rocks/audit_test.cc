#include "store/rocks/audit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/testing/status_matchers.h"
#include "store/rocks/log_scan.h"

namespace bulwark::store {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Crc32cTest, WhenStandardCheckString_IsTheStandardValue) {
  EXPECT_EQ(Crc32c(0, "123456789"), 0xe3069283u);  // RFC 3720, appendix B.4
}

// A log file of full records.
std::string Piece(char type, const std::string& payload) {
  const std::string body = type + payload;
  const uint32_t crc = Crc32c(0, body);
  const uint32_t sum = (crc >> 15 | crc << 17) + 0xa282ead8u;
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(sum >> 8 * i));
  out.push_back(static_cast<char>(payload.size()));
  out.push_back(static_cast<char>(payload.size() >> 8));
  return out + body;
}

struct Scanned {
  LogScan scan;
  std::vector<std::string> sound;
  std::vector<std::string> after_damage;
};

Scanned Scan(const std::string& bytes) {
  Scanned out;
  out.scan = ScanLog(bytes, [&](const ScannedRecord& r) {
    (r.after_damage ? out.after_damage : out.sound)
        .push_back(std::string(r.payload));
  });
  return out;
}

TEST(ScanLogTest, WhenSound_ReturnsAllRecords) {
  const std::string log = Piece(1, "one") + Piece(2, "tw") + Piece(3, "o-t") +
                          Piece(4, "hree") + Piece(1, "");
  const Scanned s = Scan(log);
  EXPECT_EQ(s.scan.end, LogScan::End::kClean);
  EXPECT_EQ(s.scan.sound_end, log.size());
  EXPECT_THAT(s.sound, ElementsAre("one", "two-three", ""));
}

TEST(ScanLogTest, WhenRecordsCrossBlocks_FillingIsSkipped) {
  const std::string long_payload(32768 - 7 - 7 - 3, 'x');
  std::string log = Piece(1, long_payload);  // leaves 10 bytes of the block
  log += Piece(2, "abc") + Piece(4, "def");
  EXPECT_THAT(Scan(log).sound, ElementsAre(long_payload, "abcdef"));
  log = Piece(1, std::string(32768 - 7 - 4, 'x')) + std::string(4, '\0') +
        Piece(1, "next");
  EXPECT_THAT(Scan(log).sound, ElementsAre(::testing::_, "next"));
}

TEST(ScanLogTest, WhenCutAnywhere_IsTornNotDamaged) {
  const std::string first = Piece(1, "one");
  const std::string log = first + Piece(2, "tw") + Piece(4, "o");
  for (size_t size = first.size() + 1; size < log.size(); ++size) {
    const Scanned s = Scan(log.substr(0, size));
    EXPECT_EQ(s.scan.end, LogScan::End::kTorn) << size;
    EXPECT_EQ(s.scan.sound_end, first.size());
    EXPECT_THAT(s.sound, ElementsAre("one"));
  }
  EXPECT_EQ(Scan(first + std::string(5000, '\0')).scan.end,
            LogScan::End::kTorn);
}

TEST(ScanLogTest, WhenAnyByteIsWrong_LaterRecordsAreFound) {
  const std::string log = Piece(1, "one") + Piece(1, "two") + Piece(1, "three");
  const size_t from = Piece(1, "one").size(),
               to = from + Piece(1, "two").size();
  for (size_t i = from; i < to; ++i) {
    std::string bad = log;
    bad[i] ^= 0x10;
    const Scanned s = Scan(bad);
    EXPECT_EQ(s.scan.sound_end, from) << i;
    EXPECT_THAT(s.sound, ElementsAre("one")) << i;
    // A length that is now wrong may point past the end: still no more than
    // the last record is missed.
    if (s.scan.end == LogScan::End::kDamaged) {
      EXPECT_THAT(s.after_damage, ElementsAre("three")) << i;
    }
  }
}

TEST(ScanLogTest, WhenAHoleIsInTheMiddle_IsDamaged) {
  const std::string log =
      Piece(1, "one") + std::string(100, '\0') + Piece(1, "two");
  const Scanned s = Scan(log);
  EXPECT_EQ(s.scan.end, LogScan::End::kDamaged);
  EXPECT_THAT(s.after_damage, ElementsAre("two"));
}

TEST(StampTest, WhenAddedToABatch_IsFoundInItsRecord) {
  rocksdb::WriteBatch batch;
  batch.Put("row", "value");
  EXPECT_FALSE(FindStamp(batch.Data()).has_value());
  AddStamp({.previous = 1, .last = 1ull << 40, .synced = 3}, batch);
  const auto stamp = FindStamp(batch.Data());
  ASSERT_TRUE(stamp.has_value());
  EXPECT_EQ(stamp->previous, 1);
  EXPECT_EQ(stamp->last, 1ull << 40);
  EXPECT_EQ(stamp->synced, 3);
}

Found At(uint64_t previous, uint64_t last, uint64_t synced) {
  return {.stamp = {previous, last, synced}};
}

TEST(JudgeRecordsTest, WhenNothingIsMissing_AllMayStay) {
  EXPECT_THAT(JudgeRecords({}, 5), IsOkAndHolds(0));
  EXPECT_THAT(JudgeRecords({At(5, 6, 5), At(6, 9, 6), At(9, 10, 6)}, 5),
              IsOkAndHolds(3));
  // The tables hold more than the oldest log.
  EXPECT_THAT(JudgeRecords({At(2, 3, 1), At(7, 8, 7)}, 7), IsOkAndHolds(2));
}

TEST(JudgeRecordsTest, WhenWhatIsMissingWasNotSynced_RestIsDropped) {
  // 6 was durable; 7 is gone; 8 and 9 were written without a sync between.
  EXPECT_THAT(JudgeRecords({At(5, 6, 5), At(7, 8, 6), At(8, 9, 6)}, 5),
              IsOkAndHolds(1));
}

TEST(JudgeRecordsTest, WhenWhatIsMissingWasSynced_IsDataLoss) {
  // 7 is gone; 9 was written when all up to 8 was synced.
  EXPECT_THAT(JudgeRecords({At(5, 6, 5), At(7, 8, 6), At(8, 9, 8)}, 5),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("7 to 7")));
  // The first record of all is gone.
  EXPECT_THAT(JudgeRecords({At(6, 7, 6)}, 5),
              StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace bulwark::store
