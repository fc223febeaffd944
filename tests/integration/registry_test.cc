// Pulls from Debian's docker-registry what skopeo pushed to it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
#include "engine/image/local_images.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

extern char** environ;

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using image::Json;
using image::testing::TarBuilder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const char kRegistry[] = "/usr/bin/docker-registry";

pid_t Spawn(const std::vector<std::string>& args) {
  std::vector<char*> argv;
  for (const std::string& arg : args) {
    argv.push_back(const_cast<char*>(arg.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  EXPECT_EQ(
      posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0)
      << args[0];
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

void RunToEnd(const std::vector<std::string>& args) {
  int status = -1;
  waitpid(Spawn(args), &status, 0);
  ASSERT_EQ(status, 0) << args[0] << " failed";
}

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

int FreePort() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size);
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool Connects(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(port);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) == 0;
}

class RegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access(kRegistry, X_OK) != 0) GTEST_SKIP() << "no docker-registry";
    port_ = FreePort();
    ASSERT_OK(os::MakeDirs(dir_ / "registry", 0700));
    ASSERT_OK(os::WriteFileDurably(
        dir_ / "registry.yml",
        absl::StrCat("version: 0.1\nlog: {level: error}\nstorage: "
                     "{filesystem: {rootdirectory: ",
                     dir_ / "registry", "}}\nhttp: {addr: 127.0.0.1:", port_,
                     "}\n")));
    StartRegistry();
    auto opened = LocalImages::Open({dir_ / "state", {}, &clock_, &entropy_});
    ASSERT_OK(opened);
    images_ = *std::move(opened);
  }

  void TearDown() override { StopRegistry(); }

  void StartRegistry() {
    registry_ = Spawn({kRegistry, "serve", dir_ / "registry.yml"});
    absl::Duration deadline = clock_.Steady() + absl::Seconds(20);
    while (!Connects(port_)) {
      ASSERT_LT(clock_.Steady(), deadline) << "docker-registry does not start";
      clock_.Sleep(absl::Milliseconds(20));
    }
  }

  void StopRegistry() {
    if (registry_ <= 0) return;
    kill(registry_, SIGKILL);
    waitpid(registry_, nullptr, 0);
    registry_ = -1;
  }

  // Pushes a docker-archive with these layers as `name`.
  void Push(const std::string& name, const std::vector<std::string>& layers) {
    Json ids = Json::array();
    Json names = Json::array();
    TarBuilder tar;
    for (const std::string& layer : layers) {
      std::string file =
          absl::StrCat(image::HexOf(image::DigestOf(layer)), "/layer.tar");
      tar.File(file, layer);
      names.push_back(file);
      ids.push_back(image::DigestOf(layer));
    }
    tar.File(
        "config.json",
        image::Dump(Json{{"os", "linux"},
                         {"architecture", "amd64"},
                         {"config", {{"Cmd", {"/bin/app"}}}},
                         {"rootfs", {{"type", "layers"}, {"diff_ids", ids}}}}));
    tar.File("manifest.json",
             image::Dump(Json::array(
                 {Json{{"Config", "config.json"}, {"Layers", names}}})));
    std::string path = dir_ / "push.tar";
    ASSERT_OK(os::WriteFileDurably(path, tar.Build()));
    RunToEnd({"skopeo", "--insecure-policy", "copy", "-q",
              "--dest-tls-verify=false", absl::StrCat("docker-archive:", path),
              absl::StrCat("docker://", Name(name))});
  }

  std::string Name(const std::string& name) const {
    return absl::StrCat("127.0.0.1:", port_, "/", name);
  }

  absl::StatusOr<Image> Pull(const std::string& reference,
                             bool always = false) {
    PullRequest request;
    request.reference = reference;
    request.platform = "linux/amd64";
    request.always = always;
    return images_->Pull(request, nullptr);
  }

  TempDir dir_;
  RealClock clock_;
  RealEntropy entropy_;
  int port_ = 0;
  pid_t registry_ = -1;
  std::unique_ptr<LocalImages> images_;
};

std::string Layer(const std::string& file, const std::string& contents) {
  return TarBuilder().Dir("etc").File("etc/" + file, contents).Build();
}

TEST_F(RegistryTest, WhenImageWasPushed_PullUnpacksItsLayers) {
  std::vector<std::string> layers;
  for (int i = 0; i < 6; ++i) {
    layers.push_back(
        Layer(absl::StrCat("f", i), std::string(300'000, 'a' + i)));
  }
  Push("shop/web:1.4", layers);

  ASSERT_OK_AND_ASSIGN(Image image, Pull(Name("shop/web:1.4")));

  EXPECT_THAT(image.references, ElementsAre(Name("shop/web:1.4")));
  EXPECT_THAT(image.config.command, ElementsAre("/bin/app"));
  ASSERT_THAT(image.layers, SizeIs(6));
  for (int i = 0; i < 6; ++i) {
    EXPECT_THAT(
        os::ReadFile(absl::StrCat(image.layers[i], "/etc/f", i), 1 << 20),
        IsOkAndHolds(std::string(300'000, 'a' + i)));
  }
  EXPECT_THAT(os::ListDir(dir_ / "state/ingest"),
              IsOkAndHolds(::testing::IsEmpty()));
}

TEST_F(RegistryTest, WhenPresent_PullNeedsNoRegistryUnlessAlways) {
  Push("app:1", {Layer("a", "1")});
  ASSERT_OK_AND_ASSIGN(Image image, Pull(Name("app:1")));
  StopRegistry();
  ASSERT_OK_AND_ASSIGN(Image again, Pull(Name("app:1")));
  EXPECT_EQ(again.digest, image.digest);
  EXPECT_THAT(
      Pull(Name("app:1"), /*always=*/true),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("pull 127.0.0.1"), HasSubstr("refused"))));
}

TEST_F(RegistryTest, WhenTagMoves_AlwaysFetchesTheNewImage) {
  Push("app:1", {Layer("a", "1")});
  ASSERT_OK_AND_ASSIGN(Image old, Pull(Name("app:1")));
  Push("app:1", {Layer("a", "2")});
  ASSERT_OK_AND_ASSIGN(Image same, Pull(Name("app:1")));
  EXPECT_EQ(same.digest, old.digest);
  ASSERT_OK_AND_ASSIGN(Image fresh, Pull(Name("app:1"), /*always=*/true));
  EXPECT_NE(fresh.digest, old.digest);
  EXPECT_THAT(images_->Get(Name("app:1"))->digest, fresh.digest);
}

TEST_F(RegistryTest, WhenAskedByDigest_PullsExactlyThat) {
  Push("app:1", {Layer("a", "1")});
  ASSERT_OK_AND_ASSIGN(Image image, Pull(Name("app:1")));
  ASSERT_OK(images_->Remove(Name("app:1"), {}));
  ASSERT_OK_AND_ASSIGN(Image exact,
                       Pull(absl::StrCat(Name("app"), "@", image.digest)));
  EXPECT_EQ(exact.digest, image.digest);
}

TEST_F(RegistryTest, WhenTagIsUnknown_IsNotFound) {
  Push("app:1", {Layer("a", "1")});
  EXPECT_THAT(Pull(Name("app:2")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Pull(Name("none:1")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(RegistryTest, WhenPlatformDiffers_ListsWhatThereIs) {
  Push("app:1", {Layer("a", "1")});
  PullRequest request;
  request.reference = Name("app:1");
  request.platform = "linux/s390x";
  EXPECT_THAT(images_->Pull(request, nullptr),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("available: linux/amd64")));
}

}  // namespace
}  // namespace bulwark::engine
