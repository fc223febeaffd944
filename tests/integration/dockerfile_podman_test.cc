// What podman (buildah) makes of Dockerfiles of the corpus: their images say
// the same of themselves as ours. Steps that change files are left out on both
// sides; so are the cases of the corpus that podman of Debian 12 does not know.
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/build/check_build.h"
#include "engine/build/dockerfile.h"
#include "engine/build/stage_plan.h"
#include "engine/image/manifest.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

constexpr char kPath[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Of one command; its exit status must be 0.
std::string Output(const std::string& command) {
  FILE* pipe = popen(absl::StrCat(command, " 2>&1").c_str(), "r");
  EXPECT_NE(pipe, nullptr) << command;
  if (pipe == nullptr) return "";
  std::string output;
  char buffer[4096];
  while (size_t n = fread(buffer, 1, sizeof(buffer), pipe)) {
    output.append(buffer, n);
  }
  EXPECT_EQ(pclose(pipe), 0) << command << "\n" << output;
  return output;
}

struct Sample {
  std::string name;
  std::string text;
  std::vector<std::string> args = {};
};

class DockerfilePodmanTest : public ::testing::TestWithParam<Sample> {
 protected:
  void SetUp() override {
    if (std::system("podman --version > /dev/null 2>&1") != 0) {
      GTEST_SKIP() << "podman is not installed";
    }
    podman_ = absl::StrCat("HOME=", dir_.path(), " podman --root ",
                           dir_ / "root", " --runroot ", dir_ / "run",
                           " --storage-driver vfs --cgroup-manager cgroupfs");
    EXPECT_OK(os::MakeDirs(dir_ / "context", 0755));
  }
  void TearDown() override {
    if (!podman_.empty()) Output(podman_ + " rmi --all --force");
  }

  Json Theirs(const Sample& sample) {
    EXPECT_OK(os::WriteFileDurably(dir_ / "Dockerfile", sample.text, 0644));
    std::string arguments;
    for (const std::string& arg : sample.args) {
      absl::StrAppend(&arguments, " --build-arg '", arg, "'");
    }
    Output(absl::StrCat(podman_, " build -q --format docker --isolation chroot",
                        arguments, " -f ", dir_ / "Dockerfile", " -t sample ",
                        dir_ / "context"));
    const std::string text =
        Output(absl::StrCat(podman_, " inspect --type image sample"));
    Json list = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!list.is_array() || list.empty()) return Json::object();
    Json config = list[0]["Config"];
    // Not all of it stands among the rest.
    if (list[0].contains("HealthCheck")) {
      config["Healthcheck"] = list[0]["HealthCheck"];
    }
    return config;
  }

  static absl::StatusOr<Json> Ours(const Sample& sample) {
    ASSIGN_OR_RETURN(const Dockerfile file,
                     ParseDockerfile(sample.text, "Dockerfile"));
    std::map<std::string, std::string> given;
    for (const std::string& arg : sample.args) {
      given.insert(absl::StrSplit(arg, absl::MaxSplits('=', 1)));
    }
    CheckInput input;
    ASSIGN_OR_RETURN(input.platform, image::ParsePlatform(""));
    GlobalScope global(given, input.platform);
    ASSIGN_OR_RETURN(const BuildPlan plan, PlanBuild(file, "", {}, &global));
    input.file = &file;
    input.plan = &plan;
    input.global = &global;
    input.given = &given;
    ASSIGN_OR_RETURN(CheckResult result, CheckBuild(input));
    return Json::parse(image::FormatConfig(result.configs.at(plan.target)),
                       nullptr, /*allow_exceptions=*/false)["config"];
  }

  // Without what tools add of their own, and without order where it says
  // nothing.
  static Json Normal(Json config) {
    Json result = Json::object();
    for (const char* key :
         {"Cmd", "Entrypoint", "User", "WorkingDir", "Volumes", "ExposedPorts",
          "StopSignal", "Healthcheck", "Labels"}) {
      if (config.contains(key) && !config[key].empty()) {
        result[key] = config[key];
      }
    }
    if (result.contains("Labels")) result["Labels"].erase("io.buildah.version");
    if (result["Labels"].empty()) result.erase("Labels");
    std::set<std::string> env;
    if (config.contains("Env")) {
      for (const Json& entry : config["Env"]) env.insert(entry);
    }
    env.erase(kPath);
    result["Env"] = env;
    return result;
  }

  testing::TempDir dir_;
  std::string podman_;
};

TEST_P(DockerfilePodmanTest, WhenBuilt_SaysTheSameOfItself) {
  const absl::StatusOr<Json> ours = Ours(GetParam());
  ASSERT_OK(ours);
  EXPECT_EQ(Normal(*ours).dump(1), Normal(Theirs(GetParam())).dump(1));
}

INSTANTIATE_TEST_SUITE_P(
    Samples, DockerfilePodmanTest,
    ::testing::Values(
        Sample{
            "Env",
            "FROM scratch\nENV A=1 B=\"two words\" C='$A' D=with\\ blank E=\n"
            "ENV OLD the rest  of   it \"quoted\"\nENV PATH=/opt/bin:$PATH\n"
            "ENV A=2 F=$A\nENV G=$A H=\"${B}!\"\n"},
        Sample{"Quotes",
               "FROM scratch\nENV A=x\nLABEL a=\"$A\" b='$A' c=\\$A d=\"\\$A\" "
               "e=$A'$A'\"$A\" f=\"a\\\"b\" g=\"\\n\" h=a\\nb i=$ k=$1x "
               "l=${A}y m=$A.z n=\"it's\" o='say \"hi\"' p=${A:-d} q=${B:-d} "
               "r=${A:+z} s=${B:+z}\n"},
        Sample{
            "Labels",
            "# escape=`\nFROM scratch\nLABEL a=b \"c d\"=\"e f\" multi=\"x `\n"
            "  y\"\nLABEL legacy the whole rest\nLABEL version=\"1.0\" a=\n"},
        Sample{"Places",
               "FROM scratch\nUSER 1000:1000\nWORKDIR a\nWORKDIR /b\n"
               "WORKDIR c/../d/\nWORKDIR .\nVOLUME /x /y /x\n"
               "VOLUME [\"/v 1\", \"/v2\"]\nUSER app\nSTOPSIGNAL SIGRTMIN+3\n"
               "EXPOSE 80 443/tcp 9/sctp 80\n"},
        Sample{"Arguments",
               "ARG G=global\nFROM scratch\nARG A=a\nARG G\nARG V=arg\n"
               "ENV V=env\nARG V=again\nLABEL a=$A g=$G v=$V n=\"[$NONE]\"\n",
               {"A=given", "V=given"}},
        Sample{"Commands",
               "FROM scratch AS one\nCMD [\"c\"]\nENTRYPOINT [\"/e\", \"-x\"]\n"
               "FROM one\nENTRYPOINT [\"/f\"]\n"},
        Sample{"ShellForms",
               "FROM scratch\nCMD echo $HOME | \\\n# comment\n  cat\n"
               "ENTRYPOINT ['broken'\n"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bulwark::engine::build
