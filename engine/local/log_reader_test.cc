// Reading logs while they are written, rotated and compressed.
#include "engine/local/log_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "engine/local/log_compressor.h"
#include "engine/local/log_file.h"
#include "engine/local/log_line.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using Lines = std::vector<std::string>;

constexpr char kOneGone[] =
    "bulwark: a log file was removed before it was read, its lines are lost";

std::string Line(int64_t seconds, absl::string_view text, char part = 'F') {
  return absl::StrCat(1700000000 + seconds, "000000000 o ",
                      std::string(1, part), " ", text, "\n");
}
absl::Time At(int64_t seconds) {
  return absl::FromUnixSeconds(1700000000 + seconds);
}

class LogReaderTest : public ::testing::Test {
 protected:
  void Append(const std::string& name, absl::string_view text) {
    UniqueFd fd(open((dir_ / name).c_str(),
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    ASSERT_OK(os::WriteAll(fd.get(), text, name));
  }
  bool Exists(const std::string& name) {
    return access((dir_ / name).c_str(), F_OK) == 0;
  }
  void Compress() { ASSERT_OK(CompressLogs(dir_.path(), scratch_)); }
  std::unique_ptr<LogReader> Open(const LogOptions& options = {}) {
    auto reader = OpenLog(
        dir_.path(), options, [this] { return exited_.load(); }, clock_);
    EXPECT_OK(reader);
    return *std::move(reader);
  }
  Lines Read(LogReader& reader) {
    Lines lines;
    while (true) {
      const auto entry = reader.Next(absl::ZeroDuration());
      if (!entry.ok()) break;
      lines.push_back(entry->line);
    }
    return lines;
  }
  Lines ReadAll(const LogOptions& options = {}) { return Read(*Open(options)); }
  static LogOptions Tail(int64_t n) {
    LogOptions options;
    options.tail = n;
    return options;
  }
  // log-1 to log-3, four lines each: "0" to "11", a second apart.
  void WriteThree() {
    for (int i = 0; i < 12; ++i) {
      Append(absl::StrCat("log-", i / 4 + 1), Line(i, absl::StrCat(i)));
    }
  }

  ::bulwark::testing::TempDir dir_;
  ::bulwark::testing::TempDir other_;
  std::string scratch_ = other_ / "scratch";
  std::atomic<bool> exited_ = false;
  RealClock clock_;
};

TEST_F(LogReaderTest, WhenAFileIsMissing_GoesOnAfterIt) {
  WriteThree();
  ASSERT_EQ(unlink((dir_ / "log-2").c_str()), 0);
  const Lines all = {"0", "1", "2", "3", kOneGone, "8", "9", "10", "11"};
  EXPECT_EQ(ReadAll(), all);
  EXPECT_EQ(ReadAll(Tail(5)), (Lines{"3", kOneGone, "8", "9", "10", "11"}));
  EXPECT_EQ(ReadAll(Tail(4)), (Lines{"8", "9", "10", "11"}));
  LogOptions follow;
  follow.follow = true;
  exited_ = true;
  EXPECT_EQ(ReadAll(follow), all);
  // What is older than what is asked for is not missed.
  LogOptions since;
  since.since = At(8);
  struct timespec times[2] = {absl::ToTimespec(At(3)), absl::ToTimespec(At(3))};
  ASSERT_EQ(utimensat(AT_FDCWD, (dir_ / "log-1").c_str(), times, 0), 0);
  ASSERT_EQ(unlink((dir_ / "log-3").c_str()), 0);
  Append("log-5", Line(11, "11"));
  Append("log-7", Line(12, "12"));
  const Lines late = ReadAll(since);
  EXPECT_EQ(late.back(), "12");
  EXPECT_EQ(late[late.size() - 2], kOneGone);
}

// All of it went while nobody read: what is there first, from the first on.
TEST_F(LogReaderTest, WhenFilesGoBeforeTheyAreRead_ItIsToldAndWhen) {
  LogOptions options;
  options.follow = true;
  auto reader = Open(options);
  Append("log-4", Line(4, "d"));
  EXPECT_EQ(Read(*reader),
            Lines({"bulwark: 3 log files were removed before they were read, "
                   "their lines are lost",
                   "d"}));
  Append("log-6", Line(6, "f"));
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::ZeroDuration()));
  EXPECT_EQ(entry.line, kOneGone);
  EXPECT_TRUE(entry.is_stderr);
  // Between the lines before and after, so that merging keeps its place.
  EXPECT_GT(entry.time, At(4));
  EXPECT_LT(entry.time, At(6));
  EXPECT_EQ(Read(*reader), Lines({"f"}));
  // Who begins now misses nothing that went before.
  Append("log-7", Line(7, "g"));
  ASSERT_EQ(unlink((dir_ / "log-4").c_str()), 0);
  EXPECT_EQ(Read(*Open()), Lines({"f", "g"}));
  reader = Open();
  ASSERT_EQ(unlink((dir_ / "log-6").c_str()), 0);
  EXPECT_EQ(Read(*reader), Lines({kOneGone, "g"}));
}

TEST_F(LogReaderTest, WhenFilesAreCompressed_NothingChangesForReaders) {
  WriteThree();
  const Lines all = ReadAll();
  EXPECT_EQ(all.size(), 12u);
  Compress();
  EXPECT_TRUE(Exists("log-1.gz"));
  EXPECT_FALSE(Exists("log-1"));
  EXPECT_TRUE(Exists("log-3"));
  EXPECT_FALSE(Exists("log-3.gz"));
  EXPECT_EQ(ReadAll(), all);
  EXPECT_NE(access(scratch_.c_str(), F_OK), 0);
  Compress();  // again: nothing to do
  EXPECT_EQ(ReadAll(), all);
}

TEST_F(LogReaderTest, WhenTailIsAsked_CountsOverFilesOfBothKinds) {
  WriteThree();
  for (const bool compressed : {false, true}) {
    if (compressed) Compress();
    EXPECT_EQ(ReadAll(Tail(0)), Lines());
    EXPECT_EQ(ReadAll(Tail(1)), Lines({"11"}));
    EXPECT_EQ(ReadAll(Tail(4)), Lines({"8", "9", "10", "11"}));
    EXPECT_EQ(ReadAll(Tail(5)), Lines({"7", "8", "9", "10", "11"}));
    EXPECT_EQ(ReadAll(Tail(10)).front(), "2");
    EXPECT_EQ(ReadAll(Tail(100)).size(), 12u);
  }
}

TEST_F(LogReaderTest, WhenATimeIsAsked_OnlyThatIsRead) {
  WriteThree();
  Compress();
  LogOptions options;
  options.since = At(5);
  options.until = At(9);
  EXPECT_EQ(ReadAll(options), Lines({"5", "6", "7", "8"}));
  options.tail = 2;
  EXPECT_EQ(ReadAll(options), Lines({"7", "8"}));
  options.tail = 0;
  EXPECT_EQ(ReadAll(options), Lines());
  options = {};
  options.until = At(0);
  EXPECT_EQ(ReadAll(options), Lines());
  options.follow = true;  // its end has come already
  EXPECT_EQ(ReadAll(options), Lines());
}

TEST_F(LogReaderTest, WhenFollowed_LinesComeOnceAcrossFiles) {
  Append("log-1", Line(0, "a"));
  LogOptions options;
  options.follow = true;
  auto reader = Open(options);
  EXPECT_EQ(Read(*reader), Lines({"a"}));
  Append("log-1", Line(1, "b"));
  Append("log-2", Line(2, "c"));
  EXPECT_EQ(Read(*reader), Lines({"b", "c"}));
  // What it has read is compressed, and what it reads is dropped.
  Compress();
  Append("log-2", Line(3, "d"));
  Append("log-3", Line(4, "e"));
  ASSERT_EQ(unlink((dir_ / "log-2").c_str()), 0);
  EXPECT_EQ(Read(*reader), Lines({"d", "e"}));
  // It was slow: two files came and went.
  Append("log-5", Line(5, "f"));
  ASSERT_EQ(unlink((dir_ / "log-3").c_str()), 0);
  EXPECT_EQ(Read(*reader), Lines({kOneGone, "f"}));
  Append("log-5", "17");  // not whole yet
  EXPECT_EQ(Read(*reader), Lines());
  Append("log-5", Line(6, "g").substr(2));
  EXPECT_EQ(Read(*reader), Lines({"g"}));
  exited_ = true;
  EXPECT_EQ(reader->Next(absl::Seconds(9)).status().code(),
            absl::StatusCode::kOutOfRange);
}

TEST_F(LogReaderTest, WhenNothingIsThereYet_FollowersWait) {
  LogOptions options;
  options.follow = true;
  options.tail = 5;
  auto reader = Open(options);
  EXPECT_EQ(Read(*reader), Lines());
  Append("log-1", Line(0, "a"));
  EXPECT_EQ(Read(*reader), Lines({"a"}));
}

TEST_F(LogReaderTest, WhenCompressedFilesAreDamaged_TheRestIsRead) {
  for (int i = 0; i < 20000; ++i) {
    Append("log-1", Line(i, absl::StrCat("line ", i * 7919)));
  }
  Append("log-2", Line(20000, "after"));
  Compress();
  const std::string file = dir_ / "log-1.gz";
  struct stat st;
  ASSERT_EQ(stat(file.c_str(), &st), 0);
  ASSERT_EQ(truncate(file.c_str(), st.st_size / 2), 0);
  Lines lines = ReadAll();
  ASSERT_GT(lines.size(), 100u);
  EXPECT_EQ(lines.front(), "line 0");
  EXPECT_EQ(lines.back(), "after");
  EXPECT_EQ(
      lines[lines.size() - 2],
      "bulwark: the log file log-1.gz is damaged, the rest of it is lost");
  EXPECT_EQ(ReadAll(Tail(1)), Lines({"after"}));
  // Nothing of it is right.
  ASSERT_EQ(truncate(file.c_str(), 0), 0);
  Append("log-1.gz", "\x1f\x8b\x08garbage that is no such thing");
  lines = ReadAll();
  EXPECT_EQ(lines.size(), 2u);
}

TEST_F(LogReaderTest, WhenCompressionWasCutOff_NothingIsTwice) {
  WriteThree();
  Compress();
  // Killed before the plain one was removed.
  for (int i = 0; i < 4; ++i) Append("log-1", Line(i, absl::StrCat(i)));
  EXPECT_EQ(ReadAll().size(), 12u);
  Compress();
  EXPECT_FALSE(Exists("log-1"));
  EXPECT_EQ(ReadAll().size(), 12u);
  // Killed before it had its name.
  ASSERT_OK(os::WriteFileDurably(scratch_, "half", 0600));
  Append("log-4", Line(12, "12"));
  Compress();
  EXPECT_EQ(ReadAll().size(), 13u);
}

TEST_F(LogReaderTest, WhenItCannotBeCompressed_ThePlainOneStays) {
  WriteThree();
  EXPECT_FALSE(CompressLogs(dir_.path(), "/no/such/folder/x").ok());
  EXPECT_TRUE(Exists("log-1"));
  EXPECT_EQ(ReadAll().size(), 12u);
  EXPECT_OK(CompressLogs(dir_ / "gone", scratch_));
}

TEST_F(LogReaderTest, WhenFilesAreDockers_TheyAreReadAndLeftAlone) {
  Append("log-1.json",
         "{\"log\":\"a\\\"\\u0001\\u00e9\\n\",\"stream\":\"stderr\","
         "\"time\":\"2030-01-31T12:00:00.5Z\"}\n");
  Append("log-2.json",
         "{\"log\":\"part\",\"stream\":\"stdout\","
         "\"time\":\"2030-01-31T12:00:01Z\"}\n");
  Compress();
  EXPECT_TRUE(Exists("log-1.json"));
  auto reader = Open();
  ASSERT_OK_AND_ASSIGN(LogEntry entry, reader->Next(absl::ZeroDuration()));
  EXPECT_EQ(entry.line, "a\"\x01\xc3\xa9");
  EXPECT_TRUE(entry.is_stderr);
  EXPECT_FALSE(entry.partial);
  EXPECT_EQ(absl::FormatTime(entry.time, absl::UTCTimeZone()),
            "2030-01-31T12:00:00.5+00:00");
  ASSERT_OK_AND_ASSIGN(entry, reader->Next(absl::ZeroDuration()));
  EXPECT_EQ(entry.line, "part");
  EXPECT_TRUE(entry.partial);
}

TEST_F(LogReaderTest, WhenLinesAreNoRecords_TheyAreSkipped) {
  Append("log-1", "\n");
  Append("log-1", std::string("\0\0\0\n", 4));
  Append("log-1", "{\"log\":\"x\n{}\n{\"log\":\"\\u00\"}\n");
  Append("log-1", std::string(3 << 20, 'x') + "\n");
  Append("log-1", Line(0, std::string("a\0b", 3)));
  Append("log-1", Line(1, "cut").substr(0, 26));
  Append("log-2", Line(2, "next"));
  EXPECT_EQ(ReadAll(), Lines({std::string("a\0b", 3), "next"}));
}

// A writer, a compressor and a reader at once: each line once, in order.
TEST_F(LogReaderTest, WhenAllGoOnAtOnce_NoLineIsLostOrTwice) {
  constexpr int kLines = 20000;
  Append("log-1", "");
  LogOptions options;
  options.follow = true;
  auto reader = Open(options);
  std::thread writer([this] {
    for (int i = 0; i < kLines; i += 100) {
      std::string text;
      for (int j = i; j < i + 100; ++j) text += Line(j, absl::StrCat(j));
      Append(absl::StrCat("log-", i / 500 + 1), text);
    }
    exited_ = true;
  });
  std::atomic<bool> stop = false;
  std::thread compressor([this, &stop] {
    while (!stop) EXPECT_OK(CompressLogs(dir_.path(), scratch_));
  });
  int next = 0;
  while (true) {
    const auto entry = reader->Next(absl::Seconds(10));
    if (!entry.ok()) break;
    ASSERT_EQ(entry->line, absl::StrCat(next));
    ++next;
  }
  EXPECT_EQ(next, kLines);
  writer.join();
  stop = true;
  compressor.join();
  EXPECT_EQ(ReadAll().size(), static_cast<size_t>(kLines));
}

TEST(LogFileNameTest, WhenForeign_IsNone) {
  LogFileName name;
  for (const char* text :
       {"log.", "log-", "log-x", "log-1.txt", "log-1.gz.part", "log.x",
        "log--1", "log-99999999999999999999"}) {
    EXPECT_FALSE(ParseLogFileName(text, &name)) << text;
  }
  for (const char* text : {"log-1", "log-12.json", "log-3.gz"}) {
    ASSERT_TRUE(ParseLogFileName(text, &name)) << text;
    EXPECT_EQ(name.ToString(), text);
  }
}

}  // namespace
}  // namespace bulwark::engine
