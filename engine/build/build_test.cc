#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/build/layer_packer.h"
#include "engine/build/run_step.h"
#include "engine/fake/fake_engine.h"
#include "engine/image/byte_source.h"
#include "engine/image/local_images.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/image/unpack.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// What a command does: writes to the upper directory, prints, and ends.
struct Effect {
  int code = 0;
  std::string output;
};
using Script = std::function<Effect(const ContainerSpec& spec)>;

// A fake engine whose containers run a script and exit at once.
class ScriptedEngine final : public Engine {
 public:
  explicit ScriptedEngine(Clock& clock) : fake_(clock) {}

  Script script;
  std::vector<ContainerSpec> started;

  absl::Status Recover(EventSink sink) override { return fake_.Recover(sink); }
  absl::StatusOr<ContainerInfo> Start(const ContainerSpec& spec) override {
    ASSIGN_OR_RETURN(ContainerInfo info, fake_.Start(spec));
    started.push_back(spec);
    Effect effect = script ? script(spec) : Effect();
    if (!effect.output.empty()) {
      RETURN_IF_ERROR(fake_.Print(spec.id, effect.output));
    }
    if (effect.code >= 0) RETURN_IF_ERROR(fake_.Exit(spec.id, effect.code));
    return info;
  }
  absl::Status Signal(absl::string_view id, int signal) override {
    return fake_.Signal(id, signal);
  }
  absl::Status Kill(absl::string_view id) override { return fake_.Kill(id); }
  absl::Status Remove(absl::string_view id) override {
    return fake_.Remove(id);
  }
  absl::StatusOr<ContainerInfo> Inspect(absl::string_view id) override {
    return fake_.Inspect(id);
  }
  std::vector<ContainerInfo> List() override { return fake_.List(); }
  absl::StatusOr<ContainerStats> Stats(absl::string_view id) override {
    return fake_.Stats(id);
  }
  absl::StatusOr<std::unique_ptr<ExecSession>> Exec(
      absl::string_view id, const ExecSpec& spec) override {
    return fake_.Exec(id, spec);
  }
  absl::StatusOr<std::unique_ptr<LogReader>> Logs(
      absl::string_view id, const LogOptions& options) override {
    return fake_.Logs(id, options);
  }

 private:
  FakeEngine fake_;
};

class BuildTest : public ::testing::Test {
 protected:
  BuildTest() : engine_(clock_) {
    LocalImagesConfig config;
    config.state_dir = dir_ / "state";
    config.clock = &clock_;
    config.entropy = &entropy_;
    config.engine = &engine_;
    auto opened = LocalImages::Open(config);
    EXPECT_OK(opened);
    images_ = *std::move(opened);
    request_.context_dir = dir_ / "context";
    request_.tags = {"app:1"};
    EXPECT_OK(os::MakeDirs(request_.context_dir, 0755));
  }

  void TearDown() override {
    EXPECT_THAT(os::ListDir(dir_ / "state/ingest"), IsOkAndHolds(IsEmpty()));
    EXPECT_THAT(engine_.List(), IsEmpty());
  }

  void Write(const std::string& name, const std::string& text,
             mode_t mode = 0644) {
    std::string path = absl::StrCat(request_.context_dir, "/", name);
    ASSERT_OK(os::MakeDirs(path.substr(0, path.rfind('/')), 0755));
    ASSERT_OK(os::WriteFileDurably(path, text, mode));
  }

  absl::StatusOr<Image> Build(const std::string& dockerfile) {
    Write("Dockerfile", dockerfile);
    progress_.clear();
    return images_->Build(request_, [this](const Progress& p) {
      progress_.push_back(p);
      return true;
    });
  }

  // How many steps came from the cache.
  int CachedSteps() const {
    int n = 0;
    for (const Progress& p : progress_) n += p.status == "cached";
    return n;
  }
  std::vector<std::string> Output() const {
    std::vector<std::string> lines;
    for (const Progress& p : progress_) lines.push_back(p.output);
    return lines;
  }

  // A file of the image, from its topmost layer.
  static absl::StatusOr<std::string> Read(const Image& image,
                                          const std::string& path) {
    for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
      auto text = os::ReadFile(absl::StrCat(*it, "/", path), 1 << 20);
      if (text.ok()) return text;
    }
    return absl::NotFoundError(path);
  }
  static struct stat Stat(const Image& image, const std::string& path) {
    struct stat st = {};
    for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
      if (lstat(absl::StrCat(*it, "/", path).c_str(), &st) == 0) return st;
    }
    ADD_FAILURE() << "no " << path;
    return st;
  }

  TempDir dir_;
  RealClock clock_;
  SeededEntropy entropy_{3};
  ScriptedEngine engine_;
  BuildRequest request_;
  std::vector<Progress> progress_;
  std::unique_ptr<LocalImages> images_;
};

TEST_F(BuildTest, WhenFilesAreCopied_ImageHoldsThem) {
  Write("app", "program", 0755);
  Write("conf/a.conf", "a");
  Write("conf/sub/b.conf", "b");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "COPY app /bin/\n"
                                          "COPY conf /etc/app\n"
                                          "CMD [\"/bin/app\"]\n"));
  EXPECT_THAT(image.references, ElementsAre("docker.io/library/app:1"));
  EXPECT_THAT(image.config.command, ElementsAre("/bin/app"));
  EXPECT_THAT(image.layers, SizeIs(2));
  EXPECT_THAT(Read(image, "bin/app"), IsOkAndHolds("program"));
  EXPECT_EQ(Stat(image, "bin/app").st_mode, S_IFREG | 0755);
  EXPECT_EQ(Stat(image, "bin").st_mode, S_IFDIR | 0755);
  EXPECT_THAT(Read(image, "etc/app/a.conf"), IsOkAndHolds("a"));
  EXPECT_THAT(Read(image, "etc/app/sub/b.conf"), IsOkAndHolds("b"));
  EXPECT_THAT(engine_.started, IsEmpty());
}

TEST_F(BuildTest, WhenNothingChanged_TheImageIsTheSameFromTheCache) {
  Write("a", "1");
  const std::string file = "FROM scratch\nCOPY a /a\nWORKDIR /w\nENV X=1\n";
  ASSERT_OK_AND_ASSIGN(Image first, Build(file));
  EXPECT_EQ(CachedSteps(), 0);
  ASSERT_OK_AND_ASSIGN(Image second, Build(file));
  EXPECT_EQ(second.digest, first.digest);
  EXPECT_EQ(CachedSteps(), 2);

  Write("a", "2");
  ASSERT_OK_AND_ASSIGN(Image third, Build(file));
  EXPECT_NE(third.digest, first.digest);
  EXPECT_EQ(CachedSteps(), 0);
  EXPECT_THAT(Read(third, "a"), IsOkAndHolds("2"));
}

TEST_F(BuildTest, WhenTheImageWasRemoved_TheCacheStillServes) {
  Write("a", "1");
  ASSERT_OK_AND_ASSIGN(Image first, Build("FROM scratch\nCOPY a /a\n"));
  ASSERT_OK(images_->Remove("app:1", {}));
  ASSERT_OK_AND_ASSIGN(Image second, Build("FROM scratch\nCOPY a /a\n"));
  EXPECT_EQ(CachedSteps(), 1);
  EXPECT_EQ(second.digest, first.digest);
}

TEST_F(BuildTest, WhenDockerignore_FilesStayOut) {
  Write(".dockerignore", "*.log\nsecret\n!secret/public\n");
  Write("a.log", "x");
  Write("b", "x");
  Write("secret/key", "x");
  Write("secret/public", "x");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\nCOPY . /src/\n"));
  EXPECT_OK(Read(image, "src/b"));
  EXPECT_OK(Read(image, "src/secret/public"));
  EXPECT_FALSE(Read(image, "src/a.log").ok());
  EXPECT_FALSE(Read(image, "src/secret/key").ok());
  EXPECT_THAT(Build("FROM scratch\nCOPY a.log /\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(".dockerignore leaves it out")));
}

TEST_F(BuildTest, WhenTheContextHoldsLinksOutside_NothingOutsideIsRead) {
  ASSERT_OK(os::WriteFileDurably(dir_ / "secret", "secret"));
  Write("x", "x");
  ASSERT_EQ(symlink((dir_ / "secret").c_str(),
                    absl::StrCat(request_.context_dir, "/link").c_str()),
            0);
  ASSERT_EQ(symlink("..", absl::StrCat(request_.context_dir, "/up").c_str()),
            0);
  for (const char* source :
       {"link", "../secret", "up/secret", "/../secret", "*/secret"}) {
    EXPECT_THAT(Build(absl::StrCat("FROM scratch\nCOPY ", source, " /x\n")),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("Dockerfile:2:")))
        << source;
  }
  // As part of a directory it is copied as the link that it is.
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\nCOPY . /src\n"));
  EXPECT_TRUE(S_ISLNK(Stat(image, "src/link").st_mode));
}

TEST_F(BuildTest, WhenOwnersAndModesAreAskedFor_AreSet) {
  Write("passwd", "root:x:0:0::/:/\napp:x:1000:1001::/:/\n");
  Write("group", "web:x:33:\n");
  Write("f", "x", 0600);
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM scratch\n"
                             "COPY passwd group /etc/\n"
                             "COPY --chown=app f /a\n"
                             "COPY --chown=app:web --chmod=0751 f /b\n"
                             "COPY --chown=5:6 f /c\n"
                             "COPY f /d\n"));
  EXPECT_EQ(Stat(image, "a").st_uid, 1000);
  EXPECT_EQ(Stat(image, "a").st_gid, 1001);
  EXPECT_EQ(Stat(image, "a").st_mode & 07777, 0600);
  EXPECT_EQ(Stat(image, "b").st_gid, 33);
  EXPECT_EQ(Stat(image, "b").st_mode & 07777, 0751);
  EXPECT_EQ(Stat(image, "c").st_uid, 5);
  EXPECT_EQ(Stat(image, "c").st_gid, 6);
  EXPECT_EQ(Stat(image, "d").st_uid, 0);
  EXPECT_THAT(Build("FROM scratch\nCOPY --chown=nobody f /a\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("unknown user \"nobody\"")));
}

TEST_F(BuildTest, WhenDestinationGoesThroughALinkOfTheImage_LandsBehindIt) {
  Write("rootfs/usr/lib/x", "x");
  ASSERT_EQ(symlink("usr/lib",
                    absl::StrCat(request_.context_dir, "/rootfs/lib").c_str()),
            0);
  Write("more/lib/y", "y");
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "COPY rootfs /\n"
                                          "COPY more /\n"
                                          "COPY more/lib/y /lib/z\n"));
  EXPECT_THAT(Read(image, "usr/lib/y"), IsOkAndHolds("y"));
  EXPECT_THAT(Read(image, "usr/lib/z"), IsOkAndHolds("y"));
  EXPECT_TRUE(S_ISLNK(Stat(image, "lib").st_mode));
}

TEST_F(BuildTest, WhenDirectoriesExistBelow_KeepTheirAttributes) {
  Write("rootfs/tmp/x", "x");
  ASSERT_EQ(
      chmod(absl::StrCat(request_.context_dir, "/rootfs/tmp").c_str(), 01777),
      0);
  Write("f", "x");
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM scratch\nCOPY rootfs /\nCOPY f /tmp/\n"));
  struct stat st;
  ASSERT_EQ(stat((image.layers[1] + "/tmp").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 01777);
}

TEST_F(BuildTest, WhenArchivesAreAdded_AreUnpacked) {
  using image::testing::Gzip;
  using image::testing::TarBuilder;
  std::string tar = TarBuilder()
                        .Dir("opt/app", {0750, 7, 8})
                        .File("opt/app/bin", "x", {0755, 7, 8})
                        .Build();
  Write("app.tar.gz", Gzip(tar));
  Write("data.gz", Gzip("not an archive"));
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "ADD app.tar.gz /\n"
                                          "ADD data.gz /data/\n"
                                          "COPY app.tar.gz /kept/\n"));
  EXPECT_THAT(Read(image, "opt/app/bin"), IsOkAndHolds("x"));
  EXPECT_EQ(Stat(image, "opt/app/bin").st_uid, 7);
  EXPECT_EQ(Stat(image, "opt/app").st_mode & 07777, 0750);
  EXPECT_THAT(Read(image, "data/data.gz"),
              IsOkAndHolds(Gzip("not an archive")));
  EXPECT_THAT(Read(image, "kept/app.tar.gz"), IsOkAndHolds(Gzip(tar)));
  Write("evil.tar", TarBuilder().File("../../evil", "x").Build());
  EXPECT_THAT(Build("FROM scratch\nADD evil.tar /\n"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(BuildTest, WhenStagesAreUsed_OnlyTheTargetsContentRemains) {
  Write("a", "a");
  engine_.script = [](const ContainerSpec& spec) {
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/out", "compiled"));
    return Effect();
  };
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch AS build\n"
                                          "COPY a /a\n"
                                          "RUN make\n"
                                          "FROM scratch\n"
                                          "COPY --from=build /out /app\n"));
  EXPECT_THAT(image.layers, SizeIs(1));
  EXPECT_THAT(Read(image, "app"), IsOkAndHolds("compiled"));
  request_.target = "build";
  ASSERT_OK_AND_ASSIGN(image, Build("FROM scratch AS build\n"
                                    "COPY a /a\n"
                                    "FROM scratch\n"
                                    "COPY none /\n"));
  EXPECT_THAT(Read(image, "a"), IsOkAndHolds("a"));
}

TEST_F(BuildTest, WhenACommandRuns_ItsLayerEnvironmentAndOutputAreRight) {
  Write("a", "a");
  engine_.script = [](const ContainerSpec& spec) {
    EXPECT_OK(os::MakeDirs(spec.upper_dir + "/etc", 0755));
    EXPECT_OK(os::MakeDirs(spec.upper_dir + "/proc", 0755));
    EXPECT_OK(os::MakeDirs(spec.upper_dir + ".work/work", 0700));
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/etc/hosts", ""));
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/etc/made", "x"));
    EXPECT_EQ(mknod((spec.upper_dir + "/a").c_str(), S_IFCHR, 0), 0);
    return Effect{0, "compiling"};
  };
  request_.args = {{"VERSION", "7"}, {"TYPO", "1"}, {"http_proxy", "p"}};
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "COPY a /a\n"
                                          "ARG VERSION=1\n"
                                          "ARG OTHER\n"
                                          "ENV HOME=/root V=v$VERSION\n"
                                          "WORKDIR /src\n"
                                          "USER app\n"
                                          "RUN make $V\n"
                                          "RUN [\"/bin/x\", \"$V\"]\n"));
  ASSERT_THAT(engine_.started, SizeIs(2));
  const ContainerSpec& spec = engine_.started[0];
  EXPECT_THAT(spec.args, ElementsAre("/bin/sh", "-c", "make $V"));
  EXPECT_THAT(engine_.started[1].args, ElementsAre("/bin/x", "$V"));
  EXPECT_THAT(spec.env, AllOf(Contains("HOME=/root"), Contains("V=v7"),
                              Contains("VERSION=7"), Contains("http_proxy=p"),
                              Contains(HasSubstr("PATH=/usr/local/sbin:"))));
  EXPECT_EQ(spec.cwd, "/src");
  EXPECT_EQ(spec.user, "app");
  EXPECT_EQ(spec.profile, SecurityProfile::kBuild);
  EXPECT_THAT(spec.layers, SizeIs(2));
  EXPECT_THAT(Output(),
              AllOf(Contains("compiling"), Contains(HasSubstr("\"TYPO\""))));
  EXPECT_THAT(image.config.env, ElementsAre("HOME=/root", "V=v7"));
  // The layer: mount points gone, the deletion kept.
  EXPECT_THAT(os::ListDir(image.layers[2]),
              IsOkAndHolds(ElementsAre("a", "etc")));
  EXPECT_THAT(os::ListDir(image.layers[2] + "/etc"),
              IsOkAndHolds(ElementsAre("made")));
}

TEST_F(BuildTest, WhenACommandRanBefore_ItRunsAgainOnlyIfSomethingChanged) {
  engine_.script = [](const ContainerSpec& spec) {
    EXPECT_OK(os::WriteFileDurably(spec.upper_dir + "/out", "x"));
    return Effect();
  };
  const std::string file = "FROM scratch\nARG A=1\nRUN one\nRUN two\n";
  ASSERT_OK(Build(file));
  EXPECT_THAT(engine_.started, SizeIs(2));
  ASSERT_OK(Build(file));
  EXPECT_THAT(engine_.started, SizeIs(2));
  request_.args = {{"A", "2"}};
  ASSERT_OK(Build(file));
  EXPECT_THAT(engine_.started, SizeIs(4));
  request_.no_cache = true;
  ASSERT_OK(Build(file));
  EXPECT_THAT(engine_.started, SizeIs(6));
}

TEST_F(BuildTest, WhenACommandFails_TheLineAndStatusAreNamed) {
  engine_.script = [](const ContainerSpec&) { return Effect{2, "no rule"}; };
  EXPECT_THAT(Build("FROM scratch\n\nRUN make all\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("build: Dockerfile:3: RUN make all: the "
                                 "command failed with exit status 2")));
  EXPECT_THAT(Output(), Contains("no rule"));
  EXPECT_THAT(images_->List(), IsEmpty());
  EXPECT_THAT(os::ListDir(dir_ / "state/build-cache"), IsOkAndHolds(IsEmpty()));
}

TEST_F(BuildTest, WhenCancelled_TheContainerIsKilledAndRemoved) {
  engine_.script = [](const ContainerSpec&) { return Effect{-1, "running"}; };
  Write("Dockerfile", "FROM scratch\nRUN sleep 1000\n");
  EXPECT_THAT(
      images_->Build(request_,
                     [](const Progress& p) { return p.output != "running"; }),
      StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(BuildTest, WhenACrashLeftAContainer_ItIsRemoved) {
  ContainerSpec spec;
  spec.id = "build-x";
  spec.args = {"x"};
  spec.labels = {{"bulwark.build", "Dockerfile"}};
  ScriptedEngine engine(clock_);
  engine.script = [](const ContainerSpec&) { return Effect{-1, ""}; };
  ASSERT_OK(engine.Start(spec));
  spec.id = "service";
  spec.labels = {};
  ASSERT_OK(engine.Start(spec));
  ASSERT_OK(build::RemoveAbandonedBuilds(&engine));
  ASSERT_THAT(engine.List(), SizeIs(1));
  EXPECT_EQ(engine.List()[0].id, "service");
}

TEST_F(BuildTest, WhenMetadataIsGiven_TheImageHasIt) {
  ASSERT_OK_AND_ASSIGN(
      Image image,
      Build("FROM scratch\n"
            "ENV A=1 B=\"two words\"\n"
            "ENV OLD the rest of it\n"
            "LABEL a.b=c \"d e\"=f\n"
            "EXPOSE 80 53/udp\n"
            "VOLUME [\"/data\"]\n"
            "VOLUME /more /data\n"
            "USER 1000\n"
            "STOPSIGNAL SIGQUIT\n"
            "HEALTHCHECK --interval=2s --retries=4 CMD [\"/check\"]\n"
            "SHELL [\"/bin/bash\", \"-e\"]\n"
            "ENTRYPOINT run $A\n"
            "CMD [\"x\"]\n"));
  EXPECT_THAT(image.config.env,
              ElementsAre("A=1", "B=two words", "OLD=the rest of it"));
  EXPECT_THAT(image.config.labels,
              UnorderedElementsAre(Pair("a.b", "c"), Pair("d e", "f")));
  EXPECT_THAT(image.config.exposed_ports,
              UnorderedElementsAre("80/tcp", "53/udp"));
  EXPECT_THAT(image.config.volumes, UnorderedElementsAre("/data", "/more"));
  EXPECT_EQ(image.config.user, "1000");
  EXPECT_EQ(image.config.stop_signal, "SIGQUIT");
  ASSERT_TRUE(image.config.healthcheck.has_value());
  EXPECT_THAT(image.config.healthcheck->command, ElementsAre("/check"));
  EXPECT_EQ(image.config.healthcheck->interval, absl::Seconds(2));
  EXPECT_EQ(image.config.healthcheck->retries, 4);
  EXPECT_THAT(image.config.entrypoint,
              ElementsAre("/bin/bash", "-e", "run $A"));
  EXPECT_THAT(image.config.command, ElementsAre("x"));
  EXPECT_EQ(image.platform.substr(0, 6), "linux/");
}

TEST_F(BuildTest, WhenTheBaseHasTriggers_TheyRunFirst) {
  Write("a", "1");
  request_.tags = {"base:1"};
  ASSERT_OK(Build("FROM scratch\nONBUILD COPY a /triggered\nCMD [\"x\"]\n"));
  request_.tags = {"app:1"};
  ASSERT_OK_AND_ASSIGN(Image image,
                       Build("FROM base:1\nENTRYPOINT [\"/y\"]\n"));
  EXPECT_THAT(Read(image, "triggered"), IsOkAndHolds("1"));
  EXPECT_THAT(image.config.command, IsEmpty());
}

TEST_F(BuildTest, WhenHeredocs_BecomeFilesAndScripts) {
  ASSERT_OK_AND_ASSIGN(Image image, Build("FROM scratch\n"
                                          "ENV A=1\n"
                                          "COPY <<one <<\"two\" /d/\n"
                                          "a=$A\n"
                                          "one\n"
                                          "a=$A\n"
                                          "two\n"
                                          "RUN <<EOF\n"
                                          "echo $A\n"
                                          "EOF\n"));
  EXPECT_THAT(Read(image, "d/one"), IsOkAndHolds("a=1\n"));
  EXPECT_THAT(Read(image, "d/two"), IsOkAndHolds("a=$A\n"));
  ASSERT_THAT(engine_.started, SizeIs(1));
  EXPECT_THAT(engine_.started[0].args,
              ElementsAre("/bin/sh", "-c", "echo $A\n"));
}

TEST_F(BuildTest, WhenTheFileIsWrong_TheMessageHelps) {
  Write("a", "x");
  Write("b", "x");
  const struct {
    std::string text;
    std::string why;
  } cases[] = {
      {"FROM scratch\nCOPY none /\n",
       "Dockerfile:2: COPY none /: \"none\": no"},
      {"FROM scratch\nCOPY a\n", "needs a source and a destination"},
      {"FROM scratch\nCOPY a b /c\n", "end with \"/\""},
      {"FROM scratch\nCOPY [ab] /c\n", "end with \"/\""},
      {"FROM scratch\nCOPY --chmod=9 a /\n", "not an octal mode"},
      {"FROM scratch\nCOPY --froom=x a /\n", "--froom is not supported"},
      {"FROM scratch\nADD https://x/y /\n", "not supported"},
      {"FROM scratch\nEXPOSE http\n", "is not a port"},
      {"FROM scratch\nENV A\n", "needs a value"},
      {"FROM scratch\nENV A=1 B\n", "is not NAME=VALUE"},
      {"FROM scratch\nARG 1A\n", "not the name of a variable"},
      {"FROM scratch\nUSER --x=1 y\n", "unknown flag --x"},
      {"FROM scratch\nUSER ${A\n", "Dockerfile:2:"},
      {"FROM scratch\nSHELL sh\n", "needs the form"},
      {"FROM scratch\nHEALTHCHECK x\n", "NONE, or CMD"},
      {"FROM scratch\nRUN --mount=type=cache,target=/x y\n",
       "--mount=type=cache,target=/x is not supported"},
      {"FROM Bad:Ref:x\n", "Dockerfile:1: FROM Bad:Ref:x"},
      {"FROM scratch\nCOPY a /x\nCOPY b /x/y\n", "not a directory"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(Build(c.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.why)))
        << c.text;
  }
  request_.dockerfile = "Nowhere";
  EXPECT_THAT(images_->Build(request_, nullptr),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("there is no Nowhere in")));
}

TEST(PackLayerTest, WhenUnpackedAgain_IsTheSameTree) {
  TempDir dir;
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
                       build::PackLayer(upper, blobs.get(), hold, nullptr));

  ASSERT_OK_AND_ASSIGN(build::PackedLayer again,
                       build::PackLayer(upper, blobs.get(), hold, nullptr));
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
  TempDir dir;
  ASSERT_OK_AND_ASSIGN(auto blobs, image::BlobStore::Open(dir / "state"));
  ASSERT_OK(os::MakeDirs(dir / "upper/d", 0755));
  ASSERT_EQ(setxattr((dir / "upper/d").c_str(), "trusted.overlay.redirect",
                     "/etc", 4, 0),
            0);
  EXPECT_THAT(
      build::PackLayer(
          dir / "upper", blobs.get(), [](absl::string_view) {}, nullptr),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("redirect")));
}

}  // namespace
}  // namespace bulwark::engine
