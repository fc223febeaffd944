// The Dockerfiles of buildkit/ give the same image here as with BuildKit, as
// Debian's Docker has it: what it says of itself, and each file's kind, mode,
// owner, size and target. ONLY names one of them.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/docker.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;

constexpr char kFolder[] = "tests/e2e/buildkit/";
constexpr char kSuffix[] = ".Dockerfile";
// What this BuildKit leaves of the mounts of a step's container; later ones,
// and we, do not.
constexpr const char* kStubs[] = {
    "dev: ", "proc: ", "sys: ", "etc/hosts: ", "etc/resolv.conf: "};

class BuildkitTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    if (!Docker::IsInstalled()) return;
    CoverStateOfOthers();
    Open("e2ebkit");
    context_ = world().Path("context");
    fs::create_directories(context_);
    const Result made = e2e::Run(
        {World::Runfile(absl::StrCat(kFolder, "context.sh")), context_});
    ASSERT_TRUE(made.ok()) << made.ToString();
    docker_ = std::make_unique<Docker>(world());
    docker_->Do({"pull", "-q", busybox()});
    Ctl({"pull", "-q", busybox()});
  }
  static void TearDownTestSuite() {
    if (!Docker::IsInstalled()) return;
    docker_.reset();
    Close();
  }
  void SetUp() override {
    if (!Docker::IsInstalled()) {
      GTEST_SKIP() << "nothing was compared with BuildKit: docker.io of Debian"
                      " is not installed (apt-get install docker.io)";
    }
    Suite::SetUp();
  }

  static std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(World::Runfile(kFolder))) {
      const std::string name = entry.path().filename();
      if (!absl::EndsWith(name, kSuffix)) continue;
      names.push_back(name.substr(0, name.size() + 1 - sizeof(kSuffix)));
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // Of a docker-archive, a line for each file.
  static std::vector<std::string> Listing(const std::string& archive) {
    const Result listed = e2e::Run(
        {"python3", World::Runfile("tests/e2e/images/image_listing.py"),
         archive});
    EXPECT_TRUE(listed.ok()) << listed.ToString();
    EXPECT_THAT(listed.out, ::testing::HasSubstr("bin/busybox: - 755 0:0 "));
    return absl::StrSplit(listed.out, '\n');
  }

  static std::string Ours() {
    const std::string archive = world().Path("ours.tar");
    Ctl({"build", "-q", "--network", "none", "--build-arg", "GIVEN=given", "-o",
         "type=docker,dest=" + archive, context_});
    return absl::StrJoin(Listing(archive), "\n");
  }

  static std::string Theirs(const std::string& ours) {
    const std::string archive = world().Path("theirs.tar");
    docker_->Do({"build", "-q", "--network", "none", "--build-arg",
                 "GIVEN=given", "-t", "theirs", context_},
                /*buildkit=*/true);
    docker_->Do({"save", "-o", archive, "theirs"});
    std::vector<std::string> lines = Listing(archive);
    for (const std::string stub : kStubs) {
      if (absl::StrContains(ours, "\n" + stub)) continue;
      lines.erase(std::remove_if(lines.begin(), lines.end(),
                                 [&stub](const std::string& line) {
                                   return absl::StartsWith(line, stub);
                                 }),
                  lines.end());
    }
    return absl::StrJoin(lines, "\n");
  }

  static std::string context_;
  static std::unique_ptr<Docker> docker_;
};

std::string BuildkitTest::context_;
std::unique_ptr<Docker> BuildkitTest::docker_;

TEST_F(BuildkitTest, WhenBothBuildIt_TheImagesAreTheSame) {
  const std::vector<std::string> names = Names();
  EXPECT_GE(names.size(), 12u);
  const char* only = std::getenv("ONLY");
  for (const std::string& name : names) {
    if (only != nullptr && name != only) continue;
    SCOPED_TRACE(name);
    const std::string text =
        ReadFile(World::Runfile(absl::StrCat(kFolder, name, kSuffix)));
    WriteFile(context_ + "/Dockerfile",
              absl::StrReplaceAll(text, {{"BASE", busybox()}}));
    const std::string ours = Ours();
    EXPECT_EQ(ours, Theirs(ours));
  }
}

}  // namespace
}  // namespace bulwark::e2e
