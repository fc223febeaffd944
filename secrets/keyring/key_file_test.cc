#include "secrets/keyring/key_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"

namespace bulwark::secrets {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using testing::StatusIs;

class KeyFileTest : public ::testing::Test {
 protected:
  void Write(const std::string& text, mode_t mode = 0400) {
    unlink(path_.c_str());
    std::ofstream(path_) << text;
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
  }
  std::string Read() {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  testing::TempDir dir_;
  const std::string path_ = dir_ / "etc/master.key";

  void SetUp() override { ASSERT_EQ(mkdir((dir_ / "etc").c_str(), 0755), 0); }
};

TEST_F(KeyFileTest, WhenMade_IsReadOnlyForItsOwnerAndReadsBack) {
  const mode_t before = umask(0);
  ASSERT_OK(CreateKeyFile(path_));
  umask(before);
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
  EXPECT_EQ(info.st_nlink, 1u);
  ASSERT_OK_AND_ASSIGN(const auto keys, ReadKeyFile(path_));
  ASSERT_THAT(keys, SizeIs(1));
  EXPECT_THAT(keys[0].Reveal(), SizeIs(32));
}

TEST_F(KeyFileTest, WhenItsFolderIsMissing_MakesThatToo) {
  const std::string path = dir_ / "a/b/key";
  ASSERT_OK(CreateKeyFile(path));
  EXPECT_OK(ReadKeyFile(path));
}

TEST_F(KeyFileTest, WhenThereIsOne_IsNeverReplaced) {
  Write("anything");
  const absl::Status status = CreateKeyFile(path_);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(Read(), "anything");
  EXPECT_NE(access((path_ + ".new").c_str(), F_OK), 0);
}

TEST_F(KeyFileTest, WhenACrashLeftADraft_IsMadeNevertheless) {
  std::ofstream(path_ + ".new") << "half";
  ASSERT_OK(CreateKeyFile(path_));
  EXPECT_OK(ReadKeyFile(path_));
}

TEST_F(KeyFileTest, WhenSeveralKeysAndComments_ReadsThemInOrder) {
  const std::string a(64, 'a'), b(64, 'B');
  Write("# keys of host x\n\n  " + a + " # new\r\n" + b);
  ASSERT_OK_AND_ASSIGN(const auto keys, ReadKeyFile(path_));
  ASSERT_THAT(keys, SizeIs(2));
  EXPECT_TRUE(keys[0].Reveal() == std::string(32, '\xaa'));
  EXPECT_TRUE(keys[1].Reveal() == std::string(32, '\xbb'));
}

TEST_F(KeyFileTest, WhenItHoldsNoKeys_SaysTheLineAndNotWhatIsInIt) {
  Write("\n" + std::string(63, 'a') + "\n");
  EXPECT_THAT(ReadKeyFile(path_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("line 2"), HasSubstr(path_),
                             Not(HasSubstr("aaa")))));
  for (const std::string& text :
       {std::string(), std::string("# none\n"), std::string(64, 'x'),
        std::string(65, 'a'), std::string(64, '\0'), std::string(20000, '\n'),
        std::string(32, 'a') + " " + std::string(32, 'a')}) {
    Write(text);
    EXPECT_THAT(ReadKeyFile(path_).status(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(KeyFileTest, WhenOthersMayReadItOrItIsNoFile_Refuses) {
  Write(std::string(64, 'a'), 0440);
  EXPECT_THAT(ReadKeyFile(path_).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ReadKeyFile(dir_.path()).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(ReadKeyFile(dir_ / "none").status(),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace bulwark::secrets
