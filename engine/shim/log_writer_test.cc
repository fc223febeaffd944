#include "engine/shim/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "os/files.h"

namespace bulwark::shim {
namespace {

class LogWriterTest : public ::testing::Test {
 protected:
  void Open(uint64_t bytes, int files) {
    ASSERT_EQ(writer_->Open(directory_.get(), bytes, files), 0);
  }
  void Write(const std::string& text, char stream = 'o') {
    writer_->Write(stream, reinterpret_cast<const uint8_t*>(text.data()),
                   text.size());
  }
  std::string Raw(const std::string& name = "log") {
    return os::ReadFile(dir_ / name, 1 << 30).value_or("missing");
  }
  // The records of a file without their times: "o F text".
  std::vector<std::string> Records(const std::string& name = "log") {
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

TEST_F(LogWriterTest, WhenAFileIsFull_ItIsRotatedAndTheOldestGoes) {
  Open(100, 3);
  for (int i = 0; i < 10; ++i) Write("0123456789\n");  // 35 bytes each
  EXPECT_EQ(Records("log").size(), 2u);
  EXPECT_EQ(Records("log.1").size(), 2u);
  EXPECT_EQ(Records("log.2").size(), 2u);
  EXPECT_EQ(Raw("log.3"), "missing");
}

TEST_F(LogWriterTest, WhenThereIsOneFile_ItIsEmptied) {
  Open(100, 1);
  for (int i = 0; i < 3; ++i) Write("0123456789\n");
  EXPECT_EQ(Records("log").size(), 1u);
  EXPECT_EQ(Raw("log.1"), "missing");
}

TEST_F(LogWriterTest, WhenOneWriteHoldsManyFiles_RotatesWithinIt) {
  Open(1000, 4);
  std::string text;
  for (int i = 0; i < 100; ++i) text += "0123456789\n";
  Write(text);
  for (const char* name : {"log", "log.1", "log.2", "log.3"}) {
    EXPECT_LE(Raw(name).size(), 1000u) << name;
    EXPECT_GE(Raw(name).size(), 500u) << name;
  }
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
TEST_F(LogWriterTest, WhenTheDiskIsFull_DropsWholeRecordsAndTellsHowMany) {
  signal(SIGXFSZ, SIG_IGN);
  rlimit old;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  Open(0, 1);
  Write("first\n");
  const rlimit full = {Raw().size() + 10, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  Write("lost 1\nlost 2\n");
  Write("lost 3\n");
  EXPECT_EQ(Records(), Lines{"o F first"});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  Write("after\n");
  EXPECT_EQ(Records(),
            (Lines{"o F first",
                   "s F bulwark: could not write 3 log records, they are lost",
                   "o F after"}));
}

}  // namespace
}  // namespace bulwark::shim
