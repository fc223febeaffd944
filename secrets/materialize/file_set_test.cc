#include "secrets/materialize/file_set.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"

namespace bulwark::secrets {
namespace {

namespace fs = std::filesystem;

PlainFile File(const std::string& name, const std::string& text,
               uint32_t mode = 0400) {
  PlainFile file{name, mode, SecretBytes(text.size())};
  if (!text.empty()) std::memcpy(file.content.data(), text.data(), text.size());
  return file;
}

std::vector<PlainFile> Pair(const std::string& a, const std::string& b) {
  std::vector<PlainFile> files;
  files.push_back(File("a", a));
  files.push_back(File("b", b, 0440));
  return files;
}

class FileSetTest : public ::testing::Test {
 protected:
  std::string Read(const std::string& name) {
    std::stringstream text;
    text << std::ifstream(set_ + "/" + name).rdbuf();
    return text.str();
  }
  struct stat Look(const std::string& name) {
    struct stat info {};
    EXPECT_EQ(stat((set_ + "/" + name).c_str(), &info), 0) << name;
    return info;
  }

  testing::TempDir dir_;
  const std::string set_ = dir_ / "set";
};

TEST_F(FileSetTest, WhenWritten_HasContentModesAndNothingElse) {
  const mode_t before = umask(0077);
  ASSERT_OK(WriteFileSet(set_, Pair("one", "")));
  umask(before);
  EXPECT_EQ(Read("a"), "one");
  EXPECT_EQ(Read("b"), "");
  EXPECT_EQ(Look("a").st_mode & 07777, 0400u);
  EXPECT_EQ(Look("b").st_mode & 07777, 0440u);
  EXPECT_EQ(Look(".").st_mode & 07777, 0555u);
  EXPECT_EQ(fs::read_symlink(set_ + "/a"), "..data/a");
  int entries = 0;
  for (const auto& entry : fs::directory_iterator(set_)) ++entries, (void)entry;
  EXPECT_EQ(entries, 4);  // a, b, ..data and where that leads
}

TEST_F(FileSetTest, WhenUnchanged_TouchesNothing) {
  ASSERT_OK(WriteFileSet(set_, Pair("one", "two")));
  const fs::path before = fs::read_symlink(set_ + "/..data");
  ASSERT_OK(WriteFileSet(set_, Pair("one", "two")));
  EXPECT_EQ(fs::read_symlink(set_ + "/..data"), before);
  ASSERT_OK(WriteFileSet(set_, Pair("one", "twx")));
  EXPECT_NE(fs::read_symlink(set_ + "/..data"), before);
}

TEST_F(FileSetTest, WhenItsDirectoryWasGivenAway_NewFilesGoToTheSameOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give files away";
  ASSERT_OK(WriteFileSet(set_, Pair("one", "two")));
  ASSERT_EQ(chown(set_.c_str(), 1000, 1001), 0);
  ASSERT_OK(WriteFileSet(set_, Pair("new", "two")));
  EXPECT_EQ(Look("a").st_uid, 1000u);
  EXPECT_EQ(Look("a").st_gid, 1001u);
  EXPECT_EQ(Look("..data").st_uid, 1000u);
}

TEST_F(FileSetTest, WhenACrashLeftPieces_TheNextWriteMendsIt) {
  ASSERT_OK(WriteFileSet(set_, Pair("one", "two")));
  fs::create_directories(set_ + "/..0123456789abcdef");
  fs::create_symlink("..0123456789abcdef", set_ + "/..data_next");
  fs::remove(set_ + "/b");
  ASSERT_OK(WriteFileSet(set_, Pair("one", "two")));
  EXPECT_EQ(Read("b"), "two");
  EXPECT_FALSE(fs::exists(set_ + "/..0123456789abcdef"));
  EXPECT_FALSE(fs::is_symlink(set_ + "/..data_next"));
}

TEST_F(FileSetTest, WhenReadWhileSwapped_IsOldOrNewAndNeverMixed) {
  ASSERT_OK(WriteFileSet(set_, Pair("0", "0")));
  std::atomic<bool> done{false};
  std::atomic<int> mixed{0}, seen{0};
  std::thread reader([&] {
    while (!done) {
      // A directory is looked up once, as a careful reader does. It can go the
      // next moment; then there is nothing to read, and one looks again.
      const std::string data = fs::read_symlink(set_ + "/..data");
      std::string a, b;
      std::ifstream(set_ + "/" + data + "/a") >> a;
      std::ifstream(set_ + "/" + data + "/b") >> b;
      if (a.empty() || b.empty()) continue;
      ++seen;
      if (a != b) ++mixed;
    }
  });
  for (int i = 1; i < 300 || seen == 0; ++i) {
    ASSERT_OK(WriteFileSet(set_, Pair(std::to_string(i), std::to_string(i))));
  }
  done = true;
  reader.join();
  EXPECT_EQ(mixed, 0);
  EXPECT_GT(seen, 0);
}

TEST_F(FileSetTest, WhenASingleFileIsReplaced_KeepsItsOwner) {
  const std::string path = dir_ / "file";
  ASSERT_OK(WriteSingleFile(path, File("file", "one", 0444)));
  if (geteuid() == 0) {
    ASSERT_EQ(chown(path.c_str(), 7, 8), 0);
  }
  ASSERT_OK(WriteSingleFile(path, File("file", "two")));
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
  if (geteuid() == 0) {
    EXPECT_EQ(info.st_uid, 7u);
  }
}

}  // namespace
}  // namespace bulwark::secrets
