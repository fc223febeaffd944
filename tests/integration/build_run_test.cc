// Builds an image with real containers, and runs it.
#include <sys/stat.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/local_images.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class BuildRunTest : public ::testing::Test {
 protected:
  BuildRunTest() {
    LocalImagesConfig config;
    config.state_dir = world_ / "images";
    config.clock = &world_.clock();
    config.entropy = &entropy_;
    config.engine = &world_.engine();
    auto opened = LocalImages::Open(config);
    EXPECT_OK(opened);
    images_ = *std::move(opened);
    request_.context_dir = world_ / "context";
    request_.tags = {"app"};
    EXPECT_OK(os::MakeDirs(request_.context_dir, 0755));
    auto busybox = os::ReadFile("/bin/busybox", 64 << 20);
    EXPECT_OK(busybox);
    Write("busybox", *busybox, 0755);
  }

  void Write(const std::string& name, absl::string_view text,
             mode_t mode = 0644) {
    EXPECT_OK(os::WriteFileDurably(
        absl::StrCat(request_.context_dir, "/", name), text, mode));
  }

  absl::StatusOr<Image> Build(const std::string& steps) {
    Write("Dockerfile", absl::StrCat("FROM scratch\n"
                                     "COPY busybox /bin/\n"
                                     "RUN [\"/bin/busybox\", \"--install\","
                                     " \"-s\", \"/bin\"]\n",
                                     steps));
    output_.clear();
    cached_ = 0;
    return images_->Build(request_, [this](const Progress& p) {
      if (!p.output.empty()) output_.push_back(p.output);
      cached_ += p.status == "cached";
      return true;
    });
  }

  // What `script` prints in a container of the image.
  std::string Run(const Image& image, const std::string& script) {
    ContainerSpec spec;
    spec.id = absl::StrCat("run", ++runs_);
    spec.layers = image.layers;
    spec.args = {"/bin/sh", "-c", script};
    spec.env = image.config.env;
    spec.cwd = image.config.working_dir;
    spec.user = image.config.user;
    auto started = world_.engine().Start(spec);
    EXPECT_OK(started);
    if (!started.ok()) return "";
    world_.AwaitExit(spec.id);
    return world_.Output(spec.id);
  }

  testing::LocalWorld world_;
  RealEntropy entropy_;
  BuildRequest request_;
  std::vector<std::string> output_;
  int cached_ = 0;
  int runs_ = 0;
  std::unique_ptr<LocalImages> images_;
};

TEST_F(BuildRunTest, WhenStepsChangeFiles_TheImageRunsWithThem) {
  ASSERT_OK_AND_ASSIGN(
      Image image,
      Build("RUN echo app:x:1000:1000::/:/bin/sh > /etc/passwd\n"
            "RUN echo building; mkdir -p /srv /old/sub; echo hi > /srv/hello;"
            " touch /old/file\n"
            "RUN rm /old/file; rmdir /old/sub; chown 1000:1000 /srv/hello;"
            " ln /srv/hello /srv/hard\n"
            "WORKDIR /srv\n"
            "USER app\n"
            "ENV GREETING=moin\n"));
  EXPECT_THAT(output_, Contains("building"));
  EXPECT_EQ(Run(image,
                "id -u; pwd; cat hello; stat -c %u:%h hello hard;"
                " ls /old; echo $GREETING"),
            "1000\n/srv\nhi\n1000:2\n1000:2\nmoin\n");
  // What a container is given does not become part of the image.
  for (const std::string& layer : image.layers) {
    struct stat st;
    for (const char* name : {"/proc", "/sys", "/dev", "/etc/hosts"}) {
      EXPECT_NE(lstat((layer + name).c_str(), &st), 0) << layer << name;
    }
  }
  EXPECT_THAT(os::ListDir(world_ / "images/ingest"), IsOkAndHolds(IsEmpty()));
}

TEST_F(BuildRunTest, WhenBuiltAgain_EveryStepComesFromTheCache) {
  const std::string steps = "RUN date +%N > /stamp\nRUN true\n";
  ASSERT_OK_AND_ASSIGN(Image first, Build(steps));
  ASSERT_OK_AND_ASSIGN(Image second, Build(steps));
  EXPECT_EQ(second.digest, first.digest);
  EXPECT_EQ(cached_, 4);
}

TEST_F(BuildRunTest, WhenAStepFails_NothingOfItIsLeft) {
  EXPECT_THAT(
      Build("RUN echo before; exit 3\n"),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("Dockerfile:4"), HasSubstr("exit status 3"))));
  EXPECT_THAT(output_, Contains("before"));
  EXPECT_THAT(
      Build("RUN [\"/no/such\"]\n"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/no/such")));
  EXPECT_THAT(world_.engine().List(), IsEmpty());
  EXPECT_THAT(os::ListDir(world_ / "images/ingest"), IsOkAndHolds(IsEmpty()));
}

TEST_F(BuildRunTest, WhenCancelled_TheStepEnds) {
  Write("Dockerfile",
        "FROM scratch\nCOPY busybox /bin/\n"
        "RUN [\"/bin/busybox\", \"sleep\", \"1000\"]\n");
  bool started = false;
  EXPECT_THAT(images_->Build(request_,
                             [&](const Progress& p) {
                               started = started || p.id == "3/3";
                               return !started || p.status != "running";
                             }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(world_.engine().List(), IsEmpty());
}

}  // namespace
}  // namespace bulwark::engine
