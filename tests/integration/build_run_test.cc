// Builds an image with real containers, and runs it.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <filesystem>
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

namespace fs = std::filesystem;
using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Whose ids the steps have, and on which kernel.
struct Variant {
  const char* name;
  const char* max_kernel;
  IdRange ids;
};

class BuildRunTest : public ::testing::TestWithParam<Variant> {
 protected:
  BuildRunTest() {
    LocalImagesConfig config;
    config.state_dir = world_ / "images";
    config.clock = &world_.clock();
    config.entropy = &entropy_;
    config.engine = &world_.engine();
    if (GetParam().ids.size != 0) {
      config.build_users = [] {
        return build::BuildUsers{GetParam().ids, nullptr};
      };
    }
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

  testing::LocalWorld world_{GetParam().max_kernel};
  RealEntropy entropy_;
  BuildRequest request_;
  std::vector<std::string> output_;
  int cached_ = 0;
  int runs_ = 0;
  std::unique_ptr<LocalImages> images_;
};

constexpr IdRange kIds = {1879048192 + 11 * 65536, 65536};
INSTANTIATE_TEST_SUITE_P(
    Users, BuildRunTest,
    ::testing::Values(Variant{"Hosts", "", {}}, Variant{"Own", "", kIds},
                      Variant{"OwnOnLinux61", "6.1", kIds}),
    [](const auto& info) { return info.param.name; });

TEST_P(BuildRunTest, WhenStepsChangeFiles_TheImageRunsWithThem) {
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

TEST_P(BuildRunTest, WhenBuiltAgain_EveryStepComesFromTheCache) {
  const std::string steps = "RUN date +%N > /stamp\nRUN true\n";
  ASSERT_OK_AND_ASSIGN(Image first, Build(steps));
  ASSERT_OK_AND_ASSIGN(Image second, Build(steps));
  EXPECT_EQ(second.digest, first.digest);
  EXPECT_EQ(cached_, 4);
}

TEST_P(BuildRunTest, WhenAStepFails_NothingOfItIsLeft) {
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

TEST_P(BuildRunTest, WhenAStepRuns_ItsRootIsTheHostsOnlyWhereAllowed) {
  const bool own = GetParam().ids.size != 0;
  const std::string map =
      own ? absl::StrCat("0 ", kIds.first, " 65536") : "0 0 4294967295";
  const std::string check = "set -- $(cat /proc/self/uid_map); echo map $*\n";
  ASSERT_OK(Build("RUN " + check));
  EXPECT_THAT(output_, Contains("map " + map));
  ASSERT_OK(Build("RUN --network=none " + check));
  EXPECT_THAT(output_, Contains("map " + map));
  request_.allow_insecure = request_.allow_host_network = true;
  ASSERT_OK(Build("RUN --security=insecure " + check));
  EXPECT_THAT(output_, Contains("map 0 0 4294967295"));
  ASSERT_OK(Build("RUN --network=host " + check));
  EXPECT_THAT(output_, Contains("map 0 0 4294967295"));
}

// The layer holds the numbers that the step saw, in every way to read it.
TEST_P(BuildRunTest, WhenFilesHaveOwners_LayersHoldTheStepsNumbers) {
  Write("given", "g");
  ASSERT_OK_AND_ASSIGN(
      const Image image,
      Build("COPY --chown=12:34 given /given\n"
            "RUN [ $(stat -c %u:%g /given) = 12:34 ] && mkdir -p /d/sub &&"
            " touch /d/a /d/sub/b && chown 1000:1001 /d/a &&"
            " chown 65535:65534 /d/sub/b && chown 5:6 /d/sub &&"
            " chmod 4755 /d/a && ln -s a /d/l && chown -h 7:8 /d/l &&"
            " chmod 1777 /d && chown 12:35 /given\n"
            "RUN cp -a /d /copied && mv /d/sub /moved && rm -r /d &&"
            " mkdir /d && touch /d/new\n"
            "FROM scratch\n"
            "COPY --from=0 / /\n"
            "RUN touch /given\n"));
  EXPECT_EQ(Run(image,
                "cd /copied; stat -c '%n %u:%g %a' a l sub sub/b /moved"
                " /moved/b /given; ls /d"),
            "a 1000:1001 4755\nl 7:8 777\nsub 5:6 755\nsub/b 65535:65534 644\n"
            "/moved 5:6 755\n/moved/b 65535:65534 644\n/given 12:35 644\n"
            "new\n");
}

TEST_P(BuildRunTest, WhenFilesHaveCapabilities_LayersHoldThemAsAlways) {
  const fs::path context = request_.context_dir;
  // The program and what it is linked with.
  ASSERT_EQ(std::system(absl::StrCat("mkdir ", context.string(), "/root && cd ",
                                     context.string(),
                                     "/root && for f in /usr/sbin/setcap $(ldd"
                                     " /usr/sbin/setcap | grep -o '/[^ ]*'); do"
                                     " cp -L --parents $f .; done")
                            .c_str()),
            0);
  ASSERT_OK_AND_ASSIGN(
      const Image image,
      Build("COPY root /\nRUN touch /ping &&"
            " /usr/sbin/setcap cap_net_bind_service=ep /ping\n"));
  const std::string file = image.layers.back() + "/ping";
  char value[64];
  // Revision 2 (linux/capability.h), which says nothing of a user namespace.
  ASSERT_EQ(getxattr(file.c_str(), "security.capability", value, 64), 20);
  EXPECT_EQ(value[3], 2);
  EXPECT_THAT(images_->Verify({}, nullptr), IsOkAndHolds(IsEmpty()));
}

TEST_P(BuildRunTest, WhenCancelled_TheStepEnds) {
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
