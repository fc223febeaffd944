// The dashboards, consoles and alerts as they are written in the tree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/testing/temp_dir.h"
#include "metrics/names.h"

namespace bulwark {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

fs::path Folder() {
  const char* root = std::getenv("TEST_SRCDIR");
  return fs::path(root) / "bulwark/dashboards";
}

std::string Read(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

// Runs a shell command; its output, with the exit code in front if it failed.
std::string Shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  char buffer[4096];
  while (size_t n = fread(buffer, 1, sizeof(buffer), pipe)) {
    output.append(buffer, n);
  }
  const int status = pclose(pipe);
  if (status == 0) return output;
  return absl::StrCat("failed (", WEXITSTATUS(status), "): ", output);
}

TEST(DashboardsTest, TheWrittenFilesAreUpToDate) {
  testing::TempDir dir;
  ASSERT_EQ(Shell(absl::StrCat("python3 ", (Folder() / "generate").string(),
                               " ", dir.path())),
            "");
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir.path())) {
    if (!entry.is_regular_file()) continue;
    ++files;
    const fs::path name = fs::relative(entry.path(), dir.path());
    EXPECT_EQ(Read(entry.path()), Read(Folder() / name))
        << name << ": run dashboards/generate";
  }
  EXPECT_EQ(files, 10);
}

TEST(DashboardsTest, PromtoolFindsNothingWrong) {
  const std::string folder =
      fs::canonical(Folder() / "alerts.yaml").parent_path().string();
  EXPECT_THAT(
      Shell(absl::StrCat("promtool check rules ", folder, "/alerts.yaml")),
      ::testing::HasSubstr("SUCCESS: "));
  EXPECT_THAT(
      Shell(absl::StrCat("promtool check config ", folder, "/prometheus.yml")),
      ::testing::StartsWith("Checking "));
}

TEST(DashboardsTest, EachSeriesThatIsAskedForExists) {
  std::set<std::string> exposed = {"up"};
  for (size_t i = 0; i < metrics::kSeriesCount; ++i) {
    const metrics::Series& s = metrics::SeriesAt(i);
    exposed.insert(absl::StrCat(
        s.name, s.type == metrics::Type::kHistogram ? "_bucket" : ""));
  }
  const std::string queries = Read(Folder() / "queries.json");
  const std::regex series("\\b(bulwark|process)_[a-z_]+");
  std::set<std::string> asked;
  for (std::sregex_iterator it(queries.begin(), queries.end(), series), end;
       it != end; ++it) {
    EXPECT_TRUE(exposed.contains(it->str())) << it->str();
    asked.insert(it->str());
  }
  EXPECT_GT(asked.size(), 50);
}

TEST(DashboardsTest, NoDashboardNamesADatasourceOfItsOwn) {
  for (const char* name : {"overview", "service", "node", "proxy"}) {
    const Json dashboard =
        Json::parse(Read(Folder() / absl::StrCat(name, ".json")));
    EXPECT_EQ(dashboard["uid"], absl::StrCat("bulwark-", name));
    std::set<int> ids;
    for (const Json& panel : dashboard["panels"]) {
      EXPECT_TRUE(ids.insert(panel["id"].get<int>()).second);
      if (panel["type"] == "row") continue;
      EXPECT_EQ(panel["datasource"]["uid"], "${datasource}");
      EXPECT_FALSE(panel["targets"].empty());
    }
  }
}

}  // namespace
}  // namespace bulwark
