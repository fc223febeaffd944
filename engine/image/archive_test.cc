// Saving images, and making one of a root file system.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/local_images.h"
#include "engine/image/tar_reader.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using image::DigestOf;
using image::Json;
using image::testing::Gzip;
using image::testing::TarBuilder;
using image::testing::Zstd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

UniqueFd FdWith(absl::string_view data) {
  UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
  EXPECT_OK(os::WriteAll(fd.get(), data, "memfd"));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string RootFs(const std::string& file) {
  return TarBuilder().Dir("etc").File("etc/" + file, file).Build();
}

// The files of an archive by name.
std::map<std::string, std::string> FilesOf(absl::string_view archive) {
  std::map<std::string, std::string> files;
  image::StringSource source(archive);
  image::TarReader tar(&source);
  image::TarEntry entry;
  for (;;) {
    const absl::StatusOr<bool> more = tar.Next(&entry);
    EXPECT_OK(more);
    if (!more.ok() || !*more) return files;
    EXPECT_EQ(entry.mtime.tv_sec, 0) << entry.path;
    if (entry.type != image::TarEntry::Type::kFile) continue;
    EXPECT_EQ(files.count(entry.path), 0) << entry.path;
    std::string& contents = files[entry.path];
    EXPECT_OK(tar.ReadData([&](int64_t, absl::string_view data) {
      absl::StrAppend(&contents, data);
      return absl::OkStatus();
    }));
  }
}

class ArchiveTest : public ::testing::Test {
 protected:
  ArchiveTest() : images_(Open("state")) {}

  std::unique_ptr<LocalImages> Open(const std::string& name) {
    auto opened = LocalImages::Open({dir_ / name, {}, &clock_, &entropy_});
    EXPECT_OK(opened);
    return opened.ok() ? *std::move(opened) : nullptr;
  }

  absl::StatusOr<Image> Import(absl::string_view tar,
                               const std::string& reference,
                               std::vector<std::string> changes = {}) {
    ImportRequest request;
    request.reference = reference;
    request.changes = std::move(changes);
    request.message = "from a test";
    const UniqueFd fd = FdWith(tar);
    return images_->Import(request, fd.get(), nullptr);
  }

  absl::StatusOr<std::string> Save(std::vector<std::string> references,
                                   ImageFormat format = ImageFormat::kDocker) {
    SaveRequest request;
    request.references = std::move(references);
    request.format = format;
    const UniqueFd fd = FdWith("");
    RETURN_IF_ERROR(images_->Save(request, fd.get(), nullptr));
    return os::ReadFd(fd.get(), "archive", 64 << 20);
  }

  std::vector<std::string> Names(const std::string& folder) {
    return os::ListDir(dir_ / ("state/" + folder))
        .value_or(std::vector<std::string>{"unreadable"});
  }
  std::string BlobPath(absl::string_view digest) const {
    return absl::StrCat(dir_.path(), "/state/blobs/sha256/",
                        image::HexOf(digest));
  }

  TempDir dir_;
  RealClock clock_;
  SeededEntropy entropy_{1};
  std::unique_ptr<LocalImages> images_;
};

TEST_F(ArchiveTest, WhenSavedAndLoadedElsewhere_DigestsAndNamesAreTheSame) {
  ASSERT_OK_AND_ASSIGN(const Image a, Import(RootFs("one"), "shop:1.4"));
  ASSERT_OK(images_->Tag("shop:1.4", "host:5000/shop:stable"));
  ASSERT_OK_AND_ASSIGN(const Image b, Import(Zstd(RootFs("two")), "other:2"));
  for (const ImageFormat format : {ImageFormat::kDocker, ImageFormat::kOci}) {
    ASSERT_OK_AND_ASSIGN(
        const std::string archive,
        Save({"shop:1.4", "host:5000/shop:stable", "other:2"}, format));
    const bool docker = format == ImageFormat::kDocker;
    EXPECT_EQ(FilesOf(archive).count("manifest.json"), docker ? 1 : 0);
    std::unique_ptr<LocalImages> elsewhere = Open(docker ? "docker" : "oci");
    const UniqueFd fd = FdWith(archive);
    ASSERT_OK_AND_ASSIGN(const std::vector<Image> loaded,
                         elsewhere->Load(fd.get(), nullptr));
    EXPECT_THAT(loaded, SizeIs(2));
    ASSERT_OK_AND_ASSIGN(const Image shop, elsewhere->Get("shop:1.4"));
    EXPECT_EQ(shop.digest, a.digest);
    EXPECT_THAT(shop.references,
                UnorderedElementsAre("docker.io/library/shop:1.4",
                                     "host:5000/shop:stable"));
    ASSERT_OK_AND_ASSIGN(const Image other, elsewhere->Get("other:2"));
    EXPECT_EQ(other.digest, b.digest);
    EXPECT_THAT(os::ReadFile(other.layers[0] + "/etc/two", 10),
                IsOkAndHolds("two"));
  }
}

TEST_F(ArchiveTest, WhenSavedTwice_BytesAreTheSame) {
  ASSERT_OK(Import(RootFs("one"), "app:1"));
  ASSERT_OK_AND_ASSIGN(const std::string first, Save({"app:1"}));
  ASSERT_OK_AND_ASSIGN(const std::string second, Save({"app:1"}));
  EXPECT_EQ(DigestOf(first), DigestOf(second));
}

TEST_F(ArchiveTest, WhenImagesShareALayer_ItIsThereOnce) {
  ASSERT_OK(Import(RootFs("one"), "app:1"));
  ASSERT_OK(Import(RootFs("one"), "app:2", {"CMD [\"/bin/two\"]"}));
  ASSERT_OK_AND_ASSIGN(const std::string archive, Save({"app:1", "app:2"}));
  // FilesOf() fails on a name that comes twice.
  const std::map<std::string, std::string> files = FilesOf(archive);
  // Two manifests, two configurations, one layer, three documents.
  EXPECT_THAT(files, SizeIs(8));
  EXPECT_TRUE(files.count("oci-layout") == 1 && files.count("index.json") == 1);
}

TEST_F(ArchiveTest, WhenSavedByDigest_HasNoName) {
  ASSERT_OK_AND_ASSIGN(const Image image, Import(RootFs("one"), "app:1"));
  ASSERT_OK_AND_ASSIGN(const std::string archive, Save({image.digest}));
  std::unique_ptr<LocalImages> elsewhere = Open("elsewhere");
  const UniqueFd fd = FdWith(archive);
  ASSERT_OK_AND_ASSIGN(const std::vector<Image> loaded,
                       elsewhere->Load(fd.get(), nullptr));
  ASSERT_THAT(loaded, SizeIs(1));
  EXPECT_EQ(loaded[0].digest, image.digest);
  EXPECT_THAT(loaded[0].references, IsEmpty());
}

TEST_F(ArchiveTest, WhenSavedToAPipe_ItIsStreamed) {
  // More than a pipe holds.
  ASSERT_OK(
      Import(Gzip(TarBuilder().File("big", std::string(3 << 20, 'x')).Build()) +
                 std::string(300'000, '\0'),
             "app:1"));
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd in(ends[0]);
  std::string read_back;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t n; (n = read(in.get(), buffer, sizeof(buffer))) > 0;) {
      read_back.append(buffer, static_cast<size_t>(n));
    }
  });
  SaveRequest request;
  request.references = {"app:1"};
  EXPECT_OK(images_->Save(request, ends[1], nullptr));
  close(ends[1]);
  reader.join();
  EXPECT_THAT(FilesOf(read_back), SizeIs(6));
  EXPECT_THAT(Names("ingest"), IsEmpty());
}

TEST_F(ArchiveTest, WhenTheReaderGoes_IsCancelled) {
  signal(SIGPIPE, SIG_IGN);
  ASSERT_OK(Import(RootFs("one"), "app:1"));
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd out(ends[1]);
  close(ends[0]);
  SaveRequest request;
  request.references = {"app:1"};
  EXPECT_THAT(images_->Save(request, out.get(), nullptr),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("has gone")));
}

TEST_F(ArchiveTest, WhenTheDiskOfTheArchiveIsFull_SaysSo) {
  ASSERT_OK(Import(RootFs("one"), "app:1"));
  const UniqueFd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full.ok());
  SaveRequest request;
  request.references = {"app:1"};
  EXPECT_THAT(images_->Save(request, full.get(), nullptr),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(ArchiveTest, WhenABlobIsMissingOrDamaged_SaveSaysWhatToDo) {
  ASSERT_OK_AND_ASSIGN(const Image image, Import(RootFs("one"), "app:1"));
  ASSERT_OK_AND_ASSIGN(const ImageDocuments documents,
                       images_->Documents("app:1"));
  const std::string blob = BlobPath(documents.layers[0].digest);
  ASSERT_OK_AND_ASSIGN(std::string contents, os::ReadFile(blob, 1 << 20));
  contents[contents.size() / 2] ^= 1;
  ASSERT_OK(os::WriteFileDurably(blob, contents));
  EXPECT_THAT(Save({"app:1"}), StatusIs(absl::StatusCode::kDataLoss,
                                        HasSubstr("is damaged on disk")));
  ASSERT_EQ(unlink(blob.c_str()), 0);
  EXPECT_THAT(Save({"app:1"}),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("is missing; `ctl verify --repair`")));
  EXPECT_THAT(Save({"none:1"}), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(ArchiveTest, WhenRemovedWhileSaving_TheArchiveIsWhole) {
  ASSERT_OK(Import(RootFs("one"), "app:1"));
  const UniqueFd fd = FdWith("");
  SaveRequest request;
  request.references = {"app:1"};
  bool removed = false;
  EXPECT_OK(images_->Save(request, fd.get(), [&](const Progress&) {
    if (!removed) {
      EXPECT_OK(images_->Remove("app:1", {}));
    }
    removed = true;
    return true;
  }));
  ASSERT_TRUE(removed);
  ASSERT_OK_AND_ASSIGN(const std::string archive,
                       os::ReadFd(fd.get(), "archive", 1 << 20));
  for (const auto& [name, contents] : FilesOf(archive)) {
    if (absl::StartsWith(name, "blobs/sha256/")) {
      EXPECT_EQ("blobs/sha256/" + std::string(image::HexOf(DigestOf(contents))),
                name);
    }
  }
}

TEST_F(ArchiveTest, WhenImported_HasOneLayerAndTheChanges) {
  const std::string tar = RootFs("one");
  for (const std::string& archive : {tar, Gzip(tar), Zstd(tar)}) {
    ASSERT_OK_AND_ASSIGN(
        const Image image,
        Import(archive, "host:5000/base:1",
               {"CMD [\"/bin/app\"]", "ENV A=b", "EXPOSE 80", "USER 7",
                "WORKDIR /srv", "WORKDIR app", "LABEL a=b"}));
    EXPECT_THAT(image.references, ElementsAre("host:5000/base:1"));
    EXPECT_THAT(image.config.command, ElementsAre("/bin/app"));
    EXPECT_THAT(image.config.env, ElementsAre("A=b"));
    EXPECT_EQ(image.config.working_dir, "/srv/app");
    EXPECT_EQ(image.config.user, "7");
    EXPECT_EQ(image.platform, "linux/amd64");
    ASSERT_THAT(image.layers, SizeIs(1));
    EXPECT_THAT(os::ReadFile(image.layers[0] + "/etc/one", 10),
                IsOkAndHolds("one"));
    ASSERT_OK_AND_ASSIGN(const ImageDocuments documents,
                         images_->Documents("host:5000/base:1"));
    ASSERT_THAT(documents.layers, SizeIs(1));
    EXPECT_EQ(documents.layers[0].diff_id, DigestOf(tar));
    EXPECT_EQ(documents.history[0].comment, "from a test");
    ASSERT_TRUE(documents.history[0].layer.has_value());
    // What came compressed stays as it came.
    if (archive != tar) {
      EXPECT_EQ(documents.layers[0].digest, DigestOf(archive));
    }
    ASSERT_OK_AND_ASSIGN(
        const std::string blob,
        os::ReadFile(BlobPath(documents.layers[0].digest), 1 << 20));
    EXPECT_EQ(static_cast<int64_t>(blob.size()),
              documents.layers[0].size_bytes);
  }
}

TEST_F(ArchiveTest, WhenImportedWithoutAName_IsThereByDigest) {
  ASSERT_OK_AND_ASSIGN(const Image image, Import(RootFs("one"), ""));
  EXPECT_THAT(image.references, IsEmpty());
  EXPECT_OK(images_->Get(image.digest));
}

TEST_F(ArchiveTest, WhenWhatIsImportedIsWrong_SaysWhatAndLeavesNothing) {
  EXPECT_THAT(Import("", "a"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(
      Import("this is no tar", "a"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be a tar")));
  EXPECT_THAT(Import(RootFs("one").substr(0, 1000), "a"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Import(Gzip(RootFs("one")).substr(0, 50), "a"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Import(TarBuilder().File("../x", "x").Build(), "a"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("leave the root")));
  EXPECT_THAT(Import(RootFs("one"), "Bad Name"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Import(RootFs("one"), "a", {"RUN make"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--change \"RUN make\"")));
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_THAT(Names("ingest"), IsEmpty());
  EXPECT_THAT(Names("blobs/sha256"), IsEmpty());
  EXPECT_THAT(Names("layers"), IsEmpty());
}

TEST_F(ArchiveTest, WhenHistoryAndLayersDoNotMatch_AllLayersAreListed) {
  const std::string layers[] = {RootFs("one"), RootFs("two")};
  Json config = {
      {"os", "linux"},
      {"architecture", "amd64"},
      {"rootfs", {{"diff_ids", {DigestOf(layers[0]), DigestOf(layers[1])}}}},
      {"history",
       {{{"created_by", "FROM"}, {"empty_layer", true}},
        {{"created_by", "COPY"}, {"created", "2024-05-06T07:08:09Z"}}}}};
  const UniqueFd fd = FdWith(
      TarBuilder()
          .File("c", image::Dump(config))
          .File("1", layers[0])
          .File("2", layers[1])
          .File("manifest.json",
                R"([{"Config":"c","RepoTags":["a"],"Layers":["1","2"]}])")
          .Build());
  ASSERT_OK(images_->Load(fd.get(), nullptr));
  ASSERT_OK_AND_ASSIGN(const ImageDocuments documents, images_->Documents("a"));
  EXPECT_EQ(documents.config, image::Dump(config));
  ASSERT_THAT(documents.history, SizeIs(3));
  EXPECT_FALSE(documents.history[0].layer.has_value());
  EXPECT_EQ(documents.history[1].created_by, "COPY");
  EXPECT_EQ(documents.history[1].create_time,
            absl::FromUnixSeconds(1714979289));
  EXPECT_EQ(documents.history[1].layer->diff_id, DigestOf(layers[0]));
  EXPECT_EQ(documents.history[2].layer->diff_id, DigestOf(layers[1]));
}

}  // namespace
}  // namespace bulwark::engine
