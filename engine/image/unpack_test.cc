#include "engine/image/unpack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TarBuilder;
using testing::TarOptions;

// Unpacks into OUT/root, beside which OUT/outside must stay as it is.
class UnpackLayerTest : public ::testing::Test {
 protected:
  UnpackLayerTest() {
    EXPECT_OK(os::MakeDirs(Path(""), 0755));
    EXPECT_OK(os::MakeDirs(out_ / "outside", 0755));
    EXPECT_OK(os::WriteFileDurably(out_ / "outside/file", "untouched"));
  }

  void TearDown() override {
    EXPECT_THAT(os::ListDir(out_.path()),
                IsOkAndHolds(ElementsAre("outside", "root")));
    EXPECT_THAT(os::ListDir(out_ / "outside"),
                IsOkAndHolds(ElementsAre("file")));
    EXPECT_THAT(os::ReadFile(out_ / "outside/file", 100),
                IsOkAndHolds("untouched"));
  }

  std::string Path(const std::string& name) const {
    return absl::StrCat(out_.path(), "/root", name.empty() ? "" : "/", name);
  }

  absl::StatusOr<UnpackResult> Unpack(absl::string_view data) {
    UniqueFd root(open(Path("").c_str(), O_RDONLY | O_DIRECTORY));
    ASSIGN_OR_RETURN(auto source,
                     NewDecompressor(std::make_unique<StringSource>(data)));
    return UnpackLayer(source.get(), root.get(), limits_);
  }

  struct stat Stat(const std::string& name) const {
    struct stat st = {};
    EXPECT_EQ(lstat(Path(name).c_str(), &st), 0) << name;
    return st;
  }
  bool Exists(const std::string& name) const {
    struct stat st;
    return lstat(Path(name).c_str(), &st) == 0;
  }
  bool IsWhiteout(const std::string& name) const {
    struct stat st = Stat(name);
    return S_ISCHR(st.st_mode) && st.st_rdev == 0;
  }
  std::string Xattr(const std::string& name, const std::string& key) const {
    char value[1024];
    ssize_t n = lgetxattr(Path(name).c_str(), key.c_str(), value, 1024);
    return n < 0 ? "none" : std::string(value, n);
  }

  TempDir out_;
  UnpackLimits limits_;
};

TEST_F(UnpackLayerTest, WhenOrdinary_KeepsContentsAndAttributes) {
  TarOptions suid{04755, 10, 20, 1234567890};
  std::string tar = TarBuilder()
                        .Dir("bin", {0750, 1, 2, 1111111111})
                        .File("bin/su", "program", suid)
                        .Symlink("sbin", "/bin")
                        .Hardlink("bin/su2", "bin/su")
                        .File("sbin/through-link", "x")
                        .Build();

  ASSERT_OK_AND_ASSIGN(UnpackResult result, Unpack(tar));

  EXPECT_EQ(result.diff_id, DigestOf(tar));
  EXPECT_THAT(result.implied_directories, IsEmpty());
  struct stat su = Stat("bin/su");
  EXPECT_EQ(su.st_mode, S_IFREG | 04755);
  EXPECT_EQ(su.st_uid, 10);
  EXPECT_EQ(su.st_gid, 20);
  EXPECT_EQ(su.st_mtime, 1234567890);
  EXPECT_EQ(su.st_nlink, 2);
  EXPECT_EQ(Stat("bin/su2").st_ino, su.st_ino);
  EXPECT_EQ(Stat("bin").st_mode, S_IFDIR | 0750);
  EXPECT_EQ(Stat("bin").st_mtime, 1111111111);
  EXPECT_THAT(os::ReadFile(Path("bin/through-link"), 10), IsOkAndHolds("x"));
}

TEST_F(UnpackLayerTest, WhenCompressed_GivesTheSameDiffId) {
  std::string tar = TarBuilder().File("a", std::string(3 << 20, 'x')).Build();
  for (const std::string& data :
       {testing::Gzip(tar), testing::Zstd(tar),
        // Several members, as pigz and eStargz write.
        testing::Gzip(tar.substr(0, 100000)) +
            testing::Gzip(tar.substr(100000)),
        testing::Zstd(tar.substr(0, 5)) + testing::Zstd(tar.substr(5))}) {
    ASSERT_OK_AND_ASSIGN(UnpackResult result, Unpack(data));
    EXPECT_EQ(result.diff_id, DigestOf(tar));
    EXPECT_EQ(Stat("a").st_size, 3 << 20);
  }
}

TEST_F(UnpackLayerTest, WhenCompressedDataIsCutOrDamaged_IsDataLoss) {
  std::string tar = TarBuilder().File("a", std::string(100000, 'x')).Build();
  std::string gzip = testing::Gzip(tar);
  std::string zstd = testing::Zstd(tar);
  std::string flipped = gzip;
  flipped[flipped.size() - 6] ^= 1;  // the checksum
  for (const std::string& data :
       {gzip.substr(0, gzip.size() - 3), gzip.substr(0, 50),
        zstd.substr(0, zstd.size() - 3), flipped, gzip + "junk",
        tar.substr(0, 5000)}) {
    EXPECT_THAT(Unpack(data), StatusIs(absl::StatusCode::kDataLoss));
  }
}

TEST_F(UnpackLayerTest, WhenNamesAreNotAscii_AreKept) {
  std::string utf8 = "gr\xc3\xb6\xc3\x9f\x65-\xe2\x82\xac";
  std::string latin1 = "gr\xf6\xdf";
  ASSERT_OK(Unpack(TarBuilder().File(utf8, "1").File(latin1, "2").Build()));
  EXPECT_THAT(os::ReadFile(Path(utf8), 10), IsOkAndHolds("1"));
  EXPECT_THAT(os::ReadFile(Path(latin1), 10), IsOkAndHolds("2"));
}

TEST_F(UnpackLayerTest, WhenPathsAreAbsolute_LandInside) {
  ASSERT_OK(Unpack(TarBuilder().File("/etc/passwd", "mine").Build()));
  EXPECT_THAT(os::ReadFile(Path("etc/passwd"), 10), IsOkAndHolds("mine"));
}

TEST_F(UnpackLayerTest, WhenPathsGoUp_IsRefused) {
  for (const char* path :
       {"../outside/file", "a/../../outside/file", "..", "/../outside/new"}) {
    EXPECT_THAT(Unpack(TarBuilder().File(path, "evil").Build()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("leave the root")))
        << path;
  }
}

TEST_F(UnpackLayerTest, WhenALinkPointsOutside_WritesStayInside) {
  std::string outside = out_ / "outside";
  for (const std::string& target :
       {outside, std::string("../outside"),
        std::string("../../../../../..") + outside,
        std::string("/proc/self/cwd"), std::string("/")}) {
    std::string tar =
        TarBuilder().Symlink("link", target).File("link/file", "evil").Build();
    absl::Status status = Unpack(tar).status();  // refused, or inside
    (void)status;
    EXPECT_THAT(os::ReadFile(out_ / "outside/file", 100),
                IsOkAndHolds("untouched"));
  }
}

TEST_F(UnpackLayerTest, WhenAFileReplacesALink_TheTargetIsUntouched) {
  ASSERT_OK(Unpack(TarBuilder()
                       .Symlink("f", out_ / "outside/file")
                       .File("f", "evil")
                       .Symlink("d", out_ / "outside")
                       .Dir("d", {0777, 99, 99})
                       .File("d/x", "inside")
                       .Build()));
  EXPECT_THAT(os::ReadFile(Path("f"), 10), IsOkAndHolds("evil"));
  EXPECT_TRUE(S_ISDIR(Stat("d").st_mode));
}

TEST_F(UnpackLayerTest, WhenAHardLinkPointsOutside_IsRefused) {
  for (const std::string& target :
       {out_ / "outside/file", std::string("../outside/file"),
        std::string("none"), std::string("/"), std::string("dir")}) {
    EXPECT_THAT(Unpack(TarBuilder().Dir("dir").Hardlink("h", target).Build()),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << target;
    EXPECT_FALSE(Exists("h"));
  }
}

TEST_F(UnpackLayerTest, WhenAHardLinkGoesThroughALink_StaysInside) {
  EXPECT_THAT(Unpack(TarBuilder()
                         .Symlink("link", out_ / "outside")
                         .Hardlink("h", "link/file")
                         .Build()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not in this layer")));
}

TEST_F(UnpackLayerTest, WhenAHardLinkToASymlink_LinksTheSymlinkItself) {
  ASSERT_OK(Unpack(TarBuilder()
                       .Symlink("s", out_ / "outside/file")
                       .Hardlink("h", "s")
                       .File("h", "evil")
                       .Build()));
  EXPECT_TRUE(S_ISREG(Stat("h").st_mode));
}

TEST_F(UnpackLayerTest,
       WhenADirectoryIsSwappedForALink_LaterEntriesStayInside) {
  // The parent directory was open and cached when it was replaced.
  absl::Status status = Unpack(TarBuilder()
                                   .Dir("a")
                                   .File("a/x", "1")
                                   .Symlink("a", out_ / "outside")
                                   .File("a/file", "evil")
                                   .Build())
                            .status();
  (void)status;
  EXPECT_TRUE(S_ISLNK(Stat("a").st_mode));
}

TEST_F(UnpackLayerTest, WhenWhiteouts_BecomeOverlayMarks) {
  ASSERT_OK(Unpack(TarBuilder()
                       .Dir("d")
                       .File("d/.wh.gone", "")
                       .Dir("opaque")
                       .File("opaque/.wh..wh..opq", "")
                       .File("opaque/new", "x")
                       .File("d/.wh..wh.plnk", "")
                       .Build()));
  EXPECT_TRUE(IsWhiteout("d/gone"));
  EXPECT_EQ(Xattr("opaque", "trusted.overlay.opaque"), "y");
  EXPECT_TRUE(Exists("opaque/new"));
  EXPECT_THAT(os::ListDir(Path("d")), IsOkAndHolds(ElementsAre("gone")));
  EXPECT_THAT(os::ListDir(Path("opaque")), IsOkAndHolds(ElementsAre("new")));
}

TEST_F(UnpackLayerTest,
       WhenAWhiteoutAndItsNameAreInOneLayer_OnlyBelowIsHidden) {
  ASSERT_OK(Unpack(TarBuilder()
                       .File(".wh.first", "")
                       .Dir("first")
                       .File("first/x", "1")
                       .Dir("second")
                       .File("second/x", "2")
                       .File(".wh.second", "")
                       .File(".wh.file", "")
                       .File("file", "3")
                       .File(".wh.implied", "")
                       .File("implied/x", "4")
                       .Build()));
  EXPECT_EQ(Xattr("first", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Xattr("second", "trusted.overlay.opaque"), "y");
  EXPECT_EQ(Xattr("implied", "trusted.overlay.opaque"), "y");
  EXPECT_TRUE(Exists("first/x"));
  EXPECT_TRUE(Exists("second/x"));
  EXPECT_TRUE(Exists("implied/x"));
  EXPECT_TRUE(S_ISREG(Stat("file").st_mode));
}

TEST_F(UnpackLayerTest, WhenAWhiteoutNamesAParent_IsRefused) {
  for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh...", "d/.wh.."}) {
    EXPECT_THAT(Unpack(TarBuilder().Dir("d").File(name, "").Build()),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
}

TEST_F(UnpackLayerTest, WhenXattrsAreHostile_AreDropped) {
  TarOptions options;
  options.xattrs = {{"trusted.overlay.opaque", "y"},
                    {"trusted.overlay.redirect", "/etc"},
                    {"user.overlay.opaque", "y"},
                    {"security.selinux", "x"},
                    {"user.kept", "v"}};
  TarOptions directory = options;
  directory.mode = 0755;
  ASSERT_OK(
      Unpack(TarBuilder().File("f", "x", options).Dir("d", directory).Build()));
  for (const char* name : {"f", "d"}) {
    EXPECT_EQ(Xattr(name, "user.kept"), "v");
    EXPECT_EQ(Xattr(name, "trusted.overlay.opaque"), "none");
    EXPECT_EQ(Xattr(name, "trusted.overlay.redirect"), "none");
    EXPECT_EQ(Xattr(name, "user.overlay.opaque"), "none");
  }
}

TEST_F(UnpackLayerTest, WhenFileCapabilities_AreKeptWithoutTheirNamespace) {
  const std::string v2(
      "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00",
      20);
  std::string v3 = v2 + std::string("\xe8\x03\x00\x00", 4);
  v3[3] = 3;
  TarOptions a;
  a.xattrs = {{"security.capability", v2}};
  TarOptions b{0755, 5, 5};
  b.xattrs = {{"security.capability", v3}};
  ASSERT_OK(Unpack(TarBuilder().File("a", "x", a).File("b", "x", b).Build()));
  EXPECT_EQ(Xattr("a", "security.capability"), v2);
  EXPECT_EQ(Xattr("b", "security.capability"), v2);
}

TEST_F(UnpackLayerTest, WhenDeviceNodes_AreDropped) {
  ASSERT_OK(Unpack(TarBuilder()
                       .Device("sda", S_IFBLK, 8, 0)
                       .Device("null", S_IFCHR, 1, 3)
                       .Device("white", S_IFCHR, 0, 0)
                       .Build()));
  EXPECT_THAT(os::ListDir(Path("")), IsOkAndHolds(IsEmpty()));
}

TEST_F(UnpackLayerTest, WhenDirectoriesAreMissing_AreMadeAndReported) {
  ASSERT_OK_AND_ASSIGN(
      UnpackResult result,
      Unpack(TarBuilder().File("a/b/c", "x").File("a/d", "x").Build()));
  EXPECT_THAT(result.implied_directories, ElementsAre("a", "a/b"));
  EXPECT_EQ(Stat("a").st_mode, S_IFDIR | 0755);
}

TEST_F(UnpackLayerTest, WhenAFileIsUsedAsADirectory_IsRefused) {
  EXPECT_THAT(Unpack(TarBuilder().File("a", "x").File("a/b", "x").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(UnpackLayerTest, WhenLimitsArePassed_Stops) {
  limits_.max_entries = 2;
  EXPECT_THAT(
      Unpack(TarBuilder().File("a", "").File("b", "").File("c", "").Build()),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("entries")));
  limits_ = UnpackLimits();
  limits_.max_bytes = 100'000;
  EXPECT_THAT(
      Unpack(TarBuilder().File("big", std::string(200'000, 'x')).Build()),
      StatusIs(absl::StatusCode::kResourceExhausted));
  limits_ = UnpackLimits();
  limits_.ratio_free_bytes = 1 << 20;
  EXPECT_THAT(
      Unpack(testing::Gzip(
          TarBuilder().File("bomb", std::string(32 << 20, 0)).Build())),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("hostile")));
}

TEST_F(UnpackLayerTest, WhenPathsAreTooDeepOrLong_IsRefused) {
  std::string deep;
  for (int i = 0; i < 300; ++i) deep += "d/";
  EXPECT_THAT(Unpack(TarBuilder().File(deep + "x", "").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("deeper than 256")));
  EXPECT_THAT(
      Unpack(TarBuilder().File(std::string(300, 'n'), "").Build()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name too long")));
}

TEST_F(UnpackLayerTest, WhenEmpty_IsAnEmptyLayer) {
  ASSERT_OK_AND_ASSIGN(UnpackResult result, Unpack(TarBuilder().Build()));
  EXPECT_GT(result.tar_bytes, 0);
  EXPECT_THAT(os::ListDir(Path("")), IsOkAndHolds(IsEmpty()));
}

}  // namespace
}  // namespace bulwark::engine::image
