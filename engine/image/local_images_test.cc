#include "engine/image/local_images.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/manifest.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using image::DigestOf;
using image::Dump;
using image::HexOf;
using image::Json;
using image::testing::Gzip;
using image::testing::TarBuilder;
using image::testing::Zstd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

UniqueFd FdWith(absl::string_view data) {
  UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
  EXPECT_OK(os::WriteAll(fd.get(), data, "memfd"));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string ConfigText(const std::vector<std::string>& layers) {
  Json ids = Json::array();
  for (const std::string& layer : layers) ids.push_back(DigestOf(layer));
  return Dump(Json{{"os", "linux"},
                   {"architecture", "amd64"},
                   {"config", {{"Cmd", {"/bin/app"}}}},
                   {"rootfs", {{"type", "layers"}, {"diff_ids", ids}}}});
}

// As `docker save` writes them.
std::string DockerArchive(const std::string& name,
                          const std::vector<std::string>& layers,
                          std::string config = "") {
  if (config.empty()) config = ConfigText(layers);
  TarBuilder tar;
  Json names = Json::array();
  for (size_t i = 0; i < layers.size(); ++i) {
    std::string file = absl::StrCat("layer", i, "/layer.tar");
    tar.File(file, layers[i]);
    names.push_back(file);
  }
  tar.File("config.json", config);
  Json item = {{"Config", "config.json"}, {"Layers", names}};
  item["RepoTags"] = Json::array();
  if (!name.empty()) item["RepoTags"].push_back(name);
  tar.File("manifest.json", Dump(Json::array({item})));
  return tar.Build();
}

std::string OciLayout(const std::string& ref_name, const std::string& layer,
                      const std::string& blob, bool lie = false) {
  std::string config = ConfigText({layer});
  image::Manifest manifest;
  manifest.config = {image::kOciConfig, DigestOf(config),
                     static_cast<int64_t>(config.size())};
  manifest.layers = {{image::kOciLayerGzip, DigestOf(blob),
                      static_cast<int64_t>(blob.size())}};
  std::string text = image::FormatManifest(manifest);
  Json entry = {
      {"mediaType", image::kOciManifest},
      {"digest", DigestOf(text)},
      {"size", text.size()},
      {"annotations", {{"org.opencontainers.image.ref.name", ref_name}}}};
  auto path = [](const std::string& data) {
    return absl::StrCat("blobs/sha256/", HexOf(DigestOf(data)));
  };
  return TarBuilder()
      .File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})")
      .File(path(blob), lie ? blob + "x" : blob)
      .File(path(config), config)
      .File(path(text), text)
      .File("index.json", Dump(Json{{"schemaVersion", 2},
                                    {"manifests", Json::array({entry})}}))
      .Build();
}

class LocalImagesTest : public ::testing::Test {
 protected:
  LocalImagesTest() { Reopen(); }

  void Reopen() {
    images_.reset();
    auto opened = LocalImages::Open({dir_ / "state", {}, &clock_, &entropy_});
    ASSERT_OK(opened);
    images_ = *std::move(opened);
  }
  absl::StatusOr<std::vector<Image>> Load(absl::string_view archive) {
    UniqueFd fd = FdWith(archive);
    return images_->Load(fd.get(), nullptr);
  }
  size_t Count(const std::string& folder) {
    auto names = os::ListDir(dir_ / ("state/" + folder));
    return names.ok() ? names->size() : 9999;
  }

  TempDir dir_;
  RealClock clock_;
  SeededEntropy entropy_{1};
  std::unique_ptr<LocalImages> images_;
};

const std::string Layer(const std::string& file) {
  return TarBuilder().Dir("etc").File("etc/" + file, file).Build();
}

TEST_F(LocalImagesTest, WhenDockerArchiveIsLoaded_ImageIsThereAndSurvives) {
  std::string archive = DockerArchive("shop:1.4", {Layer("one"), Layer("two")});
  ASSERT_OK_AND_ASSIGN(std::vector<Image> loaded, Load(archive));
  ASSERT_THAT(loaded, SizeIs(1));

  Reopen();

  ASSERT_OK_AND_ASSIGN(Image image, images_->Get("shop:1.4"));
  EXPECT_THAT(image.references, ElementsAre("docker.io/library/shop:1.4"));
  EXPECT_EQ(image.digest, loaded[0].digest);
  EXPECT_EQ(image.platform, "linux/amd64");
  EXPECT_THAT(image.config.command, ElementsAre("/bin/app"));
  ASSERT_THAT(image.layers, SizeIs(2));
  EXPECT_THAT(os::ReadFile(image.layers[0] + "/etc/one", 10),
              IsOkAndHolds("one"));
  EXPECT_THAT(os::ReadFile(image.layers[1] + "/etc/two", 10),
              IsOkAndHolds("two"));
  EXPECT_THAT(images_->Get(image.digest), ::bulwark::testing::IsOk());
  EXPECT_EQ(Count("ingest"), 0);
}

TEST_F(LocalImagesTest, WhenArchiveIsCompressed_LoadsTheSameImage) {
  std::string archive = DockerArchive("app", {Layer("one")});
  ASSERT_OK_AND_ASSIGN(std::vector<Image> plain, Load(archive));
  ASSERT_OK_AND_ASSIGN(std::vector<Image> gzip, Load(Gzip(archive)));
  ASSERT_OK_AND_ASSIGN(std::vector<Image> zstd, Load(Zstd(archive)));
  EXPECT_EQ(plain[0].digest, gzip[0].digest);
  EXPECT_EQ(plain[0].digest, zstd[0].digest);
  EXPECT_THAT(images_->List(), SizeIs(1));
}

TEST_F(LocalImagesTest, WhenOciLayoutIsLoaded_KeepsItsDigest) {
  std::string layer = Layer("one");
  for (const std::string& blob : {Gzip(layer), Zstd(layer), layer}) {
    ASSERT_OK_AND_ASSIGN(std::vector<Image> loaded,
                         Load(OciLayout("host:5000/app:1", layer, blob)));
    EXPECT_THAT(loaded[0].references, ElementsAre("host:5000/app:1"));
    ASSERT_OK_AND_ASSIGN(Image image, images_->Get("host:5000/app:1"));
    EXPECT_EQ(image.digest, loaded[0].digest);
  }
}

TEST_F(LocalImagesTest, WhenOciLayoutLies_IsDataLossAndLeavesNothing) {
  std::string layer = Layer("one");
  EXPECT_THAT(Load(OciLayout("app:1", layer, Gzip(layer), /*lie=*/true)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("expected")));
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_EQ(Count("ingest"), 0);
}

TEST_F(LocalImagesTest, WhenALayerIsHere_ItsBlobHasToHoldItAllTheSame) {
  const std::string layer = Layer("one");
  ASSERT_OK(Load(OciLayout("app:1", layer, Gzip(layer))));
  const std::string other = Gzip(Layer("other"));
  const std::string cut = Zstd(layer).substr(0, Zstd(layer).size() - 4);
  for (const std::string& blob :
       {other, cut, Gzip(layer) + "x", std::string("\x1f\x8bjunk")}) {
    EXPECT_THAT(Load(OciLayout("app:2", layer, blob)),
                StatusIs(absl::StatusCode::kDataLoss));
  }
  EXPECT_THAT(images_->List(), SizeIs(1));
  EXPECT_OK(Load(OciLayout("app:2", layer, Zstd(layer))));
  EXPECT_THAT(images_->List(), SizeIs(2));
}

TEST_F(LocalImagesTest, WhenNobodyWaitsAnyMore_ALargeLayerIsGivenUp) {
  const std::string layer =
      TarBuilder().File("large", std::string(64 << 20, 'x')).Build();
  const UniqueFd fd = FdWith(OciLayout("app:1", layer, Gzip(layer)));
  int asked = 0;
  // Within the layer: before it, all is well.
  const auto gone = [&asked](const Progress& progress) {
    return progress.status != "unpacking" || ++asked < 2;
  };
  EXPECT_THAT(images_->Load(fd.get(), gone),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(asked, 2);
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_EQ(Count("ingest"), 0);
}

TEST_F(LocalImagesTest, WhenOciNameIsABareTag_ImageHasNoNameUntilTagged) {
  std::string layer = Layer("one");
  ASSERT_OK_AND_ASSIGN(std::vector<Image> loaded,
                       Load(OciLayout("latest", layer, Gzip(layer))));
  EXPECT_THAT(loaded[0].references, IsEmpty());
  ASSERT_OK(images_->Tag(loaded[0].digest, "app:2"));
  EXPECT_OK(images_->Get("app:2"));
}

TEST_F(LocalImagesTest, WhenDiffIdIsWrong_IsDataLoss) {
  EXPECT_THAT(
      Load(DockerArchive("app", {Layer("one")}, ConfigText({Layer("other")}))),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("expected")));
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_EQ(Count("layers"), 0);
}

TEST_F(LocalImagesTest, WhenArchiveIsNoImage_SaysWhatIsMissing) {
  EXPECT_THAT(Load(TarBuilder().File("readme", "x").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("neither manifest.json")));
  EXPECT_THAT(Load(TarBuilder().File("manifest.json", "[]").Build()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      Load(TarBuilder()
               .File("manifest.json", R"([{"Config":"../../etc/passwd"}])")
               .Build()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("lacks")));
  EXPECT_THAT(Load(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Load("this is not a tar"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(Count("ingest"), 0);
}

TEST_F(LocalImagesTest, WhenCancelled_LeavesNothing) {
  UniqueFd fd = FdWith(DockerArchive("app", {Layer("one")}));
  EXPECT_THAT(images_->Load(fd.get(), [](const Progress&) { return false; }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_EQ(Count("ingest"), 0);
}

TEST_F(LocalImagesTest, WhenCrashLeftRubbish_OpenRemovesIt) {
  ASSERT_OK(os::MakeDirs(dir_ / "state/ingest/12-3/fs/etc", 0700));
  ASSERT_OK(os::WriteFileDurably(dir_ / "state/ingest/12-4", "half"));
  Reopen();
  EXPECT_EQ(Count("ingest"), 0);
}

TEST_F(LocalImagesTest, WhenIndexIsDamaged_OpenSaysWhatToDo) {
  images_.reset();
  ASSERT_OK(os::WriteFileDurably(dir_ / "state/index.json", "{\"version\":"));
  EXPECT_THAT(LocalImages::Open({dir_ / "state", {}, &clock_, &entropy_}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("pull again")));
}

TEST_F(LocalImagesTest, WhenABlobIsDamaged_ImageIsGoneAndCanBeLoadedAgain) {
  std::string archive = DockerArchive("app", {Layer("one")});
  ASSERT_OK_AND_ASSIGN(std::vector<Image> loaded, Load(archive));
  std::string blob = absl::StrCat(dir_.path(), "/state/blobs/sha256/",
                                  HexOf(loaded[0].config_digest));
  ASSERT_OK(os::WriteFileDurably(blob, "rotten"));

  Reopen();

  EXPECT_THAT(images_->Get("app"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(Load(archive));
  EXPECT_OK(images_->Get("app"));
}

// A container may run on its layers.
TEST_F(LocalImagesTest, WhenABlobIsDamaged_NothingOfTheImageIsSwept) {
  std::string archive = DockerArchive("app", {Layer("one")});
  ASSERT_OK_AND_ASSIGN(std::vector<Image> loaded, Load(archive));
  ASSERT_OK(Load(DockerArchive("other", {Layer("two")})));
  std::string blob = absl::StrCat(dir_.path(), "/state/blobs/sha256/",
                                  HexOf(loaded[0].config_digest));
  ASSERT_OK(os::WriteFileDurably(blob, "rotten"));
  Reopen();
  ASSERT_OK(images_->Tag("other", "again"));
  Reopen();

  ASSERT_OK(images_->Remove("other", {}));
  ASSERT_OK(images_->Remove("again", {}));
  PruneImagesRequest all;
  all.images = all.all = true;
  ASSERT_OK(images_->Prune(all));
  EXPECT_EQ(Count("layers"), 2);

  // Once it is given up, or whole again, the rest goes.
  ASSERT_OK(images_->Remove("app", {}));
  EXPECT_EQ(Count("layers"), 0);
}

TEST_F(LocalImagesTest, WhenRemoved_ContentThatNothingNeedsGoes) {
  ASSERT_OK(Load(DockerArchive("one", {Layer("base"), Layer("one")})));
  ASSERT_OK(Load(DockerArchive("two", {Layer("base"), Layer("two")})));
  EXPECT_EQ(Count("layers"), 3);

  ASSERT_OK(images_->Remove("one", {}));

  EXPECT_THAT(images_->Get("one"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(images_->Get("two"));
  EXPECT_EQ(Count("layers"), 2);
  EXPECT_EQ(Count("blobs/sha256"), 4);  // manifest, config, two layers
  ASSERT_OK(images_->Remove("two", {}));
  EXPECT_EQ(Count("layers"), 0);
  EXPECT_EQ(Count("blobs/sha256"), 0);
  EXPECT_THAT(images_->Remove("two", {}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LocalImagesTest, WhenRemovedButInUse_ContentStays) {
  ASSERT_OK_AND_ASSIGN(auto loaded, Load(DockerArchive("app", {Layer("a")})));
  ASSERT_OK(images_->Remove("app", {loaded[0].digest}));
  EXPECT_THAT(images_->Get("app"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(Image image, images_->Get(loaded[0].digest));
  EXPECT_OK(os::ReadFile(image.layers[0] + "/etc/a", 10));
}

TEST_F(LocalImagesTest, WhenTagMoves_OldImageStaysUntilItIsPruned) {
  ASSERT_OK_AND_ASSIGN(auto old, Load(DockerArchive("app", {Layer("a")})));
  ASSERT_OK(Load(DockerArchive("app", {Layer("b")})));
  EXPECT_OK(images_->Get(old[0].digest));
  ASSERT_OK(Load(DockerArchive("other", {Layer("c")})));
  ASSERT_OK(images_->Remove("other", {}));
  EXPECT_OK(images_->Get(old[0].digest));
  PruneImagesRequest prune;
  prune.images = true;
  ASSERT_OK(images_->Prune(prune));
  EXPECT_THAT(images_->Get(old[0].digest),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(images_->Get("app"));
}

TEST_F(LocalImagesTest, WhenTagged_BothNamesHoldTheImage) {
  ASSERT_OK_AND_ASSIGN(auto loaded, Load(DockerArchive("app", {Layer("a")})));
  ASSERT_OK(images_->Tag("app", "host:5000/app:prod"));
  ASSERT_OK(images_->Remove("app", {}));
  ASSERT_OK_AND_ASSIGN(Image image, images_->Get("host:5000/app:prod"));
  EXPECT_EQ(image.digest, loaded[0].digest);
  EXPECT_OK(images_->Get(absl::StrCat("any/name@", loaded[0].digest)));
  EXPECT_THAT(images_->Tag("none", "x"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(images_->Tag("host:5000/app:prod", "Bad Name"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(LocalImagesTest, WhenALayerLeavesOutDirectories_TakesThoseBelow) {
  std::string base =
      TarBuilder().Dir("tmp", {01777, 3, 4}).Dir("tmp/x", {0711}).Build();
  std::string upper = TarBuilder().File("tmp/x/file", "1").Build();
  ASSERT_OK_AND_ASSIGN(auto loaded, Load(DockerArchive("app", {base, upper})));
  struct stat st;
  ASSERT_EQ(stat((loaded[0].layers[1] + "/tmp").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 01777);
  EXPECT_EQ(st.st_uid, 3);
  ASSERT_EQ(stat((loaded[0].layers[1] + "/tmp/x").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0711);
  // The same layer above another base is another directory.
  ASSERT_OK_AND_ASSIGN(auto other, Load(DockerArchive("b", {upper})));
  EXPECT_NE(other[0].layers[0], loaded[0].layers[1]);
}

}  // namespace
}  // namespace bulwark::engine
