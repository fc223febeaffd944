#include "engine/build/layer_packer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/byte_source.h"
#include "engine/image/unpack.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PackLayerTest, WhenUnpackedAgain_IsTheSameTree) {
  ::bulwark::testing::TempDir dir;
  ASSERT_OK_AND_ASSIGN(auto blobs, image::BlobStore::Open(dir / "state"));
  std::string upper = dir / "upper";
  ASSERT_OK(os::MakeDirs(upper + "/d/sub", 0755));
  ASSERT_OK(os::WriteFileDurably(upper + "/d/f", std::string(300'000, 'x')));
  ASSERT_EQ(chown((upper + "/d/f").c_str(), 70000, 5), 0);
  ASSERT_EQ(chmod((upper + "/d/f").c_str(), 06755), 0);
  ASSERT_EQ(link((upper + "/d/f").c_str(), (upper + "/hard").c_str()), 0);
  ASSERT_EQ(symlink("/x/y", (upper + "/soft").c_str()), 0);
  std::string name = std::string(150, 'l') + "\xc3\xb6\xff";
  ASSERT_OK(os::WriteFileDurably(upper + "/" + name, "odd name"));
  ASSERT_EQ(mknod((upper + "/gone").c_str(), S_IFCHR, 0), 0);
  ASSERT_EQ(mkfifo((upper + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(
      setxattr((upper + "/d").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(setxattr((upper + "/d/f").c_str(), "user.x", "v", 1, 0), 0);
  auto hold = [](absl::string_view) {};

  ASSERT_OK_AND_ASSIGN(build::PackedLayer packed,
                       build::PackLayer(upper, {}, blobs.get(), hold, nullptr));

  ASSERT_OK_AND_ASSIGN(build::PackedLayer again,
                       build::PackLayer(upper, {}, blobs.get(), hold, nullptr));
  EXPECT_EQ(again.blob, packed.blob);
  std::string out = dir / "out";
  ASSERT_OK(os::MakeDirs(out, 0755));
  UniqueFd root(open(out.c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_OK_AND_ASSIGN(UniqueFd blob, blobs->Read(packed.blob));
  ASSERT_OK_AND_ASSIGN(auto source,
                       image::NewDecompressor(
                           std::make_unique<image::FdSource>(std::move(blob))));
  ASSERT_OK_AND_ASSIGN(
      image::UnpackResult result,
      image::UnpackLayer(source.get(), root.get(), image::UnpackLimits()));
  EXPECT_EQ(result.diff_id, packed.diff_id);
  EXPECT_THAT(result.implied_directories, IsEmpty());
  EXPECT_EQ(os::ListDir(out).value(), os::ListDir(upper).value());
  struct stat st;
  ASSERT_EQ(stat((out + "/d/f").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, 70000);
  EXPECT_EQ(st.st_mode & 07777, 06755);
  EXPECT_EQ(st.st_nlink, 2);
  char value[8];
  EXPECT_EQ(getxattr((out + "/d").c_str(), "trusted.overlay.opaque", value, 8),
            1);
  EXPECT_EQ(getxattr((out + "/d/f").c_str(), "user.x", value, 8), 1);
  ASSERT_EQ(lstat((out + "/gone").c_str(), &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
}

TEST(PackLayerTest, WhenTheOverlayRedirects_IsRefused) {
  ::bulwark::testing::TempDir dir;
  ASSERT_OK_AND_ASSIGN(auto blobs, image::BlobStore::Open(dir / "state"));
  ASSERT_OK(os::MakeDirs(dir / "upper/d", 0755));
  ASSERT_EQ(setxattr((dir / "upper/d").c_str(), "trusted.overlay.redirect",
                     "/etc", 4, 0),
            0);
  EXPECT_THAT(
      build::PackLayer(
          dir / "upper", {}, blobs.get(), [](absl::string_view) {}, nullptr),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("redirect")));
}

}  // namespace
}  // namespace bulwark::engine
