#include "engine/oci/args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"

namespace bulwark::engine::oci {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<Flag>& Flags() {
  static const auto* const kFlags = new std::vector<Flag>{
      {"bundle", 'b', true, ""}, {"force", 'f', false, ""}};
  return *kFlags;
}

TEST(ArgsTest, FlagsComeInEachOfTheirForms) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--bundle", "x", "-f", "id"},
                                             {"-bundle=x", "--force", "id"},
                                             {"-b=x", "id", "-f"},
                                             {"id", "-b", "x", "--force"}}) {
    ASSERT_OK_AND_ASSIGN(const Args args, Args::Parse(words, Flags(), true));
    EXPECT_EQ(args.Get("bundle"), "x");
    EXPECT_TRUE(args.Has("force"));
    EXPECT_THAT(args.rest(), ElementsAre("id"));
  }
}

TEST(ArgsTest, WhenFlagsAreNotMixed_TheProgramsOwnStayItsOwn) {
  ASSERT_OK_AND_ASSIGN(
      const Args args,
      Args::Parse({"-b", "x", "id", "ls", "-f"}, Flags(), false));
  EXPECT_FALSE(args.Has("force"));
  EXPECT_THAT(args.rest(), ElementsAre("id", "ls", "-f"));
  ASSERT_OK_AND_ASSIGN(const Args ended,
                       Args::Parse({"--", "-f", "x"}, Flags(), true));
  EXPECT_THAT(ended.rest(), ElementsAre("-f", "x"));
}

TEST(ArgsTest, WhenAFlagIsWrong_ItIsNamed) {
  EXPECT_THAT(Args::Parse({"--what"}, Flags(), true),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--what is not known")));
  EXPECT_THAT(
      Args::Parse({"--bundle"}, Flags(), true),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("needs a value")));
  ASSERT_OK_AND_ASSIGN(const Args args,
                       Args::Parse({"--bundle=1x"}, Flags(), true));
  EXPECT_THAT(args.GetInt("bundle", 0),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("\"1x\" is not a whole number")));
}

TEST(ArgsTest, WhenASwitchIsTurnedOff_ItIsOff) {
  ASSERT_OK_AND_ASSIGN(const Args args,
                       Args::Parse({"-f", "--force=false"}, Flags(), true));
  EXPECT_FALSE(args.Has("force"));
}

}  // namespace
}  // namespace bulwark::engine::oci
