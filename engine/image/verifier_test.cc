#include "engine/image/verifier.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/loader.h"
#include "engine/image/manifest.h"
#include "engine/image/media_types.h"
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
using ::testing::SizeIs;
using testing::TarBuilder;
using ::testing::UnorderedElementsAre;

std::string Base() {
  testing::TarOptions attributes;
  attributes.xattrs = {{"user.kept", "v"}};
  return TarBuilder()
      .Dir("etc")
      .File("etc/one", "first file")
      .File("etc/two", "second file", attributes)
      .File("bin", std::string(300'000, 'b'), {04755, 3, 4})
      .Hardlink("bin2", "bin")
      .Symlink("link", "etc/one")
      .File("etc/.wh.gone", "")
      .Dir("opaque")
      .File("opaque/.wh..wh..opq", "")
      .Build();
}
std::string Upper(const std::string& name) {
  // Leaves out its directory: it is kept by its chain id.
  return TarBuilder().File("etc/" + name, name).Build();
}

class VerifierTest : public ::testing::Test {
 protected:
  VerifierTest() {
    auto store = ImageStore::Open(dir_ / "state");
    EXPECT_OK(store);
    store_ = *std::move(store);
    Load("a", {Base(), Upper("a")});
    Load("b", {Base(), Upper("b")});
  }

  void Load(const std::string& name, const std::vector<std::string>& layers) {
    TarBuilder tar;
    Json ids = Json::array(), files = Json::array();
    for (const std::string& layer : layers) {
      const std::string file = absl::StrCat("layer", files.size());
      tar.File(file, layer);
      files.push_back(file);
      ids.push_back(DigestOf(layer));
    }
    tar.File("config", Dump(Json{{"os", "linux"},
                                 {"architecture", "amd64"},
                                 {"author", name},
                                 {"rootfs", {{"diff_ids", ids}}}}));
    tar.File(
        "manifest.json",
        Dump(Json::array({Json{
            {"Config", "config"}, {"RepoTags", {name}}, {"Layers", files}}})));
    const std::string archive = tar.Build();
    const UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
    ASSERT_OK(os::WriteAll(fd.get(), archive, "memfd"));
    lseek(fd.get(), 0, SEEK_SET);
    ASSERT_OK(LoadImages(store_.get(), fd.get(), nullptr));
  }

  Image Get(const std::string& name) {
    auto image =
        store_->Get(absl::StrCat("docker.io/library/", name, ":latest"));
    EXPECT_OK(image);
    return image.ok() ? *image : Image();
  }
  std::string BaseFile(const std::string& name) {
    return absl::StrCat(Get("a").layers[0], "/", name);
  }
  std::string BlobPath(const std::string& digest) {
    return absl::StrCat(dir_.path(), "/state/blobs/sha256/", HexOf(digest));
  }
  std::string LayerBlob(const std::string& name, size_t i) {
    auto layers = store_->LayersOf(Get(name).digest);
    EXPECT_OK(layers);
    return (*layers)[i].blob;
  }

  std::vector<ImageDamage> Verify(bool repair = false) {
    VerifyOptions options;
    if (repair) {
      options.fetch = [this](const Repair& repair) {
        fetched_.push_back(repair.reference);
        return fetch_ != nullptr ? fetch_()
                                 : absl::UnavailableError("no registry");
      };
    }
    auto damage = VerifyStore(store_.get(), options, nullptr);
    EXPECT_OK(damage);
    return damage.ok() ? *std::move(damage) : std::vector<ImageDamage>(9);
  }

  TempDir dir_;
  std::unique_ptr<ImageStore> store_;
  std::vector<std::string> fetched_;
  std::function<absl::Status()> fetch_;
};

TEST_F(VerifierTest, WhenAllIsWell_FindsNothing) {
  int64_t last = 0, total = 0;
  ASSERT_OK_AND_ASSIGN(const auto damage,
                       VerifyStore(store_.get(), {}, [&](int64_t a, int64_t b) {
                         EXPECT_GE(a, last);
                         last = a;
                         total = b;
                         return true;
                       }));
  EXPECT_THAT(damage, IsEmpty());
  EXPECT_EQ(last, total);
  EXPECT_GT(total, 600'000);
  EXPECT_THAT(os::ListDir(dir_ / "state/ingest"), IsOkAndHolds(IsEmpty()));
}

TEST_F(VerifierTest, WhenASharedBlobIsDamaged_NamesAllImagesAndKeepsIt) {
  const std::string blob = LayerBlob("a", 0);
  ASSERT_OK(os::WriteFileDurably(BlobPath(blob), "rotten"));
  const std::vector<ImageDamage> damage = Verify();
  ASSERT_THAT(damage, SizeIs(1));
  EXPECT_EQ(damage[0].kind, ImageDamage::Kind::kBlob);
  EXPECT_EQ(damage[0].digest, blob);
  EXPECT_THAT(damage[0].problem, HasSubstr(DigestOf("rotten")));
  EXPECT_THAT(damage[0].references,
              UnorderedElementsAre("docker.io/library/a:latest",
                                   "docker.io/library/b:latest"));
  EXPECT_FALSE(damage[0].repaired);
  EXPECT_TRUE(store_->blobs().Has(blob));
}

TEST_F(VerifierTest, WhenOneImageIsAskedFor_OnlyItsContentIsRead) {
  const std::string blob = LayerBlob("a", 1);
  ASSERT_EQ(unlink(BlobPath(blob).c_str()), 0);
  VerifyOptions options;
  options.digests = {Get("b").digest};
  EXPECT_THAT(VerifyStore(store_.get(), options, nullptr),
              IsOkAndHolds(IsEmpty()));
  options.digests = {Get("a").digest};
  ASSERT_OK_AND_ASSIGN(const auto damage,
                       VerifyStore(store_.get(), options, nullptr));
  ASSERT_THAT(damage, SizeIs(1));
  EXPECT_EQ(damage[0].problem, "it is missing");
  EXPECT_THAT(damage[0].references, ElementsAre("docker.io/library/a:latest"));
}

TEST_F(VerifierTest, WhenFilesOfALayerChanged_SaysWhichAndHow) {
  struct Case {
    const char* what;
    std::function<void()> harm;
  };
  const std::string good = BaseFile("etc/one");
  const Case cases[] = {
      {"/etc/one: its content differs",
       [&] { ASSERT_OK(os::WriteFileDurably(good, "first fils", 0644)); }},
      {"/etc/one: its size differs",
       [&] { ASSERT_EQ(truncate(good.c_str(), 3), 0); }},
      {"/etc/one: its mode differs",
       [&] { ASSERT_EQ(chmod(good.c_str(), 04777), 0); }},
      {"/etc/one: its owner is 5:0 instead of 0:0",
       [&] { ASSERT_EQ(chown(good.c_str(), 5, 0), 0); }},
      {"/etc/one: it is missing", [&] { ASSERT_EQ(unlink(good.c_str()), 0); }},
      {"/etc/one: it is of another kind",
       [&] {
         ASSERT_EQ(unlink(good.c_str()), 0);
         ASSERT_EQ(mkdir(good.c_str(), 0755), 0);
       }},
      {"/link: it points elsewhere",
       [&] {
         ASSERT_EQ(unlink(BaseFile("link").c_str()), 0);
         ASSERT_EQ(symlink("etc/two", BaseFile("link").c_str()), 0);
       }},
      {"/etc/two: its extended attributes differ",
       [&] {
         ASSERT_EQ(removexattr(BaseFile("etc/two").c_str(), "user.kept"), 0);
       }},
      {"/opaque: its extended attributes differ",
       [&] {
         ASSERT_EQ(
             removexattr(BaseFile("opaque").c_str(), "trusted.overlay.opaque"),
             0);
       }},
      {"/etc/gone: it is missing",
       [&] { ASSERT_EQ(unlink(BaseFile("etc/gone").c_str()), 0); }},
      {"/etc/new: it does not belong there",
       [&] { ASSERT_OK(os::WriteFileDurably(BaseFile("etc/new"), "x")); }},
      {"/bin: its hard links differ",
       [&] {
         ASSERT_OK_AND_ASSIGN(std::string data,
                              os::ReadFile(BaseFile("bin2"), 1 << 20));
         ASSERT_OK(os::WriteFileDurably(BaseFile("bin2"), data));
         ASSERT_EQ(chown(BaseFile("bin2").c_str(), 3, 4), 0);
         ASSERT_EQ(chmod(BaseFile("bin2").c_str(), 04755), 0);
       }},
      {"/etc: it is missing",
       [&] { ASSERT_OK(os::RemoveTree(BaseFile("etc"))); }},
      {"/etc: its mode differs",
       [&] { ASSERT_EQ(chmod(BaseFile("etc").c_str(), 0700), 0); }},
  };
  struct stat before, after;
  ASSERT_EQ(stat(BaseFile("etc").c_str(), &before), 0);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    c.harm();
    const std::vector<ImageDamage> damage = Verify();
    ASSERT_THAT(damage, ::testing::Not(IsEmpty()));
    EXPECT_EQ(damage[0].kind, ImageDamage::Kind::kLayer);
    EXPECT_EQ(damage[0].digest, DigestOf(Base()));
    EXPECT_THAT(damage[0].problem, HasSubstr(c.what));
    EXPECT_THAT(damage[0].references, SizeIs(2));

    const std::vector<ImageDamage> repaired = Verify(/*repair=*/true);
    ASSERT_THAT(repaired, ::testing::Not(IsEmpty()));
    EXPECT_TRUE(repaired[0].repaired) << repaired[0].repair_error;
    EXPECT_THAT(Verify(), IsEmpty());
  }
  // No registry was needed, and folders look as they did.
  EXPECT_THAT(fetched_, IsEmpty());
  ASSERT_EQ(stat(BaseFile("etc").c_str(), &after), 0);
  EXPECT_EQ(before.st_mtime, after.st_mtime);
  EXPECT_THAT(os::ListDir(dir_ / "state/ingest"), IsOkAndHolds(IsEmpty()));
}

TEST_F(VerifierTest, WhenALayerIsMended_WhoeverHasTheOldFileOpenKeepsIt) {
  const std::string path = BaseFile("etc/one");
  ASSERT_OK(os::WriteFileDurably(path, "first fils", 0644));
  const UniqueFd open_file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat before, after;
  ASSERT_EQ(stat(BaseFile("").c_str(), &before), 0);
  ASSERT_THAT(Verify(/*repair=*/true), SizeIs(1));
  EXPECT_THAT(os::ReadFd(open_file.get(), path, 100),
              IsOkAndHolds("first fils"));
  EXPECT_THAT(os::ReadFile(path, 100), IsOkAndHolds("first file"));
  // The layer is the same directory as before, under whatever mounts it.
  ASSERT_EQ(stat(BaseFile("").c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(VerifierTest, WhenALayersDirectoryIsGone_ComesBackInItsPlace) {
  for (const std::string& layer : Get("a").layers) {
    ASSERT_OK(os::RemoveTree(layer.substr(0, layer.size() - 3)));
    EXPECT_THAT(Verify(), SizeIs(1));
    const std::vector<ImageDamage> damage = Verify(/*repair=*/true);
    ASSERT_THAT(damage, SizeIs(1));
    EXPECT_TRUE(damage[0].repaired) << damage[0].repair_error;
    EXPECT_THAT(Verify(), IsEmpty());
    EXPECT_OK(os::ListDir(layer));
  }
}

TEST_F(VerifierTest, WhenABlobCannotBeFetched_ItIsNotLostAltogether) {
  const std::string blob = LayerBlob("a", 1);
  ASSERT_OK(os::WriteFileDurably(BlobPath(blob), "rotten"));
  const std::vector<ImageDamage> damage = Verify(/*repair=*/true);
  ASSERT_THAT(damage, SizeIs(1));
  EXPECT_FALSE(damage[0].repaired);
  EXPECT_EQ(damage[0].repair_error, "no registry");
  EXPECT_THAT(fetched_, ElementsAre(absl::StrCat("docker.io/library/a@",
                                                 Get("a").digest)));
  EXPECT_THAT(os::ReadFile(BlobPath(blob), 100), IsOkAndHolds("rotten"));
  EXPECT_THAT(os::ListDir(dir_ / "state/ingest"), IsOkAndHolds(IsEmpty()));
}

TEST_F(VerifierTest, WhenABlobIsNotTheLayerThatItsImageNames_SaysSo) {
  // As older versions let in: the layer was here already.
  for (const std::string& content :
       {Upper("foreign"), std::string("\x1f\x8bjunk")}) {
    ASSERT_OK_AND_ASSIGN(const std::string blob, store_->blobs().Put(content));
    const std::string config =
        Dump(Json{{"os", "linux"},
                  {"architecture", "amd64"},
                  {"rootfs", {{"diff_ids", {DigestOf(Base())}}}}});
    Manifest manifest;
    ASSERT_OK_AND_ASSIGN(const std::string digest, store_->blobs().Put(config));
    manifest.config = {kOciConfig, digest, static_cast<int64_t>(config.size())};
    manifest.layers = {
        {kOciLayerGzip, blob, store_->blobs().Size(blob).value_or(0)}};
    ASSERT_OK_AND_ASSIGN(const std::string image,
                         store_->blobs().Put(FormatManifest(manifest)));
    const std::string name = "docker.io/library/odd:1";
    ASSERT_OK(store_->Add(image, {name}));

    for (const bool repair : {false, true}) {
      const std::vector<ImageDamage> damage = Verify(repair);
      ASSERT_THAT(damage, SizeIs(1));
      EXPECT_EQ(damage[0].kind, ImageDamage::Kind::kBlob);
      EXPECT_EQ(damage[0].digest, blob);
      EXPECT_THAT(damage[0].problem,
                  HasSubstr("it does not hold layer " + DigestOf(Base())));
      EXPECT_THAT(damage[0].references, ElementsAre(name));
      EXPECT_FALSE(damage[0].repaired);
      EXPECT_EQ(damage[0].repair_error.empty(), !repair);
    }
    ASSERT_OK(store_->Remove(name, {}));
  }
  EXPECT_THAT(Verify(), IsEmpty());
}

TEST_F(VerifierTest, WhenABlobIsFetched_IsRepairedAndNoNameIsLeft) {
  const std::string blob = LayerBlob("a", 1);
  ASSERT_OK(os::WriteFileDurably(BlobPath(blob), "rotten"));
  fetch_ = [this] {
    // As a pull does: brings what is missing, and leaves its name.
    RETURN_IF_ERROR(store_->blobs().Put(Upper("a")).status());
    return store_->Add(Get("a").digest, {fetched_.back()}).status();
  };
  const std::vector<ImageDamage> damage = Verify(/*repair=*/true);
  ASSERT_THAT(damage, SizeIs(1));
  EXPECT_TRUE(damage[0].repaired) << damage[0].repair_error;
  EXPECT_THAT(Get("a").references, ElementsAre("docker.io/library/a:latest"));
  EXPECT_THAT(Verify(), IsEmpty());
}

TEST_F(VerifierTest, WhenNoImageNeedsADamagedBlob_RepairRemovesIt) {
  ASSERT_OK_AND_ASSIGN(const std::string blob, store_->blobs().Put("unneeded"));
  ASSERT_OK(os::WriteFileDurably(BlobPath(blob), "rotten"));
  EXPECT_THAT(Verify(), SizeIs(1));
  const std::vector<ImageDamage> damage = Verify(/*repair=*/true);
  ASSERT_THAT(damage, SizeIs(1));
  EXPECT_TRUE(damage[0].repaired);
  EXPECT_THAT(damage[0].references, IsEmpty());
  EXPECT_FALSE(store_->blobs().Has(blob));
}

TEST_F(VerifierTest, WhenCancelled_Ends) {
  EXPECT_THAT(
      VerifyStore(store_.get(), {}, [](int64_t, int64_t) { return false; }),
      StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace bulwark::engine::image
