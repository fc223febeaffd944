// Builds the Dockerfiles of dockerfiles/ with real containers, above Debian's
// busybox. Each checks itself in its steps; NAME.options has lines of "arg
// NAME=VALUE", "target STAGE", and "error TEXT", which the message must hold.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/testing/status_matchers.h"
#include "engine/image/local_images.h"
#include "engine/local/testing/local_world.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kFolder[] = "tests/integration/dockerfiles";

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".Dockerfile") {
      names.push_back(entry.path().stem());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

// The parameter: whether steps have users of their own.
class DockerfilesRunTest : public ::testing::TestWithParam<bool> {
 protected:
  DockerfilesRunTest() {
    LocalImagesConfig config;
    config.state_dir = world_ / "images";
    config.clock = &world_.clock();
    config.entropy = &entropy_;
    config.engine = &world_.engine();
    config.memory_dir = world_ / "memory";
    EXPECT_OK(os::MakeDirs(config.memory_dir, 0700));
    if (GetParam()) {
      config.build_users = [] {
        return build::BuildUsers{{1879048192 + 12 * 65536, 65536}, nullptr};
      };
    }
    auto opened = LocalImages::Open(config);
    EXPECT_OK(opened);
    images_ = *std::move(opened);
    FillContext();
    BuildBase();
  }

  void Write(const std::string& name, absl::string_view text,
             mode_t mode = 0644) {
    const std::string path = absl::StrCat(context_, "/", name);
    EXPECT_OK(os::MakeDirs(fs::path(path).parent_path(), 0755));
    EXPECT_OK(os::WriteFileDurably(path, text, mode));
  }

  void FillContext() {
    Write("plain.txt", "plain\n");
    Write("with space.txt", "space\n");
    Write("ignored.txt", "x");
    Write("kept.ignored", "x");
    Write("other.ignored", "x");
    Write(".dockerignore", "ignored.txt\n*.ignored\n!kept.ignored\n");
    for (const char* name : {"a.md", "b.txt", "sub/c.md", "sub/d.txt"}) {
      Write(absl::StrCat("dir/", name), name);
    }
    fs::create_symlink("plain.txt", context_ + "/link");
    const std::string inside = world_ / "archive/inside";
    EXPECT_OK(os::MakeDirs(inside, 0755));
    EXPECT_OK(os::WriteFileDurably(inside + "/file", "archived\n", 0644));
    EXPECT_EQ(
        std::system(absl::StrCat("tar czf ", context_, "/archive.tar.gz -C ",
                                 world_ / "archive", " inside")
                        .c_str()),
        0);
  }

  void BuildBase() {
    BuildRequest request;
    request.context_dir = world_ / "base";
    request.tags = {"busybox"};
    EXPECT_OK(os::MakeDirs(request.context_dir, 0755));
    EXPECT_OK(os::WriteFileDurably(request.context_dir + "/busybox",
                                   ReadAll("/bin/busybox"), 0755));
    EXPECT_OK(os::WriteFileDurably(
        request.context_dir + "/Dockerfile",
        "FROM scratch\nCOPY busybox /bin/\n"
        "RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n",
        0644));
    EXPECT_OK(images_->Build(request, nullptr));
  }

  void Try(const std::string& name) {
    const std::string path = absl::StrCat(kFolder, "/", name);
    Write("Dockerfile", ReadAll(path + ".Dockerfile"));
    BuildRequest request;
    request.context_dir = context_;
    request.tags = {absl::StrCat("try-", name)};
    request.secrets["key"] = SecretText("of the test");
    std::vector<std::string> errors;
    for (absl::string_view line :
         absl::StrSplit(ReadAll(path + ".options"), '\n')) {
      if (absl::ConsumePrefix(&line, "arg ")) {
        request.args.insert(absl::StrSplit(line, absl::MaxSplits('=', 1)));
      } else if (absl::ConsumePrefix(&line, "target ")) {
        request.target = std::string(line);
      } else if (absl::ConsumePrefix(&line, "error ")) {
        errors.emplace_back(line);
      }
    }
    std::vector<std::string> output;
    const absl::StatusOr<Image> image =
        images_->Build(request, [&output](const Progress& progress) {
          if (!progress.output.empty()) output.push_back(progress.output);
          return true;
        });
    EXPECT_EQ(image.ok(), errors.empty()) << image.status() << "\n"
                                          << absl::StrJoin(output, "\n");
    for (const std::string& error : errors) {
      EXPECT_THAT(image.status().ToString(), HasSubstr(error));
    }
    EXPECT_THAT(world_.engine().List(), IsEmpty());
  }

  testing::LocalWorld world_;
  RealEntropy entropy_;
  const std::string context_ = world_ / "context";
  std::unique_ptr<LocalImages> images_;
};

INSTANTIATE_TEST_SUITE_P(Users, DockerfilesRunTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "Own" : "Hosts";
                         });

TEST_P(DockerfilesRunTest, WhenBuilt_EachFindsWhatItChecks) {
  const std::vector<std::string> names = Names();
  EXPECT_GE(names.size(), 20u);
  const char* only = std::getenv("ONLY");
  for (const std::string& name : names) {
    if (only != nullptr && name != only) continue;
    SCOPED_TRACE(name);
    Try(name);
  }
}

}  // namespace
}  // namespace bulwark::engine
