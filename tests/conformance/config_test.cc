// bundle.md, and of config.md: the version, the root, host names, annotations,
// extensibility and valid values.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/conformance/suite.h"

namespace bulwark::conformance {
namespace {

using ::testing::HasSubstr;

class ConfigSuite : public Suite {
 protected:
  // `create` with this text as config.json is refused and leaves nothing.
  void ExpectTextRefused(const std::string& text) {
    SCOPED_TRACE(text.substr(0, 200));
    WriteFile(bundle().path() + "/config.json", text);
    EXPECT_THAT(container().Call(
                    {"create", "--bundle", bundle().path(), container().id()}),
                IsRefused());
    EXPECT_EQ(container().State(), Json::object());
    Discard();
  }
  // The configuration with `value` at a JSON pointer is refused.
  void ExpectValueRefused(const std::string& pointer, const Json& value) {
    Json changed = config();
    changed[Json::json_pointer(pointer)] = value;
    SCOPED_TRACE(pointer);
    ExpectTextRefused(changed.dump());
  }
  // So that one value that is taken does not spoil those after it.
  void Discard() {
    if (container().Status() != "") container().Delete({"--force"});
  }
};

CONFORMANCE_SUITE_OF(BundleTest, ConfigSuite);
CONFORMANCE_SUITE_OF(ConfigTest, ConfigSuite);
CONFORMANCE_SUITE_OF(RootTest, ConfigSuite);

TEST_P(BundleTest, WhenThereIsNoConfiguration_ThenCreateFails) {
  EXPECT_THAT(container().Call(
                  {"create", "--bundle", bundle().path(), container().id()}),
              IsRefused());
}

TEST_P(BundleTest, WhenTheConfigurationIsNotAnObject_ThenCreateFails) {
  const std::string good = config().dump();
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("42"), good.substr(0, good.size() / 2)}) {
    ExpectTextRefused(text);
  }
}

TEST_P(BundleTest, WhenConfigurationIsADirectory_ThenCreateFails) {
  mkdir((bundle().path() + "/config.json").c_str(), 0755);
  EXPECT_THAT(container().Call(
                  {"create", "--bundle", bundle().path(), container().id()}),
              IsRefused());
}

TEST_P(ConfigTest, WhenTheVersionIsOneOfTheFirstMajor_ThenItRuns) {
  for (const char* version : {"1.0.0", "1.0.2-dev", "1.1.0", "1.2.0"}) {
    config()["ociVersion"] = version;
    EXPECT_THAT(container().Run(), Succeeds()) << version;
  }
}

TEST_P(ConfigTest, WhenTheVersionIsNoVersion_ThenCreateFails) {
  ExpectValueRefused("/ociVersion", "new");
  ExpectValueRefused("/ociVersion", "");
}

TEST_P(ConfigTest, WhenTheVersionIsOfAnotherMajor_ThenCreateFails) {
  ExpectValueRefused("/ociVersion", "2.0.0");
}

TEST_P(ConfigTest, WhenPropertiesAreUnknown_ThenTheyAreIgnored) {
  const Json unknown = {{"deep", {1, "two", nullptr}}};
  config()["futureProperty"] = unknown;
  config()["process"]["futureProperty"] = "text";
  config()["root"]["futureProperty"] = 3;
  config()["mounts"][0]["futureProperty"] = unknown;
  config()["linux"]["futureProperty"] = unknown;
  config()["linux"]["resources"]["futureProperty"] = unknown;
  config()["linux"]["namespaces"][0]["futureProperty"] = true;
  EXPECT_THAT(container().Run(), Succeeds());
}

TEST_P(ConfigTest, WhenAnnotationsAreUnknown_ThenTheyAreNoError) {
  config()["annotations"] = {{"org.example.unheard", "of"}, {"plain", "text"}};
  EXPECT_THAT(container().Run(), Succeeds());
}

TEST_P(ConfigTest, WhenATextIsWhereAnotherTypeBelongs_ThenCreateFails) {
  ExpectValueRefused("/process/args", "/bin/true");
  ExpectValueRefused("/process/user/uid", "root");
  ExpectValueRefused("/root", "rootfs");
  ExpectValueRefused("/mounts", "none");
  ExpectValueRefused("/linux/namespaces", "all");
  ExpectValueRefused("/linux/resources", "many");
}

TEST_P(ConfigTest, WhenANumberIsWhereAnotherTypeBelongs_ThenCreateFails) {
  ExpectValueRefused("/process/cwd", 5);
  ExpectValueRefused("/process/args", {1, 2});
  ExpectValueRefused("/hostname", 5);
  ExpectValueRefused("/mounts/0/destination", 5);
  ExpectValueRefused("/process/terminal", 5);
}

TEST_P(ConfigTest, WhenHostNamed_ThenTheContainerSeesIt) {
  config()["hostname"] = "another-name";
  EXPECT_THAT(container().RunScript("hostname"), Prints("another-name"));
}

TEST_P(ConfigTest, WhenDomainNamed_ThenTheContainerSeesIt) {
  config()["domainname"] = "example.test";
  bundle().Args({"/bin/probe", "domainname"});
  EXPECT_THAT(container().Run(), Prints("example.test"));
}

TEST_P(RootTest, WhenThePathIsAbsolute_ThenThatIsTheRoot) {
  config()["root"]["path"] = bundle().rootfs();
  WriteFile(bundle().rootfs() + "/mark", "here");
  EXPECT_THAT(container().RunScript("cat /mark"), Prints("here"));
}

TEST_P(RootTest, WhenThePathIsRelative_ThenItIsOfTheBundle) {
  std::filesystem::rename(bundle().rootfs(), bundle().path() + "/other");
  config()["root"]["path"] = "other";
  WriteFile(bundle().path() + "/other/mark", "here");
  EXPECT_THAT(container().RunScript("cat /mark"), Prints("here"));
}

TEST_P(RootTest, WhenThereIsNoDirectory_ThenCreateFails) {
  WriteFile(bundle().path() + "/file", "");
  ExpectValueRefused("/root/path", "none");
  ExpectValueRefused("/root/path", "file");
  ExpectValueRefused("/root/path", "");
  Json without = config();
  without.erase("root");
  ExpectTextRefused(without.dump());
}

TEST_P(RootTest, WhenItIsReadOnly_ThenNothingCanBeWritten) {
  config()["root"]["readonly"] = true;
  const Outcome outcome = container().RunScript(
      "echo > /file && exit 3; mkdir /directory && exit 4;"
      "grep ' / / \\| /[^ ]* / ' /proc/self/mountinfo");
  EXPECT_EQ(outcome.code, 0) << outcome.ToString();
  EXPECT_THAT(outcome.out, HasSubstr(" / ro"));
}

TEST_P(RootTest, WhenItIsNotReadOnly_ThenItCanBeWritten) {
  EXPECT_THAT(container().RunScript("echo text > /file"), Succeeds());
  EXPECT_EQ(ReadFile(bundle().rootfs() + "/file"), "text\n");
}

TEST_P(RootTest, WhenInside_ThenNothingOfTheHostIsReachable) {
  WriteFile(scratch() + "/secret", "secret");
  const Outcome outcome = container().RunScript(
      "cat " + scratch() + "/secret; cat /../../../.." + scratch() +
      "/secret; cd /; cat .." + scratch() + "/secret; ls -a /..");
  EXPECT_THAT(outcome.out, ::testing::Not(HasSubstr("secret")));
  EXPECT_THAT(outcome.out, HasSubstr("bin"));
}

}  // namespace
}  // namespace bulwark::conformance
