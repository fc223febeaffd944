// What makes a step run again, and what does not.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/build/testing/build_fixture.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using testing::Effect;

constexpr char kFile[] =
    "FROM scratch\nCOPY data /data\nRUN --mount=type=bind,source=data,target=/d"
    " make\n";

class CacheTest : public testing::BuildFixture {
 protected:
  CacheTest() {
    engine_.script = [](const ContainerSpec& spec) {
      EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/out", "made"));
      return Effect();
    };
    Write("data/a", "12345");
    Write("data/d/b", "b");
    EXPECT_EQ(symlink("a", Path("data/l").c_str()), 0);
  }

  std::string Path(const std::string& name) const {
    return absl::StrCat(request_.context_dir, "/", name);
  }

  // Until what files hold is remembered: not as long as they might change
  // within one step of the file system's clock.
  void AwaitSettled() {
    struct stat st;
    for (const char* name : {"data/a", "data/d/b"}) {
      if (lstat(Path(name).c_str(), &st) != 0) continue;
      while (clock_.Now() <
             absl::TimeFromTimespec(st.st_ctim) + absl::Milliseconds(25)) {
        clock_.Sleep(absl::Milliseconds(2));
      }
    }
  }

  // A build of which every file is remembered.
  Image Built() {
    AwaitSettled();
    EXPECT_OK(Build(kFile).status());
    const absl::StatusOr<Image> image = Build(kFile);
    EXPECT_OK(image.status());
    EXPECT_EQ(CachedSteps(), 2);
    return image.value_or(Image());
  }
};

TEST_F(CacheTest, WhenAFileLooksTheSameButForItsContent_StepsRunAgain) {
  const Image before = Built();
  struct stat st;
  ASSERT_EQ(stat(Path("data/a").c_str(), &st), 0);
  // In its place, of the same size, and with its time set back.
  std::fstream(Path("data/a"), std::ios::in | std::ios::out) << "54321";
  const timespec times[2] = {st.st_atim, st.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, Path("data/a").c_str(), times, 0), 0);
  ASSERT_OK_AND_ASSIGN(const Image after, Build(kFile));
  EXPECT_EQ(CachedSteps(), 0);
  EXPECT_NE(after.digest, before.digest);
  EXPECT_THAT(Read(after, "data/a"), IsOkAndHolds("54321"));
}

TEST_F(CacheTest, WhenAnotherFileTakesItsPlace_StepsRunAgain) {
  const Image before = Built();
  struct stat st;
  ASSERT_EQ(stat(Path("data/a").c_str(), &st), 0);
  Write("other", "54321");
  const timespec times[2] = {st.st_atim, st.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, Path("other").c_str(), times, 0), 0);
  ASSERT_EQ(rename(Path("other").c_str(), Path("data/a").c_str()), 0);
  ASSERT_OK_AND_ASSIGN(const Image after, Build(kFile));
  EXPECT_EQ(CachedSteps(), 0);
  EXPECT_NE(after.digest, before.digest);
}

TEST_F(CacheTest, WhenTheFolderChanges_StepsRunAgain) {
  const std::pair<const char*, std::function<void()>> changes[] = {
      {"mode", [this] { chmod(Path("data/a").c_str(), 0755); }},
      {"mode of a folder", [this] { chmod(Path("data/d").c_str(), 0700); }},
      {"link",
       [this] {
         unlink(Path("data/l").c_str());
         EXPECT_EQ(symlink("d/b", Path("data/l").c_str()), 0);
       }},
      {"added", [this] { Write("data/c", ""); }},
      {"renamed",
       [this] { rename(Path("data/a").c_str(), Path("data/z").c_str()); }},
      {"removed", [this] { unlink(Path("data/z").c_str()); }},
      {"a folder in the place of a file",
       [this] {
         unlink(Path("data/c").c_str());
         EXPECT_OK(os::MakeDirs(Path("data/c"), 0755));
       }},
  };
  Built();
  for (const auto& [what, change] : changes) {
    change();
    EXPECT_OK(Build(kFile).status());
    EXPECT_EQ(CachedSteps(), 0) << what;
    Built();
  }
}

TEST_F(CacheTest, WhenOnlyTimesChange_TheImageIsTheSame) {
  const Image before = Built();
  ASSERT_EQ(utimensat(AT_FDCWD, Path("data/a").c_str(), nullptr, 0), 0);
  ASSERT_OK_AND_ASSIGN(const Image after, Build(kFile));
  EXPECT_EQ(CachedSteps(), 2);
  EXPECT_EQ(after.digest, before.digest);
}

TEST_F(CacheTest, WhenNothingHasChanged_TheIndexStaysAsItIs) {
  Built();
  struct stat before, after;
  const std::string index = dir_ / "state/index.json";
  ASSERT_EQ(stat(index.c_str(), &before), 0);
  ASSERT_OK(Build(kFile).status());
  ASSERT_EQ(stat(index.c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  // A new name is written down.
  request_.tags = {"app:1", "app:2"};
  ASSERT_OK(Build(kFile).status());
  ASSERT_EQ(stat(index.c_str(), &after), 0);
  EXPECT_NE(after.st_ino, before.st_ino);
}

}  // namespace
}  // namespace bulwark::engine
