// ctl build, again and again of one folder: what has changed arrives, and what
// has not is not sent.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class ContextTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2ectx"); }
  static void TearDownTestSuite() { Close(); }

  void SetUp() override {
    Suite::SetUp();
    context_ = world().Path("context");
    fs::create_directories(context_ + "/data/d");
    Write("data/a", "12345\n");
    Write("data/d/b", "b\n");
    const std::string link = context_ + "/data/link";
    fs::create_symlink("a", link);
    // Of no minute that passes: a layer that another test built will do.
    const timespec times[2] = {{1577836800, 0}, {1577836800, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, link.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
    Write("Dockerfile",
          absl::StrCat("FROM ", busybox(), "\nCOPY data /data\n",
                       "CMD [\"sh\", \"-c\", \"cd /data && stat -c '%n %a' * "
                       "*/* && cat a link d/* 2>&1; ls -l link\"]\n"));
  }
  void TearDown() override {
    Ctl({"rmi", "context:1"});
    fs::remove_all(context_);
  }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(context_ + "/" + name) << text;
  }

  // Until every file is older than what is too young to be told from another.
  void AwaitOld() const {
    ASSERT_TRUE(Eventually([this] {
      for (const auto& entry : fs::recursive_directory_iterator(context_)) {
        struct stat st;
        if (lstat(entry.path().c_str(), &st) == 0 &&
            absl::TimeFromTimespec(st.st_ctim) + absl::Seconds(4) > WallNow()) {
          return false;
        }
      }
      return true;
    }));
  }

  // What the image says that it holds.
  std::string Built() const {
    Ctl({"build", "-q", "-t", "context:1", context_});
    return Ctl({"run", "--rm", "--pull", "never", "context:1"}).out;
  }

  static std::set<std::string> Kept() {
    std::set<std::string> names;
    for (const auto& entry :
         fs::directory_iterator(world().Path("s/uploads"))) {
      names.insert(entry.path());
    }
    return names;
  }

  std::string context_;
};

TEST_F(ContextTest, WhenSomethingChanges_TheImageHasIt) {
  AwaitOld();
  const std::string first = Built();
  EXPECT_THAT(first, HasSubstr("12345\n12345\nb\n"));
  const std::set<std::string> kept = Kept();
  EXPECT_EQ(kept.size(), 1);
  // Nothing is sent, so nothing new lies there.
  EXPECT_EQ(Built(), first);
  EXPECT_EQ(Kept(), kept);
  EXPECT_THAT(
      Ctl({"build", "--progress", "plain", "-t", "context:1", context_}).err,
      HasSubstr("CACHED"));

  const std::string a = context_ + "/data/a";
  const std::vector<std::pair<std::function<void()>, std::string>> changes = {
      {[&] {
         struct stat st;
         ASSERT_EQ(stat(a.c_str(), &st), 0);
         const timespec times[2] = {st.st_atim, st.st_mtim};
         std::fstream(a, std::ios::in | std::ios::out) << "54321\n";
         ASSERT_EQ(utimensat(AT_FDCWD, a.c_str(), times, 0), 0);
       },
       "54321\n54321\nb\n"},
      {[&] { chmod(a.c_str(), 0600); }, "a 600\n"},
      {[&] {
         fs::remove(context_ + "/data/link");
         fs::create_symlink("d/b", context_ + "/data/link");
       },
       "54321\nb\nb\n"},
      {[&] { Write("data/d/c", "c\n"); }, "b\nc\n"},
      {[&] { fs::rename(context_ + "/data/d/c", context_ + "/data/d/z"); },
       "d/z 644\n"},
      {[&] { fs::remove(context_ + "/data/d/z"); }, "54321\nb\nb\n"},
      {[&] { chmod((context_ + "/data/d").c_str(), 0700); }, "d 700\n"},
  };
  std::string before = first;
  for (const auto& [change, says] : changes) {
    change();
    // Once while it is too new to be told, and once when it is not.
    const std::string after = Built();
    EXPECT_THAT(after, HasSubstr(says));
    EXPECT_NE(after, before);
    EXPECT_EQ(Built(), after);
    before = after;
  }
  AwaitOld();
  EXPECT_EQ(Built(), before);
  EXPECT_EQ(Built(), before);
  // Later, so that only what the kernel notes tells the contents apart.
  Write("data/d/b", "B\n");
  AwaitOld();
  EXPECT_THAT(Built(), HasSubstr("54321\nB\nB\n"));
  Write(".dockerignore", "data/d\n");
  EXPECT_THAT(Built(), Not(HasSubstr("B\n")));
}

TEST_F(ContextTest, WhenTheDaemonForgets_AllIsSentAgain) {
  AwaitOld();
  const std::string first = Built();
  EXPECT_FALSE(Kept().empty());
  world().StopDaemon();
  world().StartDaemon();
  EXPECT_TRUE(Kept().empty());
  EXPECT_EQ(Built(), first);
  EXPECT_EQ(Built(), first);
  EXPECT_EQ(Kept().size(), 1);
  Ctl({"system", "prune"});
  EXPECT_TRUE(Kept().empty());
  EXPECT_EQ(Built(), first);
}

}  // namespace
}  // namespace bulwark::e2e
