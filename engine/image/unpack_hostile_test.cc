// Layers as nobody should write them.
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zstd.h>

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

class UnpackHostileTest : public testing::UnpackFixture {};

TEST_F(UnpackHostileTest, WhenASparseFileClaimsTooMuch_IsRefused) {
  limits_.max_bytes = 1 << 20;
  EXPECT_THAT(Unpack(RawTar()
                         .Pax('x', {"GNU.sparse.major=0", "GNU.sparse.minor=1",
                                    "GNU.sparse.name=big",
                                    "GNU.sparse.size=99999999999",
                                    "GNU.sparse.map=0,1"})
                         .Add({.name = "big"}, "x")
                         .Build()),
              AnyOf(StatusIs(absl::StatusCode::kResourceExhausted),
                    StatusIs(absl::StatusCode::kDataLoss)));
}

TEST_F(UnpackHostileTest, WhenASparseMapIsNonsense_DoesNotCrash) {
  for (const char* map : {"5,1,0,1", "0,-1", "-5,3", "1", ",,,", "0,1,0,1,0,1",
                          "9223372036854775807,9223372036854775807", "x,y"}) {
    SCOPED_TRACE(map);
    const auto result =
        Unpack(RawTar()
                   .Pax('x', {"GNU.sparse.major=0", "GNU.sparse.minor=1",
                              "GNU.sparse.name=s", "GNU.sparse.size=100",
                              absl::StrCat("GNU.sparse.map=", map)})
                   .Add({.name = "s"}, std::string(10, 'x'))
                   .Build());
    if (result.ok()) {
      EXPECT_LE(Stat("s").st_size, 1 << 20);
    }
  }
}

TEST_F(UnpackHostileTest, WhenAGlobalHeaderNamesAPath_FilesStayInside) {
  const auto result =
      Unpack(RawTar()
                 .Pax('g', {"path=../outside/file", "linkpath=../outside/file"})
                 .Add({.name = "file"}, "x")
                 .Add({.name = "h", .type = '1', .link = "file"})
                 .Build());
  if (result.ok()) {
    EXPECT_TRUE(Exists("file"));
  }
}

TEST_F(UnpackHostileTest, WhenPaxNamesLeaveTheRoot_IsRefused) {
  EXPECT_THAT(Unpack(RawTar()
                         .Pax('x', {"path=a/../../outside/file"})
                         .Add({.name = "harmless"}, "evil")
                         .Build()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("leave the root")));
  EXPECT_THAT(Unpack(RawTar()
                         .Add({.name = "a"}, "x")
                         .Pax('x', {"linkpath=../outside/file"})
                         .Add({.name = "h", .type = '1', .link = "a"})
                         .Build()),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(UnpackHostileTest, WhenAWhiteoutGoesThroughALink_StaysInside) {
  for (const char* mark : {"link/.wh.file", "link/.wh..wh..opq"}) {
    SCOPED_TRACE(mark);
    const absl::Status status = Unpack(TarBuilder()
                                           .Symlink("link", out_ / "outside")
                                           .File(mark, "")
                                           .Build())
                                    .status();
    char value[8];
    EXPECT_LT(getxattr((out_ / "outside").c_str(), "trusted.overlay.opaque",
                       value, sizeof(value)),
              0)
        << status;
  }
}

TEST_F(UnpackHostileTest, WhenAWhiteoutIsALinkOrADirectory_HidesAllTheSame) {
  ASSERT_OK(Unpack(TarBuilder()
                       .Symlink(".wh.a", out_ / "outside/file")
                       .Hardlink(".wh.b", "../outside/file")
                       .Dir(".wh.c")
                       .Build()));
  for (const char* name : {"a", "b", "c"}) {
    const struct stat st = Stat(name);
    EXPECT_TRUE(S_ISCHR(st.st_mode) && st.st_rdev == 0) << name;
  }
}

TEST_F(UnpackHostileTest, WhenAHardLinkNamesADeviceOrWhiteout_IsRefused) {
  EXPECT_THAT(Unpack(TarBuilder()
                         .Device("null", S_IFCHR, 1, 3)
                         .Hardlink("h", "null")
                         .Build()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not in this layer")));
  EXPECT_THAT(
      Unpack(TarBuilder().File(".wh.x", "").Hardlink("h", "x").Build()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a file")));
}

TEST_F(UnpackHostileTest, WhenOwnersAreOutOfRange_IsRefused) {
  // The last id means "leave it" to chown().
  for (const char* uid : {"4294967295", "4294967296", "99999999999999999"}) {
    SCOPED_TRACE(uid);
    EXPECT_THAT(Unpack(RawTar()
                           .Pax('x', {absl::StrCat("uid=", uid)})
                           .Add({.name = "f"}, "")
                           .Build()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("out of range")));
  }
  EXPECT_THAT(
      Unpack(RawTar().Add({.name = "f", .gid = Binary(-2, 8)}, "").Build()),
      AnyOf(StatusIs(absl::StatusCode::kInvalidArgument),
            StatusIs(absl::StatusCode::kDataLoss)));
}

TEST_F(UnpackHostileTest, WhenTimesAreStrange_TheFileIsThereAllTheSame) {
  for (const char* time :
       {"-1", "-86400.5", "0.999999999", "99999999999", "1e9",
        "9223372036854775807", "-9223372036854775808", "x", ""}) {
    SCOPED_TRACE(time);
    ASSERT_OK(Unpack(RawTar()
                         .Pax('x', {absl::StrCat("mtime=", time)})
                         .Add({.name = "f"}, "data")
                         .Pax('x', {absl::StrCat("mtime=", time)})
                         .Add({.name = "d/", .type = '5'})
                         .Build()));
    EXPECT_THAT(os::ReadFile(Path("f"), 10), IsOkAndHolds("data"));
  }
  ASSERT_OK(Unpack(
      RawTar().Add({.name = "f", .mtime = Binary(-1000, 12)}, "x").Build()));
  EXPECT_EQ(Stat("f").st_mtime, -1000);
}

TEST_F(UnpackHostileTest, WhenSizesAreWrong_IsAnError) {
  const auto unpack = [this](const std::string& size) {
    return Unpack(RawTar().Add({.name = "f", .size = size}, "data").Build())
        .status();
  };
  for (const std::string& size :
       {Binary(-5, 12), Binary(int64_t{1} << 62, 12),
        std::string("77777777777"), std::string("00000077777")}) {
    EXPECT_THAT(unpack(size),
                AnyOf(StatusIs(absl::StatusCode::kInvalidArgument),
                      StatusIs(absl::StatusCode::kResourceExhausted),
                      StatusIs(absl::StatusCode::kDataLoss)));
  }
  EXPECT_THAT(
      Unpack(RawTar().Pax('x', {"size=-1"}).Add({.name = "f"}, "data").Build())
          .status(),
      Not(::bulwark::testing::IsOk()));
}

TEST_F(UnpackHostileTest, WhenCutAnywhere_NeverGivesTheDigestOfTheWhole) {
  const std::string tar = TarBuilder()
                              .Dir("d")
                              .File("d/f", std::string(3000, 'x'))
                              .Symlink("l", "d")
                              .Build();
  ASSERT_OK_AND_ASSIGN(const UnpackResult whole, Unpack(tar));
  for (size_t size = 0; size < tar.size(); size += 256) {
    const absl::StatusOr<UnpackResult> result = Unpack(tar.substr(0, size));
    if (result.ok()) {
      EXPECT_NE(result->diff_id, whole.diff_id);
    } else {
      EXPECT_THAT(result, StatusIs(absl::StatusCode::kDataLoss)) << size;
    }
  }
}

TEST_F(UnpackHostileTest, WhenSomethingFollowsTheEnd_ItIsHashedButNotRead) {
  const std::string tar = TarBuilder().File("a", "1").Build();
  const std::string second = TarBuilder().File("b", "2").Build();
  ASSERT_OK_AND_ASSIGN(const UnpackResult result, Unpack(tar + second + "x"));
  EXPECT_EQ(result.diff_id, DigestOf(tar + second + "x"));
  EXPECT_THAT(os::ListDir(out_ / "root"), IsOkAndHolds(ElementsAre("a")));
}

TEST_F(UnpackHostileTest, WhenZstdWantsALargeWindow_OnlyUpToTheDefault) {
  const std::string tar =
      TarBuilder().File("a", std::string(1 << 20, 'x')).Build();
  for (const int log : {27, 30}) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_enableLongDistanceMatching, 1);
    // As a stream of unknown length: else the window shrinks to the data.
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    std::string data(ZSTD_compressBound(tar.size()), '\0');
    ZSTD_inBuffer in = {tar.data(), tar.size(), 0};
    ZSTD_outBuffer out = {data.data(), data.size(), 0};
    ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue);
    ASSERT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(context);
    data.resize(out.pos);
    if (log <= 27) {
      EXPECT_OK(Unpack(data));
    } else {
      EXPECT_THAT(Unpack(data), StatusIs(absl::StatusCode::kDataLoss));
    }
  }
}

TEST_F(UnpackHostileTest, WhenXattrsAreTooLargeOrNameless_NothingCrashes) {
  testing::TarOptions options;
  options.xattrs = {{"user.big", std::string(100'000, 'x')}};
  EXPECT_THAT(Unpack(TarBuilder().File("f", "x", options).Build()).status(),
              Not(::bulwark::testing::IsOk()));
  for (const char* record :
       {"SCHILY.xattr.=x", "SCHILY.xattr.user.=x", "LIBARCHIVE.xattr.%zz=!",
        "SCHILY.xattr.trusted.overlay.redirect=/etc",
        "SCHILY.xattr.system.posix_acl_access=garbage",
        "SCHILY.acl.access=user::rwx,garbage", "SCHILY.fflags=immutable",
        "SCHILY.realsize=99999999999", "hdrcharset=UNKNOWN", "=", "x"}) {
    SCOPED_TRACE(record);
    const auto result =
        Unpack(RawTar().Pax('x', {record}).Add({.name = "f"}, "data").Build());
    if (!result.ok()) continue;
    EXPECT_EQ(Stat("f").st_size, 4);
    char names[256];
    EXPECT_LE(listxattr(Path("f").c_str(), names, sizeof(names)), 0);
  }
}

TEST_F(UnpackHostileTest, WhenTypesAreUnknown_NothingIsMadeThatCanHarm) {
  for (int type = 1; type < 256; ++type) {
    const absl::Status status =
        Unpack(RawTar()
                   .Add({.name = "f",
                         .type = static_cast<char>(type),
                         .link = "../outside/file"},
                        "")
                   .Build())
            .status();
    struct stat st;
    if (lstat(Path("f").c_str(), &st) != 0) continue;
    EXPECT_FALSE(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) << type << status;
  }
}

}  // namespace
}  // namespace bulwark::engine::image
