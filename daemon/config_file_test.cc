#include "daemon/config_file.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "daemon/flags.h"

namespace bulwark::daemon {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Read(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

std::string ReadRunfile(const std::string& path) {
  return Read(absl::StrCat(std::getenv("TEST_SRCDIR"), "/bulwark/", path));
}

TEST(ConfigFileTest, SetsWhatItNames) {
  Config config;
  ASSERT_OK(ParseConfigFile("f.yaml",
                            "# a comment\n"
                            "instance: t1\n"
                            "dns-upstream: [10.0.0.1, \"10.0.0.2\"]\n"
                            "insecure-registry: r.lan:5000\n"
                            "proxy-workers: 3\n"
                            "i-own-this-host: true\n",
                            config));
  EXPECT_EQ(config.instance, "t1");
  EXPECT_THAT(config.dns_upstreams, ElementsAre("10.0.0.1", "10.0.0.2"));
  EXPECT_THAT(config.insecure_registries, ElementsAre("r.lan:5000"));
  EXPECT_EQ(config.proxy_workers, 3);
  EXPECT_TRUE(config.own_host);
  EXPECT_EQ(config.log_level, "info");
}

TEST(ConfigFileTest, WhenItIsEmpty_EverythingKeepsItsDefault) {
  for (const char* text : {"", "# nothing\n", "---\n", "{}\n"}) {
    Config config;
    EXPECT_OK(ParseConfigFile("f.yaml", text, config)) << text;
    EXPECT_EQ(config.instance, "bulwark");
  }
}

TEST(ConfigFileTest, WhenItIsWrong_SaysWhereWhatAndWhatToDo) {
  const struct {
    const char* text;
    const char* error;
  } kCases[] = {
      {"state-dri: /x",
       "f.yaml:1:1: state-dri: unknown setting; did you mean "
       "state-dir?"},
      {"\nstate_dir: /x",
       "f.yaml:2:1: state_dir: unknown setting; did you "
       "mean state-dir?"},
      {"zzz: 1", "f.yaml:1:1: zzz: unknown setting; see bulwarkd --help"},
      {"log-level: info\nlog-level: warn",
       "f.yaml:2:1: log-level: is given twice"},
      {"log-level: [info]",
       "f.yaml:1:12: log-level: is not a single value; "
       "debug, info, warn or error"},
      {"log-level:", "f.yaml:1:1: log-level: has no value"},
      {"proxy-workers: many", "f.yaml:1:16: proxy-workers: is not a number"},
      {"proxy-workers: 99999999999999", "is not a number"},
      {"i-own-this-host: yes", "is neither true nor false"},
      {"dns-upstream: {a: b}", "dns-upstream: is not a list"},
      {"dns-upstream: [[a]]", "is not a list of single values"},
      {"teardown: true", "teardown: belongs on the command line"},
      {"config: /x", "config: belongs on the command line"},
      {"- instance", "not settings; write NAME: VALUE lines"},
      {"just words", "not settings"},
      {"[a]: b", "a setting's name is a word"},
      {"instance: t1\n---\nstate-dir: /x", "f.yaml:3:1: a second document"},
      {"instance: \"t1", "f.yaml:1:"},
      {"instance: t\xff", "not UTF-8 text"},
  };
  for (const auto& c : kCases) {
    Config config;
    EXPECT_THAT(
        ParseConfigFile("f.yaml", c.text, config),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.error)))
        << c.text;
  }
}

TEST(ConfigFileTest, WhenSeveralThingsAreWrong_SaysThemAll) {
  Config config;
  const absl::Status status =
      ParseConfigFile("f.yaml", "a: 1\nproxy-workers: b\n", config);
  EXPECT_THAT(status.message(), HasSubstr("f.yaml:1:1: a:"));
  EXPECT_THAT(status.message(), HasSubstr("f.yaml:2:16: proxy-workers:"));
}

class ReadConfigFileTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text, mode_t mode = 0644) {
    const std::string path = dir_ / "bulwarkd.yaml";
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  // Status of the command line "bulwarkd --config PATH FLAGS…".
  int Parse(const std::string& path, std::vector<std::string> flags,
            Config& config) {
    flags.insert(flags.begin(), {"bulwarkd", "--config", path});
    std::vector<char*> argv;
    for (std::string& flag : flags) argv.push_back(flag.data());
    argv.push_back(nullptr);
    return ParseCommandLine(static_cast<int>(flags.size()), argv.data(),
                            config);
  }

  testing::TempDir dir_;
};

TEST_F(ReadConfigFileTest, TheCommandLineWins) {
  const std::string path = Write(
      "instance: filed\nlog-level: debug\ndns-upstream: [10.0.0.1]\n"
      "insecure-registry: [r:5000]\ni-own-this-host: true\n");
  Config config;
  EXPECT_EQ(Parse(path,
                  {"--instance", "flagged", "--dns-upstream", "10.0.0.2",
                   "--i-own-this-host=false"},
                  config),
            -1);
  EXPECT_EQ(config.instance, "flagged");
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_THAT(config.dns_upstreams, ElementsAre("10.0.0.2"));
  EXPECT_THAT(config.insecure_registries, ElementsAre("r:5000"));
  EXPECT_FALSE(config.own_host);
}

TEST_F(ReadConfigFileTest, WhenTheNamedFileCannotBeUsed_DoesNotStart) {
  Config config;
  EXPECT_EQ(Parse(dir_ / "missing.yaml", {}, config), 2);
  EXPECT_EQ(Parse(dir_.path(), {}, config), 2);
  EXPECT_EQ(Parse(Write("nonsense: 1\n"), {}, config), 2);
  EXPECT_EQ(Parse("/dev/null", {}, config), -1);
}

TEST_F(ReadConfigFileTest, WhenEverybodyMayWriteIt_RefusesIt) {
  Config config;
  EXPECT_THAT(
      ReadConfigFile(Write("instance: t1\n", 0666), config),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("chmod o-w")));
}

TEST_F(ReadConfigFileTest, WhenItIsBroken_HelpAndVersionStillWork) {
  const std::string path = Write("nonsense: 1\n");
  Config config;
  EXPECT_EQ(Parse(path, {"--help"}, config), 0);
  EXPECT_EQ(Parse(path, {"--version"}, config), -1);
  EXPECT_TRUE(config.version);
}

// The table, its reference and the example must say the same.

TEST(FlagsTest, TheReferenceHasARowForEachFlagAndNoOther) {
  const std::string document = ReadRunfile("docs/configuration.md");
  size_t rows = 0;
  for (absl::string_view line : absl::StrSplit(document, '\n')) {
    if (line.substr(0, 3) == "| `") ++rows;
  }
  EXPECT_EQ(rows, Flags().size());
  for (const Flag& flag : Flags()) {
    const std::string value =
        flag.command_line_only ? "" : ValueOf(flag, Config());
    EXPECT_THAT(document,
                HasSubstr(absl::StrCat(
                    "\n| `", flag.command_line_only ? "--" : "", flag.name,
                    "` | ", value.empty() ? "" : absl::StrCat("`", value, "`"),
                    " | ", flag.help, " |\n")));
  }
}

TEST(FlagsTest, TheExampleShowsEachSettingWithItsDefault) {
  const std::string example = ReadRunfile("packaging/bulwarkd.yaml");
  // Settings are commented out without a space, prose with one.
  std::string settings;
  size_t count = 0;
  for (absl::string_view line : absl::StrSplit(example, '\n')) {
    if (!absl::ConsumePrefix(&line, "#") || line.empty() || line[0] == ' ') {
      EXPECT_TRUE(line.empty() || line[0] == ' ') << line;
      continue;
    }
    ++count;
    absl::StrAppend(&settings, line, "\n");
  }
  Config config;
  ASSERT_OK(ParseConfigFile("example", settings, config));
  size_t expected = 0;
  for (const Flag& flag : Flags()) {
    EXPECT_EQ(ValueOf(flag, config), ValueOf(flag, Config())) << flag.name;
    if (flag.command_line_only) continue;
    ++expected;
    EXPECT_THAT(settings, HasSubstr(absl::StrCat(flag.name, ": ")));
  }
  EXPECT_EQ(count, expected);
}

}  // namespace
}  // namespace bulwark::daemon
