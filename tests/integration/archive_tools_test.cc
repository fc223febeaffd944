// Archives that other tools read and write: skopeo, umoci, podman, docker.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/local_images.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/image/tree_diff.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::TempDir;
using image::testing::Gzip;
using image::testing::TarBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// What a tree can hold that goes through every tool.
std::string RootFs() {
  image::testing::TarOptions capable = {0755, 1, 2};
  capable.xattrs = {{"user.kept", "v"}};
  return TarBuilder()
      .Dir("etc", {0751, 3, 4})
      .File("etc/one", "one", {0640, 5, 6})
      .Hardlink("etc/two", "etc/one")
      .Symlink("link", "etc/one")
      .File("bin", std::string(200'000, 'b'), {04755, 0, 0})
      .File("attributes", "x", capable)
      .File(std::string(90, 'd') + "/" + std::string(120, 'n'), "long")
      .Build();
}

class ArchiveToolsTest : public ::testing::Test {
 protected:
  void SetUp() override { images_ = Open("state"); }

  std::unique_ptr<LocalImages> Open(const std::string& name) {
    auto opened = LocalImages::Open({dir_ / name, {}, &clock_, &entropy_});
    EXPECT_OK(opened);
    return opened.ok() ? *std::move(opened) : nullptr;
  }

  // The program's output. A shell is given `command`, in the folder.
  std::string Run(const std::string& command) {
    const std::string whole =
        absl::StrCat("cd ", dir_.path(), " && (", command, ") 2>&1");
    FILE* pipe = popen(whole.c_str(), "r");
    EXPECT_NE(pipe, nullptr);
    std::string output;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
      output.append(buffer, n);
    }
    EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
    return output;
  }
  static bool Has(const std::string& program) {
    return access(program.c_str(), X_OK) == 0;
  }

  Image Import(const std::string& tar, const std::string& name) {
    const UniqueFd fd(memfd_create("tar", MFD_CLOEXEC));
    EXPECT_OK(os::WriteAll(fd.get(), tar, "tar"));
    lseek(fd.get(), 0, SEEK_SET);
    ImportRequest request;
    request.reference = name;
    request.changes = {"CMD [\"/bin\"]", "ENV A=b", "LABEL made=here"};
    auto image = images_->Import(request, fd.get(), nullptr);
    EXPECT_OK(image);
    return image.ok() ? *image : Image();
  }
  void Save(const std::vector<std::string>& names, const std::string& file,
            ImageFormat format = ImageFormat::kDocker) {
    SaveRequest request;
    request.references = names;
    request.format = format;
    const UniqueFd fd(
        open((dir_ / file).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
    ASSERT_OK(images_->Save(request, fd.get(), nullptr));
  }
  std::vector<Image> Load(LocalImages& images, const std::string& file) {
    const UniqueFd fd(open((dir_ / file).c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(fd.ok()) << file;
    auto loaded = images.Load(fd.get(), nullptr);
    EXPECT_OK(loaded) << file;
    return loaded.ok() ? *loaded : std::vector<Image>();
  }
  // That `image` is what Import() made, whoever had it meanwhile.
  void ExpectSame(const Image& image, const Image& original) {
    ASSERT_THAT(image.layers, SizeIs(1));
    EXPECT_THAT(image::CompareTrees(original.layers[0], image.layers[0], {}),
                IsOkAndHolds(IsEmpty()));
    EXPECT_THAT(image.config.command, ElementsAre("/bin"));
    EXPECT_THAT(image.config.env, ElementsAre("A=b"));
  }

  TempDir dir_;
  RealClock clock_;
  RealEntropy entropy_;
  std::unique_ptr<LocalImages> images_;
};

TEST_F(ArchiveToolsTest, WhenSaved_SkopeoReadsBothFormatsAndWritesThemBack) {
  ASSERT_TRUE(Has("/usr/bin/skopeo"));
  const std::string skopeo = "skopeo --insecure-policy --tmpdir . ";
  // Not zstd: skopeo makes no docker-archive of that.
  for (const std::string& tar : {Gzip(RootFs()), RootFs()}) {
    const Image image = Import(tar, "host:5000/app:1");
    Save({"host:5000/app:1"}, "docker.tar");
    Save({"host:5000/app:1"}, "oci.tar", ImageFormat::kOci);
    EXPECT_THAT(Run(skopeo + "inspect docker-archive:docker.tar"),
                HasSubstr("\"made\": \"here\""));
    // As an OCI archive, both keep the digest.
    for (const char* file : {"docker.tar", "oci.tar"}) {
      EXPECT_THAT(Run(absl::StrCat(skopeo, "inspect oci-archive:", file, ":1")),
                  HasSubstr(image.digest));
    }
    Run("rm -rf back-* dir; mkdir dir");
    Run(skopeo +
        "copy -q docker-archive:docker.tar oci-archive:back-oci.tar:app:1 &&" +
        skopeo +
        "copy -q oci-archive:oci.tar:1 "
        "docker-archive:back-docker.tar:host:5000/app:1 && " +
        skopeo +
        "copy -q --dest-compress-format zstd oci-archive:oci.tar:1 "
        "oci-archive:back-zstd.tar:app:1");
    for (const char* file :
         {"back-oci.tar", "back-docker.tar", "back-zstd.tar"}) {
      SCOPED_TRACE(file);
      std::unique_ptr<LocalImages> elsewhere = Open(absl::StrCat("s-", file));
      const std::vector<Image> loaded = Load(*elsewhere, file);
      ASSERT_THAT(loaded, SizeIs(1));
      ExpectSame(loaded[0], image);
      elsewhere.reset();
      Run(absl::StrCat("rm -rf s-", file));
    }
  }
}

TEST_F(ArchiveToolsTest, WhenUmociUnpacks_TheTreeIsTheSameAsOurs) {
  ASSERT_TRUE(Has("/usr/bin/umoci"));
  const Image image = Import(Gzip(RootFs()), "app:1");
  Save({"app:1"}, "oci.tar", ImageFormat::kOci);
  Run("mkdir layout && tar -C layout -xf oci.tar && "
      "umoci unpack --image layout:1 bundle");
  EXPECT_THAT(image::CompareTrees(image.layers[0], dir_ / "bundle/rootfs", {}),
              IsOkAndHolds(IsEmpty()));
}

TEST_F(ArchiveToolsTest, WhenPodmanLoadsAndSaves_TheImageIsTheSame) {
  ASSERT_TRUE(Has("/usr/bin/podman"));
  const Image image = Import(Gzip(RootFs()), "host:5000/app:1");
  Save({"host:5000/app:1"}, "docker.tar");
  Save({"host:5000/app:1"}, "oci.tar", ImageFormat::kOci);
  const std::string podman = absl::StrCat(
      "podman --root ", dir_ / "podman", " --runroot ", dir_ / "podman-run",
      " --storage-driver vfs --tmpdir ", dir_ / "podman-tmp", " ");
  for (const char* file : {"docker.tar", "oci.tar"}) {
    SCOPED_TRACE(file);
    EXPECT_THAT(Run(absl::StrCat(podman, "load -q -i ", file)),
                HasSubstr("host:5000/app:1"));
    for (const char* format : {"docker-archive", "oci-archive"}) {
      Run(absl::StrCat("rm -f back.tar; ", podman, "save -q --format ", format,
                       " -o back.tar host:5000/app:1"));
      std::unique_ptr<LocalImages> elsewhere = Open("elsewhere");
      const std::vector<Image> loaded = Load(*elsewhere, "back.tar");
      ASSERT_THAT(loaded, SizeIs(1));
      EXPECT_THAT(loaded[0].references, ElementsAre("host:5000/app:1"));
      ExpectSame(loaded[0], image);
      elsewhere.reset();
      Run("rm -rf elsewhere");
    }
    Run(podman + "rmi -f host:5000/app:1");
  }
}

// dockerd in namespaces of its own; the commands that follow talk to it.
constexpr char kWithDockerd[] =
    "unshare -m -n --propagation private sh -c 'mount -t tmpfs t /run; "
    "dockerd --bridge none --iptables=false --storage-driver vfs "
    "--data-root $PWD/docker --exec-root $PWD/dx --pidfile $PWD/d.pid "
    "-H unix://$PWD/d.sock >dockerd.log 2>&1 & p=$!; "
    "export DOCKER_HOST=unix://$PWD/d.sock; i=0; "
    "until docker version >/dev/null 2>&1; do "
    "i=$((i+1)); [ $i -lt 300 ] || { cat dockerd.log; exit 1; }; "
    "sleep 0.1; done; (COMMANDS); r=$?; kill $p; wait $p; exit $r'";

TEST_F(ArchiveToolsTest, WhenDockerLoadsAndSaves_TheImageIsTheSame) {
  ASSERT_TRUE(Has("/usr/sbin/dockerd"));
  const Image image = Import(Gzip(RootFs()), "host:5000/app:1");
  Save({"host:5000/app:1"}, "docker.tar");
  std::string command = kWithDockerd;
  const std::string place = "COMMANDS";
  command.replace(command.find(place), place.size(),
                  "set -e; docker load -q -i docker.tar; "
                  "docker image inspect host:5000/app:1; "
                  "docker save -o back.tar host:5000/app:1");
  EXPECT_THAT(Run(command), HasSubstr("\"made\": \"here\""));
  std::unique_ptr<LocalImages> elsewhere = Open("elsewhere");
  const std::vector<Image> loaded = Load(*elsewhere, "back.tar");
  ASSERT_THAT(loaded, SizeIs(1));
  EXPECT_THAT(loaded[0].references, ElementsAre("host:5000/app:1"));
  ExpectSame(loaded[0], image);
  Run("umount -R docker 2>/dev/null; rm -rf docker dx");
}

}  // namespace
}  // namespace bulwark::engine
