// ctl save, import, image inspect, history, verify, untag.
#include <sys/stat.h>

#include <sstream>
#include <string>
#include <vector>

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ImageTest : public CtlTest {
 protected:
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
};

TEST_F(ImageTest, WhenSavedToAFile_ItIsThereWhole) {
  server_.set_archive("an archive");
  const std::string file = File("images.tar", "older");
  EXPECT_EQ(Ctl({"save", "-o", file, "--format", "oci", "a:1", "b:2"}), 0);
  EXPECT_EQ(Read(file), "an archive");
  EXPECT_THAT(server_.calls(), ElementsAre("Save oci a:1 b:2"));
}

TEST_F(ImageTest, WhenAllPlatformsAreWanted_SaveSaysSo) {
  server_.set_archive("an archive");
  EXPECT_EQ(Ctl({"save", "--all-platforms", "--format", "oci", "a:1"}), 0);
  EXPECT_THAT(server_.calls(), ElementsAre("Save oci a:1 platforms"));
}

TEST_F(ImageTest, WhenAnIndexIsMade_PrintsItsDigest) {
  EXPECT_EQ(Ctl({"image", "index", "app:1", "app:1-amd64", "app:1-arm64"}), 0)
      << err_;
  EXPECT_EQ(out_, "app:1 sha256:i\n");
  EXPECT_THAT(server_.calls(),
              ElementsAre("MakeIndex app:1 app:1-amd64 app:1-arm64"));
  EXPECT_EQ(Ctl({"image", "index", "app:1"}), kExitUsage);
}

TEST_F(ImageTest, WhenSavingBreaks_AnOlderFileStays) {
  server_.set_archive("an archive");
  server_.FailNext("Save",
                   grpc::Status(grpc::StatusCode::DATA_LOSS, "it rotted"));
  const std::string file = File("images.tar", "older");
  EXPECT_NE(Ctl({"save", "-o", file, "a:1"}), 0);
  EXPECT_THAT(err_, HasSubstr("it rotted"));
  EXPECT_EQ(Read(file), "older");
}

TEST_F(ImageTest, WhenNoFileIsNamed_SaveWritesToAPipeButNotToATerminal) {
  server_.set_archive("an archive");
  EXPECT_EQ(Ctl({"save", "a:1"}), 0);
  EXPECT_EQ(out_, "an archive");
  io_.tty = true;
  EXPECT_EQ(Ctl({"save", "a:1"}), kExitUsage);
  EXPECT_THAT(err_, HasSubstr("-o"));
}

TEST_F(ImageTest, WhenImported_SendsTheArchiveAndTheChanges) {
  const std::string file = File("root.tar", "files");
  EXPECT_EQ(Ctl({"import", file, "base:1", "-m", "mine", "-c",
                 "CMD [\"/bin/sh\"]", "-c", "ENV A=b"}),
            0);
  EXPECT_EQ(server_.uploaded(), "files");
  EXPECT_THAT(server_.calls(),
              ElementsAre("Import base:1 mine CMD [\"/bin/sh\"];ENV A=b"));
  io_.SetInput("from a pipe");
  EXPECT_EQ(Ctl({"import", "-"}), 0);
  EXPECT_EQ(server_.uploaded(), "from a pipe");
  EXPECT_NE(Ctl({"import", "/nowhere.tar"}), 0);
  EXPECT_THAT(err_, HasSubstr("/nowhere.tar"));
}

TEST_F(ImageTest, WhenInspected_DocumentsStandAsTheyAre) {
  EXPECT_EQ(Ctl({"image", "inspect", "a:1"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("\"a:1\""),
                          HasSubstr("\"manifest\": {\"schemaVersion\": 2}"),
                          HasSubstr("\"config\": {\"os\": \"linux\"}"),
                          HasSubstr("sha256:1")));
  EXPECT_EQ(Ctl({"image", "inspect", "--raw", "config", "a:1"}), 0);
  EXPECT_EQ(out_, "{\"os\": \"linux\"}");
  EXPECT_EQ(Ctl({"image", "inspect", "--raw", "layers", "a:1"}), kExitUsage);
}

TEST_F(ImageTest, WhenHistoryIsListed_CommandsAreShortUnlessWanted) {
  EXPECT_EQ(Ctl({"history", "a:1"}), 0);
  EXPECT_THAT(out_, AllOf(HasSubstr("CMD [\"a\"]"), HasSubstr("COPY xxx"),
                          HasSubstr("5.2 MB"), HasSubstr("…"),
                          Not(HasSubstr(std::string(100, 'x')))));
  EXPECT_EQ(Ctl({"history", "--no-trunc", "a:1"}), 0);
  EXPECT_THAT(out_, HasSubstr(std::string(100, 'x')));
  EXPECT_EQ(Ctl({"history", "-o", "json", "a:1"}), 0);
  EXPECT_THAT(out_, HasSubstr("entries"));
}

TEST_F(ImageTest, WhenAllIsWell_VerifySaysSo) {
  EXPECT_EQ(Ctl({"verify"}), 0);
  EXPECT_THAT(out_, HasSubstr("all is well"));
}

TEST_F(ImageTest, WhenSomethingIsDamaged_VerifyNamesItAndFailsUntilRepaired) {
  v1::ImageDamage damage;
  damage.set_kind("blob");
  damage.set_digest("sha256:1");
  damage.set_problem("it is missing");
  damage.add_references("a:1");
  damage.add_references("b:1");
  server_.set_damage({damage});
  EXPECT_EQ(Ctl({"verify", "a:1"}), kExitError);
  EXPECT_THAT(out_, AllOf(HasSubstr("blob sha256:1: it is missing"),
                          HasSubstr("needed by a:1, b:1")));
  EXPECT_THAT(err_, HasSubstr("--repair"));
  EXPECT_EQ(Ctl({"verify", "--repair"}), 0);
  EXPECT_THAT(out_, HasSubstr("repaired"));
}

TEST_F(ImageTest, WhenUntagged_OnlyTheNameGoes) {
  EXPECT_EQ(Ctl({"untag", "a:1", "b:1"}), 0);
  EXPECT_THAT(out_, HasSubstr("name a:1 removed"));
  EXPECT_THAT(server_.calls(), ElementsAre("Untag a:1", "Untag b:1"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
