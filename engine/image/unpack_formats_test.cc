// Layers as many tools write them.
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/image/digest.h"
#include "engine/image/testing/raw_tar.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/image/testing/unpack_fixture.h"

namespace bulwark::engine::image {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AnyOf;
using testing::Binary;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RawTar;
using testing::TarBuilder;

class UnpackFormatsTest : public testing::UnpackFixture {};

TEST_F(UnpackFormatsTest, WhenSparse_EveryFormatKeepsContentsAndHoles) {
  ASSERT_OK(os::MakeDirs(out_ / "from", 0755));
  const std::string file = out_ / "from/sparse";
  constexpr off_t kSize = 40 << 20;
  {
    const UniqueFd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    ASSERT_EQ(pwrite(fd.get(), "begin", 5, 0), 5);
    // More pieces than fit into one old header.
    for (int i = 1; i < 40; ++i) {
      ASSERT_EQ(pwrite(fd.get(), "x", 1, i << 20), 1);
    }
    ASSERT_EQ(ftruncate(fd.get(), kSize), 0);
  }
  ASSERT_OK_AND_ASSIGN(const std::string wanted, os::ReadFile(file, kSize));
  for (const char* flags : {"-S --format=gnu", "-S --format=oldgnu",
                            "-S --format=pax --sparse-version=0.0",
                            "-S --format=pax --sparse-version=0.1",
                            "-S --format=pax --sparse-version=1.0"}) {
    SCOPED_TRACE(flags);
    const std::string tar = GnuTar(flags);
    ASSERT_LT(tar.size(), 2 << 20);
    ASSERT_OK(Unpack(tar));
    EXPECT_EQ(Stat("sparse").st_size, kSize);
    EXPECT_LT(Stat("sparse").st_blocks * 512, 2 << 20);
    ASSERT_OK_AND_ASSIGN(const std::string got,
                         os::ReadFile(Path("sparse"), kSize));
    EXPECT_EQ(DigestOf(got), DigestOf(wanted));
  }
}

TEST_F(UnpackFormatsTest, WhenNamesAreLong_EveryFormatKeepsThem) {
  const std::string dir(150, 'd'), name(200, 'n'), target(180, 't');
  ASSERT_OK(os::MakeDirs(absl::StrCat(out_.path(), "/from/", dir), 0755));
  const std::string base = absl::StrCat(out_.path(), "/from/", dir, "/");
  ASSERT_OK(os::WriteFileDurably(base + name, "long"));
  ASSERT_EQ(symlink(target.c_str(), (base + "link").c_str()), 0);
  ASSERT_EQ(link((base + name).c_str(), (base + "other").c_str()), 0);
  for (const char* flags :
       {"--format=gnu", "--format=oldgnu", "--format=pax"}) {
    SCOPED_TRACE(flags);
    ASSERT_OK(Unpack(GnuTar(flags)));
    EXPECT_THAT(os::ReadFile(Path(dir + "/" + name), 10), IsOkAndHolds("long"));
    EXPECT_EQ(Stat(dir + "/other").st_ino, Stat(dir + "/" + name).st_ino);
    char buffer[256];
    const ssize_t n =
        readlink(Path(dir + "/link").c_str(), buffer, sizeof(buffer));
    EXPECT_EQ(std::string(buffer, n > 0 ? n : 0), target);
  }
}

TEST_F(UnpackFormatsTest, WhenUstarOrV7_AreRead) {
  ASSERT_OK(os::MakeDirs(out_ / "from/d", 0750));
  ASSERT_OK(os::WriteFileDurably(out_ / "from/d/f", "data", 0640));
  ASSERT_EQ(mkfifo((out_ / "from/fifo").c_str(), 0622), 0);
  ASSERT_EQ(chmod((out_ / "from/fifo").c_str(), 0622), 0);
  for (const char* flags : {"--format=ustar", "--format=v7 --exclude=./fifo"}) {
    SCOPED_TRACE(flags);
    ASSERT_OK(Unpack(GnuTar(flags)));
    EXPECT_THAT(os::ReadFile(Path("d/f"), 10), IsOkAndHolds("data"));
    EXPECT_EQ(Stat("d").st_mode, S_IFDIR | 0750);
    if (flags[9] == 'u') {
      EXPECT_EQ(Stat("fifo").st_mode, S_IFIFO | 0622);
    }
  }
}

TEST_F(UnpackFormatsTest, WhenAGlobalHeaderComesFirst_ItIsNoFile) {
  // As `git archive` writes it.
  ASSERT_OK(Unpack(RawTar()
                       .Pax('g', {"comment=0123456789abcdef"})
                       .Add({.name = "file"}, "x")
                       .Build()));
  EXPECT_THAT(os::ListDir(out_ / "root"), IsOkAndHolds(ElementsAre("file")));
}

TEST_F(UnpackFormatsTest, WhenSomethingLiesBelowAWhiteout_OnlyOldIsHidden) {
  ASSERT_OK(Unpack(TarBuilder().File(".wh.d", "").File("d/x/y", "1").Build()));
  char value[8];
  EXPECT_EQ(getxattr(Path("d").c_str(), "trusted.overlay.opaque", value, 8), 1);
  EXPECT_TRUE(Exists("d/x/y"));
  // A name that begins so is a mark wherever it stands, so nothing can be
  // below it.
  EXPECT_THAT(Unpack(TarBuilder().File(".wh.d/x", "1").Build()).status(),
              AnyOf(::bulwark::testing::IsOk(),
                    StatusIs(absl::StatusCode::kInvalidArgument)));
}

TEST_F(UnpackFormatsTest, WhenEntriesAreRepeated_TheLastOneCounts) {
  ASSERT_OK(Unpack(TarBuilder()
                       .File("file-file", "old", {0600, 1, 1})
                       .File("file-file", "new", {0644, 2, 2})
                       .File("file-dir", "old")
                       .Dir("file-dir", {0711})
                       .File("file-dir/x", "1")
                       .Dir("dir-file")
                       .File("dir-file/x", "1")
                       .File("dir-file", "new")
                       .Dir("dir-link")
                       .File("dir-link/x", "1")
                       .Symlink("dir-link", "file-file")
                       .Symlink("link-dir", "file-dir")
                       .Dir("link-dir", {0700})
                       .File("link-dir/y", "1")
                       .Dir("dir-dir", {0700, 1, 1})
                       .File("dir-dir/kept", "1")
                       .Dir("dir-dir", {0755, 2, 2})
                       .Build()));
  EXPECT_THAT(os::ReadFile(Path("file-file"), 10), IsOkAndHolds("new"));
  EXPECT_EQ(Stat("file-file").st_uid, 2);
  EXPECT_EQ(Stat("file-dir").st_mode, S_IFDIR | 0711);
  EXPECT_TRUE(Exists("file-dir/x"));
  EXPECT_TRUE(S_ISREG(Stat("dir-file").st_mode));
  EXPECT_TRUE(S_ISLNK(Stat("dir-link").st_mode));
  EXPECT_TRUE(S_ISDIR(Stat("link-dir").st_mode));
  EXPECT_TRUE(Exists("link-dir/y"));
  EXPECT_FALSE(Exists("file-dir/y"));
  EXPECT_EQ(Stat("dir-dir").st_mode, S_IFDIR | 0755);
  EXPECT_EQ(Stat("dir-dir").st_uid, 2);
  EXPECT_TRUE(Exists("dir-dir/kept"));
}

TEST_F(UnpackFormatsTest, WhenAFileIsReplaced_ItsOtherNamesKeepTheOldContent) {
  ASSERT_OK(Unpack(TarBuilder()
                       .File("a", "old")
                       .Hardlink("b", "a")
                       .File("a", "new")
                       .Hardlink("b2", "b")
                       .Hardlink("b2", "b2")
                       .Build()));
  EXPECT_THAT(os::ReadFile(Path("a"), 10), IsOkAndHolds("new"));
  EXPECT_THAT(os::ReadFile(Path("b"), 10), IsOkAndHolds("old"));
  EXPECT_THAT(os::ReadFile(Path("b2"), 10), IsOkAndHolds("old"));
}

TEST_F(UnpackFormatsTest, WhenOwnersAreLarge_KeptUpToWhatTheKernelHas) {
  ASSERT_OK(
      Unpack(RawTar()
                 .Add({.name = "gnu", .uid = Binary(3'000'000'000, 8)}, "")
                 .Pax('x', {"uid=4294967294", "gid=100000"})
                 .Add({.name = "pax"}, "")
                 .Build()));
  EXPECT_EQ(Stat("gnu").st_uid, 3'000'000'000);
  EXPECT_EQ(Stat("pax").st_uid, 4294967294);
  EXPECT_EQ(Stat("pax").st_gid, 100000);
}

TEST_F(UnpackFormatsTest, WhenManyEmptyMembers_GzipIsStillRead) {
  std::string data;
  for (int i = 0; i < 2000; ++i) data += testing::Gzip("");
  const std::string tar = TarBuilder().File("a", "1").Build();
  ASSERT_OK_AND_ASSIGN(const UnpackResult result,
                       Unpack(data + testing::Gzip(tar)));
  EXPECT_EQ(result.diff_id, DigestOf(tar));
}

}  // namespace
}  // namespace bulwark::engine::image
