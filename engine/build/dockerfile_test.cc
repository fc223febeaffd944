#include "engine/build/dockerfile.h"

#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/build/check_build.h"
#include "engine/build/glob.h"
#include "engine/build/stage_plan.h"
#include "engine/build/words.h"

namespace bulwark::engine::build {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

absl::StatusOr<Dockerfile> Parse(absl::string_view text) {
  return ParseDockerfile(text, "Dockerfile");
}

TEST(ParseDockerfileTest, WhenOrdinary_GivesInstructionsWithLines) {
  ASSERT_OK_AND_ASSIGN(Dockerfile file,
                       Parse("# a comment\n"
                             "\n"
                             "from alpine:3 AS base\n"
                             "  RUN  echo hi  \n"
                             "CMD [\"a\", \"b c\"]\r\n"
                             "COPY --from=base --chown=1:2 a b\n"));
  ASSERT_THAT(file.instructions, SizeIs(4));
  EXPECT_EQ(file.instructions[0].keyword, "FROM");
  EXPECT_EQ(file.instructions[0].rest, "alpine:3 AS base");
  EXPECT_EQ(file.instructions[0].line, 3);
  EXPECT_EQ(file.instructions[1].rest, "echo hi");
  EXPECT_FALSE(file.instructions[1].exec_form);
  EXPECT_TRUE(file.instructions[2].exec_form);
  EXPECT_THAT(file.instructions[2].words, ElementsAre("a", "b c"));
  EXPECT_THAT(file.instructions[3].flags,
              ElementsAre(Pair("from", "base"), Pair("chown", "1:2")));
  EXPECT_EQ(file.instructions[3].rest, "a b");
  EXPECT_EQ(file.instructions[3].ToString(),
            "COPY --from=base --chown=1:2 a b");
}

TEST(ParseDockerfileTest, WhenLinesGoOn_AreJoined) {
  ASSERT_OK_AND_ASSIGN(Dockerfile file, Parse("FROM a\n"
                                              "RUN one && \\\n"
                                              "  # a comment inside\n"
                                              "\n"
                                              "  two \\  \n"
                                              "  three\n"
                                              "USER x\n"));
  ASSERT_THAT(file.instructions, SizeIs(3));
  EXPECT_EQ(file.instructions[1].rest, "one &&   two   three");
  EXPECT_EQ(file.instructions[1].last_line, 6);
  EXPECT_TRUE(file.instructions[1].has_empty_continuation);
  EXPECT_EQ(file.instructions[1].line, 2);
  EXPECT_EQ(file.instructions[2].line, 7);
}

TEST(ParseDockerfileTest, WhenEscapeDirective_IsHonoured) {
  ASSERT_OK_AND_ASSIGN(Dockerfile file, Parse("# syntax=docker/dockerfile:1\n"
                                              "# Escape = `\n"
                                              "FROM a\n"
                                              "RUN a `\n  b\\\n"));
  EXPECT_EQ(file.escape, '`');
  EXPECT_EQ(file.instructions[1].rest, "a   b\\");
  // After a comment it is a comment, too.
  ASSERT_OK_AND_ASSIGN(file, Parse("# x\n# escape=`\nFROM a\n"));
  EXPECT_EQ(file.escape, '\\');
  EXPECT_THAT(
      Parse("# escape=x\nFROM a\n"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("Dockerfile:1:")));
}

TEST(ParseDockerfileTest, WhenHeredoc_TakesItsLines) {
  ASSERT_OK_AND_ASSIGN(Dockerfile file, Parse("FROM a\n"
                                              "RUN <<EOF\n"
                                              "echo 1\n"
                                              "# kept\n"
                                              "EOF\n"
                                              "COPY <<-\"A\" <<B /x/\n"
                                              "\ttabs\n"
                                              "\tA\n"
                                              "two\n"
                                              "B\n"
                                              "USER x\n"));
  ASSERT_THAT(file.instructions, SizeIs(4));
  ASSERT_THAT(file.instructions[1].heredocs, SizeIs(1));
  EXPECT_EQ(file.instructions[1].heredocs[0].text, "echo 1\n# kept\n");
  EXPECT_TRUE(file.instructions[1].heredocs[0].expand);
  ASSERT_THAT(file.instructions[2].heredocs, SizeIs(2));
  EXPECT_EQ(file.instructions[2].heredocs[0].text, "tabs\n");
  EXPECT_FALSE(file.instructions[2].heredocs[0].expand);
  EXPECT_EQ(file.instructions[2].heredocs[1].text, "two\n");
}

TEST(ParseDockerfileTest, WhenWrong_NamesTheLine) {
  const struct {
    std::string text;
    std::string why;
  } cases[] = {
      {"", "Dockerfile:1: it holds no instructions"},
      {"# only\n", "no instructions"},
      {"FROM a\n\nRUNN x\n",
       "Dockerfile:3: unknown instruction \"RUNN\"; did "
       "you mean RUN?"},
      {"FROM a\nXYZZY q\n", "Dockerfile:2: unknown instruction \"XYZZY\""},
      {"FROM a\nRUN\n", "Dockerfile:2: RUN needs an argument"},
      {"FROM a\nRUN <<EOF\nx\n", "Dockerfile:2: the text that <<EOF begins"},
      {std::string("FROM a\0", 7), "not a text file"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(Parse(c.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.why)))
        << c.text;
  }
}

TEST(ParseDockerfileTest, WhenWrong_ShowsTheLines) {
  EXPECT_THAT(Parse("FROM a\n\nRUNN \\\n  x\nUSER y\n"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "Dockerfile:3: unknown instruction \"RUNN\"; did you "
                       "mean RUN?\n"
                       "    2 |\n"
                       "    3 | >>> RUNN \\\n"
                       "      |     ^^^^\n"
                       "    4 | >>>   x\n"
                       "    5 |     USER y"));
}

TEST(ParseDockerfileTest, WhenJsonIsBroken_IsTheShellForm) {
  ASSERT_OK_AND_ASSIGN(Dockerfile file,
                       Parse("FROM a\nCMD ['a']\nCMD []\nENV [\"a\"] b\n"));
  EXPECT_FALSE(file.instructions[1].exec_form);
  EXPECT_TRUE(file.instructions[2].exec_form);
  EXPECT_FALSE(file.instructions[3].exec_form);
  EXPECT_THAT(
      Parse("FROM a\nCMD [\"a\", 1]\n"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("strings only")));
}

TEST(ParseDockerfileTest, WhenEscapesAreDoubled_TheLineEnds) {
  ASSERT_OK_AND_ASSIGN(Dockerfile file, Parse("FROM a\nRUN x \\\\\nRUN y\n"));
  ASSERT_THAT(file.instructions, SizeIs(3));
  EXPECT_EQ(file.instructions[1].rest, "x \\\\");
}

std::optional<std::string> Values(absl::string_view name) {
  if (name == "A") return "1";
  if (name == "EMPTY") return "";
  if (name == "P") return "a/b/c.x.y";
  if (name == "WORDS") return "b  c";
  return std::nullopt;
}

TEST(ExpandTest, WhenVariables_AreReplaced) {
  const struct {
    const char* text;
    const char* result;
  } cases[] = {
      {"$A", "1"},
      {"x${A}y$A", "x1y1"},
      {"$NONE|${NONE}", "|"},
      {"${NONE:-d}${NONE-d}${A:-d}", "dd1"},
      {"${EMPTY:-d}${EMPTY-d}", "d"},
      {"${A:+alt}${EMPTY:+alt}${EMPTY+alt}${NONE+alt}", "altalt"},
      {"${NONE:-${A}${NONE:-z}}", "1z"},
      {"\\$A", "$A"},
      {"'$A'", "$A"},
      {"\"$A b\"", "1 b"},
      {"\"a\\\"b\\n\"", "a\"b\\n"},
      {"a\\ b", "a b"},
      {"$", "$"},
      {"$1|$$|$%", "||$%"},
      {"a\\", "a"},
      {"${P#*/}|${P##*/}|${P%/*}|${P%%/*}", "b/c.x.y|c.x.y|a/b|a"},
      {"${P%.?}|${P#x}|${P%%.*}", "a/b/c.x|a/b/c.x.y|a/b/c"},
      {"${P/b/B}|${P/\\//_}|${P//\\//_}", "a/B/c.x.y|a_b/c.x.y|a_b_c.x.y"},
      {"${P//[b]/}|${P/b*x/-}|${P//?/z}", "a/b/c.x.y|a/-.y|zzzzzzzzz"},
      {"${P#${A:-x}}${NONE#x}", "a/b/c.x.y"},
      {"${A?}", "1"},
      {"a'b'\"c\"", "abc"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(Expand(c.text, '\\', Values), IsOkAndHolds(c.result)) << c.text;
  }
}

TEST(ExpandTest, WhenMalformed_IsRefused) {
  for (const char* text :
       {"'a", "\"a", "${A", "${}", "${A:-x", "${A=x}", "${NONE:?give one}",
        "${NONE?}", "${A/x}", "${A#\\x}", "${A:", "${"}) {
    EXPECT_THAT(Expand(text, '\\', Values),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  std::string deep = "x";
  for (int i = 0; i < 100; ++i) deep = "${NONE:-" + deep + "}";
  EXPECT_THAT(Expand(deep, '\\', Values),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ExpandTest, WhenVariablesDoubleEachOther_IsRefused) {
  std::string value = "x";
  absl::StatusOr<std::string> result = value;
  for (int i = 0; i < 40 && result.ok(); ++i) {
    result =
        Expand("$V$V", '\\', [&value](absl::string_view) { return value; });
    if (result.ok()) value = *result;
  }
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("longer than 1 MiB")));
}

TEST(ExpandTest, WhenNotSet_NamesAreNoted) {
  std::set<std::string> unset;
  EXPECT_OK(
      Expand("$A $B ${C} ${D:-x} ${E+x} ${F#x} $1", '\\', Values, &unset));
  EXPECT_THAT(unset, ElementsAre("B", "C", "F"));
}

TEST(ExpandTest, WhenWords_SplitAtBlanksOfVariables) {
  EXPECT_THAT(ExpandWords("a$WORDS \"$WORDS\" '' d\\ e", '\\', Values),
              IsOkAndHolds(ElementsAre("ab", "c", "b  c", "d e")));
}

TEST(SplitWordsTest, WhenQuoted_KeepsBlanks) {
  EXPECT_THAT(SplitWords("a=b  'c d' \"e f\"g h\\ i ", '\\'),
              ElementsAre("a=b", "'c d'", "\"e f\"g", "h\\ i"));
}

TEST(GlobMatchTest, WhenPatterns_Match) {
  const struct {
    std::string pattern;
    std::string path;
    bool match;
  } cases[] = {
      {"*.go", "a.go", true},
      {"*.go", "d/a.go", false},
      {"*/a.go", "d/a.go", true},
      {"**/a.go", "a.go", true},
      {"**/a.go", "x/y/a.go", true},
      {"a/**", "a/b/c", true},
      {"a/**/c", "a/c", true},
      {"a?c", "abc", true},
      {"a?c", "ac", false},
      {"[a-c]x", "bx", true},
      {"[^a-c]x", "bx", false},
      {"[!a-c]x", "dx", false},
      {"a\\*", "a*", true},
      {"a\\*", "ab", false},
      {"*a*b*c*", "xxaxxbxxcxx", true},
      {"[", "[", true},
      {"", "", true},
      {"*", "", true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(GlobMatch(c.pattern, c.path), c.match)
        << c.pattern << " " << c.path;
  }
  EXPECT_FALSE(GlobMatch(std::string(60, '*') + "b", std::string(5000, 'a')));
}

TEST(CleanRelativeTest, WhenPathsGoUp_StopAtTheTop) {
  EXPECT_EQ(CleanRelative("/a/./b/../c//d/"), "a/c/d");
  EXPECT_EQ(CleanRelative("../../x"), "x");
  EXPECT_EQ(CleanRelative("/"), "");
}

absl::StatusOr<BuildPlan> Plan(const std::string& text,
                               const std::string& target = "",
                               const std::set<std::string>& contexts = {}) {
  ASSIGN_OR_RETURN(Dockerfile file, Parse(text));
  GlobalScope global({{"GIVEN", "3.19"}}, {"linux", "amd64", ""});
  return PlanBuild(file, target, contexts, &global);
}

absl::Status Check(const std::string& text) {
  ASSIGN_OR_RETURN(Dockerfile file, Parse(text));
  const image::Platform platform{"linux", "amd64", ""};
  GlobalScope global({}, platform);
  ASSIGN_OR_RETURN(BuildPlan plan, PlanBuild(file, "", {}, &global));
  CheckInput input;
  input.file = &file;
  input.plan = &plan;
  input.global = &global;
  input.platform = platform;
  return CheckBuild(input).status();
}

// Small files that ask for a lot, in time or memory.
TEST(CheckBuildTest, WhenHostile_IsRefusedSoon) {
  const auto repeat = [](const std::string& text, int count) {
    std::string result = "FROM scratch\n";
    for (int i = 0; i < count; ++i) absl::StrAppend(&result, text);
    return result;
  };
  std::string variables = "FROM scratch\n";
  for (int i = 0; i < 5000; ++i) {
    absl::StrAppend(&variables, "ENV A", i, "=$B", i, "\n");
  }
  std::string labels =
      "FROM scratch\nENV A=" + std::string(100'000, 'x') + "\n";
  for (int i = 0; i < 1000; ++i)
    absl::StrAppend(&labels, "LABEL l", i, "=$A\n");
  std::string stages = "FROM scratch AS s0\nENV";
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&stages, " A", i, "=", std::string(100'000, 'x'));
  }
  for (int i = 1; i < 900; ++i) {
    absl::StrAppend(&stages, "\nFROM s", i - 1, " AS s", i);
  }
  const struct {
    std::string text;
    std::string why;
  } cases[] = {
      {repeat("EXPOSE 1-65535\n", 50), "more than 16 MiB"},
      {variables, "more than 4000 variables"},
      {labels, "more than 16 MiB"},
      {stages, "more than 256 MiB"},
      {repeat("FROM scratch\n", 2000), "more than 1000 stages"},
      {repeat("RUN" + std::string(100'000, ' ') + "--mount=x y\n", 3),
       "unknown option \"x\""},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(Check(c.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.why)))
        << c.text.substr(0, 80);
  }
  EXPECT_OK(Check(repeat("LABEL a=$NONE b=$NONE\n", 3000)));
}

TEST(PlanBuildTest, WhenTarget_OnlyWhatItNeedsIsMarked) {
  const std::string text =
      "ARG GIVEN=3.0\n"
      "FROM alpine:${GIVEN} AS base\n"
      "FROM base AS unused\n"
      "FROM base AS Tools\n"
      "FROM scratch\n"
      "COPY --from=tools /a /a\n"
      "FROM scratch AS other\n";
  ASSERT_OK_AND_ASSIGN(BuildPlan plan, Plan(text, "3"));
  EXPECT_EQ(plan.stages[0].base, "alpine:3.19");
  EXPECT_EQ(plan.stages[2].base_stage, 0);
  EXPECT_EQ(plan.target, 3);
  EXPECT_THAT(plan.order, ElementsAre(0, 2, 3));
  EXPECT_FALSE(plan.stages[1].needed);
  EXPECT_TRUE(plan.stages[2].needed);
  EXPECT_THAT(plan.stages[3].needs, ElementsAre(2));
  ASSERT_OK_AND_ASSIGN(plan, Plan(text));
  EXPECT_THAT(plan.order, ElementsAre(4));
}

TEST(PlanBuildTest, WhenFilesComeFromALaterStage_ThatGoesFirst) {
  ASSERT_OK_AND_ASSIGN(
      BuildPlan plan,
      Plan("FROM scratch AS a\nRUN --mount=from=b,target=/x true\n"
           "FROM scratch AS b\n",
           "a"));
  EXPECT_THAT(plan.order, ElementsAre(1, 0));
}

TEST(PlanBuildTest, WhenAContextHasTheName_ItTakesThePlace) {
  const std::string text =
      "FROM alpine AS a\nRUN x\nFROM busybox AS b\nCOPY --from=a /x /\n"
      "COPY --from=c /x /\n";
  ASSERT_OK_AND_ASSIGN(BuildPlan plan, Plan(text, "", {"a", "busybox"}));
  EXPECT_THAT(plan.order, ElementsAre(1));
  EXPECT_EQ(plan.stages[0].base_context, "a");
  EXPECT_THAT(plan.stages[0].instructions, SizeIs(0));
  EXPECT_EQ(plan.stages[1].base_context, "busybox");
  ASSERT_OK_AND_ASSIGN(Source source, ResolveSource(plan.stages, {"a"}, "a"));
  EXPECT_EQ(source.context, "a");
  ASSERT_OK_AND_ASSIGN(source, ResolveSource(plan.stages, {"a"}, "c"));
  EXPECT_EQ(source.image, "c");
}

TEST(PlanBuildTest, WhenWrong_SaysWhereAndWhy) {
  const struct {
    std::string text;
    std::string target;
    std::string why;
  } cases[] = {
      {"RUN x\nFROM a\n", "", "Dockerfile:1: RUN x: before the first FROM"},
      {"ARG A=1\n", "", "no FROM"},
      {"FROM a b\n", "", "FROM IMAGE AS NAME"},
      {"FROM $NONE\n", "", "is empty"},
      {"FROM a AS 1x\n", "", "is not a name for a stage"},
      {"FROM a\nCOPY --from=5 a /\n", "", "there is no stage 5"},
      {"FROM a AS x\nCOPY --from=0 a /\n", "", "stage x needs itself"},
      {"FROM a AS x\nCOPY --from=y a /\nFROM x AS y\n", "", "needs itself"},
      {"FROM --flag=1 a\n", "", "unknown flag --flag"},
      {"FROM a AS web\n", "webb", "did you mean web?"},
      {"FROM a AS x\n", "y", "has no stage \"y\"; it has: x"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(Plan(c.text, c.target),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.why)))
        << c.text;
  }
}

}  // namespace
}  // namespace bulwark::engine::build
