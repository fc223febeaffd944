#include "engine/local/journal_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulwark::engine {
namespace {

using ::testing::Contains;
using ::testing::Not;

std::string Binary(absl::string_view text) {
  std::string size(8, '\0');
  size[0] = static_cast<char>(text.size() & 0xff);
  size[1] = static_cast<char>(text.size() >> 8);
  return "MESSAGE\n" + size + std::string(text) + "\n";
}

TEST(JournalEntryTest, WhenWhole_IsTaken) {
  std::string bytes =
      "__CURSOR=x\n__REALTIME_TIMESTAMP=1793512345678901\nPRIORITY=3\n"
      "MESSAGE=a=b\n\n"
      "__REALTIME_TIMESTAMP=1793512345678902\nPRIORITY=6\n" +
      Binary(absl::string_view("x\n\0y", 4)) +
      "CONTAINER_PARTIAL_MESSAGE=true\n\nrest";
  LogEntry entry;
  ASSERT_TRUE(TakeJournalEntry(&bytes, &entry));
  EXPECT_EQ(entry.line, "a=b");
  EXPECT_TRUE(entry.is_stderr);
  EXPECT_FALSE(entry.partial);
  EXPECT_EQ(absl::ToUnixMicros(entry.time), 1793512345678901);
  ASSERT_TRUE(TakeJournalEntry(&bytes, &entry));
  EXPECT_EQ(entry.line, std::string("x\n\0y", 4));
  EXPECT_FALSE(entry.is_stderr);
  EXPECT_TRUE(entry.partial);
  EXPECT_FALSE(TakeJournalEntry(&bytes, &entry));
  EXPECT_EQ(bytes, "rest");
}

TEST(JournalEntryTest, WhenItComesInPieces_WaitsForAll) {
  const std::string whole = "PRIORITY=6\n" + Binary("hello\nyou") + "\n";
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string part = whole.substr(0, n);
    LogEntry entry;
    EXPECT_FALSE(TakeJournalEntry(&part, &entry)) << n;
    part += whole.substr(n);
    EXPECT_TRUE(TakeJournalEntry(&part, &entry)) << n;
    EXPECT_EQ(entry.line, "hello\nyou");
  }
}

TEST(JournalEntryTest, WhenHostile_NothingIsReadBeyondIt) {
  LogEntry entry;
  std::string size = "MESSAGE\n" + std::string(8, '\xff') + "x\n\n";
  EXPECT_FALSE(TakeJournalEntry(&size, &entry));
  std::string none = "PRIORITY=6\n\n\n\n";
  EXPECT_FALSE(TakeJournalEntry(&none, &entry));
}

TEST(JournalArgsTest, WhenAsked_AreAsJournalctlReadsThem) {
  LogOptions options;
  EXPECT_THAT(JournalArgs("c1", options), Contains("CONTAINER_ID_FULL=c1"));
  EXPECT_THAT(JournalArgs("c1", options), Contains("--lines=all"));
  EXPECT_THAT(JournalArgs("c1", options), Not(Contains("--follow")));
  options.tail = 3;
  options.follow = true;
  options.since = absl::FromUnixSeconds(7);
  EXPECT_THAT(JournalArgs("c1", options), Contains("--lines=3"));
  EXPECT_THAT(JournalArgs("c1", options), Contains("--follow"));
  EXPECT_THAT(JournalArgs("c1", options), Contains("--since=@7"));
}

}  // namespace
}  // namespace bulwark::engine
