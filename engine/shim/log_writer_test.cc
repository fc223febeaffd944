#include "engine/shim/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "engine/child/launch_plan.h"
#include "os/files.h"

namespace bulwark::shim {
namespace {

class LogWriterTest : public ::testing::Test {
 protected:
  void Open(uint64_t bytes, int files) { Open({bytes, files}); }
  void Open(const LogSettings& settings) {
    ASSERT_EQ(writer_->Open(directory_.get(), settings), 0);
  }
  void Write(const std::string& text, char stream = 'o') {
    writer_->Write(stream, reinterpret_cast<const uint8_t*>(text.data()),
                   text.size());
  }
  std::string Raw(const std::string& name = "log-1") {
    return os::ReadFile(dir_ / name, 1 << 30).value_or("missing");
  }
  // The records of a file without their times: "o F text".
  std::vector<std::string> Records(const std::string& name = "log-1") {
    std::vector<std::string> records;
    for (absl::string_view line :
         absl::StrSplit(Raw(name), '\n', absl::SkipEmpty())) {
      records.emplace_back(line.substr(20));
    }
    return records;
  }

  ::bulwark::testing::TempDir dir_;
  UniqueFd directory_{
      open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  std::unique_ptr<LogWriter> writer_ = std::make_unique<LogWriter>();
};

using Lines = std::vector<std::string>;

TEST_F(LogWriterTest, WhenLinesComeInPieces_AreWrittenWhole) {
  Open(0, 1);
  Write("one\ntw");
  Write("o\n\nthree");
  Write("error\n", 'e');
  EXPECT_EQ(Records(), (Lines{"o F one", "o F two", "o F ", "e F error"}));
  writer_->Finish();
  EXPECT_EQ(Records().back(), "o F three");
}

TEST_F(LogWriterTest, WhenALineIsTooLong_IsCutIntoParts) {
  Open(0, 1);
  Write(std::string(kMaxLine, 'a') + "b\n" + std::string(kMaxLine, 'c'));
  Write("\n");
  EXPECT_EQ(Records(), (Lines{"o P " + std::string(kMaxLine, 'a'), "o F b",
                              "o P " + std::string(kMaxLine, 'c'), "o F "}));
}

TEST_F(LogWriterTest, WhenAFileIsFull_TheNextBeginsAndTheOldestGoes) {
  Open(100, 3);
  for (int i = 0; i < 10; ++i) Write("0123456789\n");  // 35 bytes each
  for (const char* gone : {"log-1", "log-2", "log-6"}) {
    EXPECT_EQ(Raw(gone), "missing");
  }
  for (const char* kept : {"log-3", "log-4", "log-5"}) {
    EXPECT_EQ(Records(kept).size(), 2u);
  }
}

TEST_F(LogWriterTest, WhenTheOldestIsCompressed_ItGoesToo) {
  Open(100, 2);
  Write("0123456789\n0123456789\n");
  ASSERT_EQ(rename((dir_ / "log-1").c_str(), (dir_ / "log-1.gz").c_str()), 0);
  Write("0123456789\n0123456789\n");
  EXPECT_NE(Raw("log-1.gz"), "missing");
  Write("0123456789\n");
  EXPECT_EQ(Raw("log-1.gz"), "missing");
}

TEST_F(LogWriterTest, WhenThereIsOneFile_OnlyTheLastIsKept) {
  Open(100, 1);
  for (int i = 0; i < 3; ++i) Write("0123456789\n");
  EXPECT_EQ(Records("log-2").size(), 1u);
  EXPECT_EQ(Raw("log-1"), "missing");
}

TEST_F(LogWriterTest, WhenOneWriteHoldsManyFiles_RotatesWithinIt) {
  Open(1000, 4);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "0123456789\n";
  Write(text);
  for (const char* name : {"log-1", "log-2", "log-3", "log-4"}) {
    EXPECT_LE(Raw(name).size(), 1000u) << name;
    EXPECT_GE(Raw(name).size(), 500u) << name;
  }
}

TEST_F(LogWriterTest, WhenJson_WritesWhatDockersReadersRead) {
  Open({0, 1, child::kLogJsonFile});
  Write(std::string("a\"\\\t\x01\0\xff\xc3\xa9\n", 10));
  Write("err\n", 'e');
  writer_->Write('o', reinterpret_cast<const uint8_t*>("part"), 4);
  writer_->Finish();
  const std::vector<std::string> lines =
      absl::StrSplit(Raw("log-1.json"), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3u);
  const std::string first =
      "{\"log\":\"a\\\"\\\\\\t\\u0001\\u0000\\ufffd\xc3\xa9\\n\","
      "\"stream\":\"stdout\",\"time\":\"20";
  EXPECT_EQ(lines[0].substr(0, first.size()), first);
  EXPECT_EQ(lines[0].substr(lines[0].size() - 3), "Z\"}");
  EXPECT_EQ(lines[1].substr(0, 30), "{\"log\":\"err\\n\",\"stream\":\"stder");
}

TEST_F(LogWriterTest, WhenJsonLinesExpand_TheyStillFit) {
  Open({0, 1, child::kLogJsonFile});
  Write(std::string(kMaxLine, '\x01') + "\n");
  const std::string raw = Raw("log-1.json");
  EXPECT_GT(raw.size(), 6 * kMaxLine);
  EXPECT_LT(raw.size(), kMaxRecord + 128);
}

TEST_F(LogWriterTest, WhenNone_NothingIsWritten) {
  Open({0, 1, child::kLogNone});
  Write("x\n");
  writer_->Finish();
  EXPECT_EQ(Raw("log-1"), "missing");
}

TEST(LogFormatTest, WhenTimesAreOdd_TheDateIsRight) {
  const auto json = [](uint64_t seconds) {
    uint8_t bytes[256];
    const LogRecord record = {seconds * 1000000000 + 7, 'o', false, nullptr, 0};
    return std::string(reinterpret_cast<char*>(bytes),
                       FormatJson(record, bytes));
  };
  for (const auto& [seconds, text] :
       std::vector<std::pair<uint64_t, std::string>>{
           {0, "1970-01-01T00:00:00"},
           {951782399, "2000-02-28T23:59:59"},
           {951782400, "2000-02-29T00:00:00"},
           {951868800, "2000-03-01T00:00:00"},
           {1735689599, "2024-12-31T23:59:59"},
           {4107542400, "2100-03-01T00:00:00"}}) {
    EXPECT_EQ(json(seconds), "{\"log\":\"\",\"stream\":\"stdout\",\"time\":\"" +
                                 text + ".000000007Z\"}\n");
  }
}

// A socket that takes datagrams as the journal does.
class LogJournalTest : public LogWriterTest {
 protected:
  void Listen() {
    journal_.Reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path_.c_str(), sizeof(address.sun_path) - 1);
    unlink(path_.c_str());
    ASSERT_EQ(bind(journal_.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)),
              0);
  }
  void OpenJournal() {
    Open({0, 1, child::kLogJournal, "CONTAINER_ID=c1\n", path_.c_str()});
  }
  std::string Receive() {
    char buffer[64 << 10];
    const ssize_t n =
        recv(journal_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    return n < 0 ? "nothing" : std::string(buffer, static_cast<size_t>(n));
  }
  static std::string Datagram(const std::string& priority,
                              const std::string& text,
                              const std::string& rest = "") {
    std::string size(8, '\0');
    size[0] = static_cast<char>(text.size() & 0xff);
    size[1] = static_cast<char>(text.size() >> 8);
    return "CONTAINER_ID=c1\nPRIORITY=" + priority + "\nMESSAGE\n" + size +
           text + "\n" + rest;
  }

  std::string path_ = dir_ / "journal";
  UniqueFd journal_;
};

TEST_F(LogJournalTest, WhenLinesCome_EachIsADatagram) {
  Listen();
  OpenJournal();
  Write("one\n");
  Write("two\n", 'e');
  Write(std::string(kMaxLine, 'a') + "b\n");
  EXPECT_EQ(Receive(), Datagram("6", "one"));
  EXPECT_EQ(Receive(), Datagram("3", "two"));
  EXPECT_EQ(Receive(), Datagram("6", std::string(kMaxLine, 'a'),
                                "CONTAINER_PARTIAL_MESSAGE=true\n"));
  EXPECT_EQ(Receive(), Datagram("6", "b"));
}

TEST_F(LogJournalTest, WhenItRestarts_WhatWasLostIsTold) {
  OpenJournal();
  Write("lost 1\nlost 2\n");
  Listen();
  Write("one\n");
  EXPECT_EQ(
      Receive(),
      Datagram("3", "bulwark: could not write 2 log records, they are lost"));
  EXPECT_EQ(Receive(), Datagram("6", "one"));
  journal_.Reset();
  Listen();  // another one in its place
  Write("two\n");
  EXPECT_EQ(Receive(), Datagram("6", "two"));
}

TEST_F(LogJournalTest, WhenItHangs_NobodyWaitsForLong) {
  Listen();
  OpenJournal();
  const absl::Time start = absl::Now();
  for (int i = 0; i < 5000; ++i) Write("line\n");
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  while (Receive() != "nothing") {
  }
  Write("after\n");
  EXPECT_NE(Receive().find("could not write"), std::string::npos);
  EXPECT_EQ(Receive(), Datagram("6", "after"));
}

TEST_F(LogWriterTest, WhenOpenedAgain_GoesOnAtTheEnd) {
  Open(0, 1);
  Write("one\n");
  writer_ = std::make_unique<LogWriter>();
  Open(0, 1);
  Write("two\n");
  EXPECT_EQ(Records(), (Lines{"o F one", "o F two"}));
}

// A limit of the file size stands for a full disk: writes fail half way.
class FullDiskTest : public LogWriterTest,
                     public ::testing::WithParamInterface<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Drivers, FullDiskTest,
                         ::testing::Values(child::kLogLocal,
                                           child::kLogJsonFile));

TEST_P(FullDiskTest, WhenTheDiskIsFull_DropsWholeRecordsAndTellsHowMany) {
  const bool json = GetParam() == child::kLogJsonFile;
  const std::string name = json ? "log-1.json" : "log-1";
  const auto texts = [&] {
    std::vector<std::string> out;
    for (absl::string_view line :
         absl::StrSplit(Raw(name), '\n', absl::SkipEmpty())) {
      line = json ? line.substr(8, line.find("\\n\"") - 8) : line.substr(24);
      out.emplace_back(line);
    }
    return out;
  };
  signal(SIGXFSZ, SIG_IGN);
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  Open({0, 1, GetParam()});
  Write("first\n");
  const rlimit full = {Raw(name).size() + 10, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  Write("lost 1\nlost 2\n");
  Write("lost 3\n");
  EXPECT_EQ(texts(), Lines{"first"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  Write("after\n");
  EXPECT_EQ(texts(), (Lines{"first",
                            "bulwark: could not write 3 log records, they are "
                            "lost",
                            "after"}));
}

}  // namespace
}  // namespace bulwark::shim
