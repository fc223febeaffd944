#include "manifest/substitute.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/status_matchers.h"
#include "manifest/codec.h"

namespace bulwark::manifest {
namespace {

using bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::optional<std::string> Lookup(absl::string_view name) {
  if (name == "SET") return "value";
  if (name == "EMPTY") return "";
  if (name == "EVIL") return "a\nimage: evil # \"'";
  return std::nullopt;
}

std::string Expand(absl::string_view text,
                   std::vector<Problem>* out = nullptr) {
  Substitution substitution("f.yaml", Lookup);
  std::vector<Problem> problems;
  std::string result =
      substitution.Expand(substitution.Protect(text), problems);
  if (out != nullptr) *out = problems;
  return problems.empty() ? result : problems[0].ToString();
}

TEST(SubstituteTest, WhenVariables_ReplacesEachForm) {
  EXPECT_EQ(Expand("a${SET}b${SET}"), "avaluebvalue");
  EXPECT_EQ(Expand("${UNSET:-d:e}"), "d:e");
  EXPECT_EQ(Expand("${EMPTY:-d}"), "d");
  EXPECT_EQ(Expand("${EMPTY-d}"), "");
  EXPECT_EQ(Expand("${UNSET-d}"), "d");
  EXPECT_EQ(Expand("${UNSET:-}"), "");
  EXPECT_EQ(Expand("${SET:?no}"), "value");
  EXPECT_EQ(Expand("$$"), "$");
  EXPECT_EQ(Expand("$${SET}"), "${SET}");
  EXPECT_EQ(Expand("$SET $(x) $"), "$SET $(x) $");
  EXPECT_EQ(Expand("\xee\x80\x80 \xee\x80\x81 ${SET}"),
            "\xee\x80\x80 \xee\x80\x81 value");
}

TEST(SubstituteTest, WhenUnsetOrMalformed_SaysWhere) {
  EXPECT_EQ(Expand("\n é${UNSET}"),
            "f.yaml:2:3: variable UNSET is not set; set it in the environment "
            "or with --env-file, or write ${UNSET:-default}");
  EXPECT_EQ(Expand("${UNSET:?give a tag}"),
            "f.yaml:1:1: variable UNSET: give a tag");
  EXPECT_THAT(Expand("${EMPTY:?}"), HasSubstr("is not set"));
  for (const char* bad :
       {"${}", "${1A}", "${A%b}", "${A:}", "${A:+b}", "${A B}", "${A:-${B}}"}) {
    EXPECT_THAT(Expand(bad), HasSubstr("is not a variable")) << bad;
  }
  EXPECT_THAT(Expand("${A"), HasSubstr("without \"}\""));
}

TEST(SubstituteTest, WhenEscaped_ExpandsToTheSame) {
  for (const char* text : {"$", "$$", "${X}", "$$${X}", "a$b", "$$$", "{$}"}) {
    EXPECT_EQ(Expand(EscapeVariables(text)), text);
  }
}

TEST(SubstituteTest, WhenInAManifest_KeepsPlacesAndCannotAddFields) {
  ParseOptions options;
  options.file = "f.yaml";
  options.variables = Lookup;
  ParseResult result = Parse(
      "kind: Service # ${UNSET} in a comment\n"
      "name: ${UNSET:-web}\n"
      "image: ${EVIL}\n"
      "args: [${SET}, \"${SET}\"]\n"
      "replicas: ${N:-3}\n",
      options);
  ASSERT_EQ(ToString(result.problems), "");
  const v1::Service& service = result.objects[0].object.service();
  EXPECT_EQ(service.metadata().name(), "web");
  EXPECT_EQ(service.spec().containers(0).image(), "a\nimage: evil # \"'");
  EXPECT_EQ(service.spec().containers(0).args(0), "value");
  EXPECT_EQ(service.spec().replicas(), 3);
  EXPECT_THAT(ToString(Parse("kind: Service\nname: web\n"
                             "image: {a: ${SET}, b: c}\n",
                             options)
                           .problems),
              HasSubstr("f.yaml:3:8: "));
  EXPECT_EQ(ToString(Parse("kind: Volume\nname: ${UNSET}\n", options).problems),
            "f.yaml:2:7: variable UNSET is not set; set it in the environment "
            "or with --env-file, or write ${UNSET:-default}\n");
}

TEST(EnvFileTest, WhenRead_UnderstandsQuotesAndComments) {
  auto parsed = ParseEnvFile("e",
                             "# c\n\nA=1\nexport B = two words # c\n"
                             "C=\"a\\n\\\"b\" # c\nD='$x \\n'\nE=\nF=a#b\r\n");
  ASSERT_THAT(parsed, bulwark::testing::IsOk());
  EXPECT_THAT(
      *parsed,
      ElementsAre(::testing::Pair("A", "1"), ::testing::Pair("B", "two words"),
                  ::testing::Pair("C", "a\n\"b"),
                  ::testing::Pair("D", "$x \\n"), ::testing::Pair("E", ""),
                  ::testing::Pair("F", "a#b")));
}

TEST(EnvFileTest, WhenMalformed_NamesTheLine) {
  for (const char* text : {"A=1\nB", "A=1\n=x", "A=1\nB=\"x", "A=1\n1B=x"}) {
    EXPECT_THAT(ParseEnvFile("e", text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("e:2: expected NAME=value")))
        << text;
  }
}

}  // namespace
}  // namespace bulwark::manifest
