#include <sys/stat.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/build/run_step.h"
#include "engine/build/testing/build_fixture.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using testing::Effect;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::ScriptedEngine;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class BuildTest : public testing::BuildFixture {};

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

TEST_F(BuildTest, WhenTheClientLeavesASilentStep_TheContainerIsRemoved) {
  engine_.script = [](const ContainerSpec&) { return Effect{-1, ""}; };
  Write("Dockerfile", "FROM scratch\nRUN sleep 1000\n");
  // What is asked has nothing in it.
  EXPECT_THAT(
      images_->Build(request_, [](const Progress& p) { return !p.id.empty(); }),
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
      {"FROM scratch\nCOPY --chmod=9 a /\n", "neither an octal mode"},
      {"FROM scratch\nCOPY --froom=x a /\n", "--froom; did you mean --from?"},
      {"FROM scratch\nEXPOSE http\n", "is not a port"},
      {"FROM scratch\nENV A\n", "needs a value"},
      {"FROM scratch\nENV A=1 B\n", "is not NAME=VALUE"},
      {"FROM scratch\nSTOPSIGNAL SIGFOO\n", "\"SIGFOO\" is not a signal"},
      {"FROM scratch\nARG 1A\n", "not the name of a variable"},
      {"FROM scratch\nUSER --x=1 y\n", "unknown flag --x"},
      {"FROM scratch\nUSER ${A\n", "Dockerfile:2:"},
      {"FROM scratch\nSHELL sh\n", "needs the form"},
      {"FROM scratch\nHEALTHCHECK x\n", "NONE, or CMD"},
      {"FROM scratch\nRUN --network=host x\n", "--allow network.host"},
      {"FROM scratch\nRUN --security=insecure x\n",
       "--allow security.insecure"},
      {"FROM scratch\nRUN --mount=type=secret,id=s,required x\n",
       "--secret id=s,src=FILE"},
      {"FROM scratch\nRUN --mount=source=none,target=/x y\n",
       "\"none\" is not in the build context"},
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

}  // namespace
}  // namespace bulwark::engine
