#include "base/ignore_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/testing/status_matchers.h"

namespace bulwark {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(IgnoreListTest, WhenOnePattern_MatchesAsDockerDoes) {
  const struct {
    std::string pattern;
    std::string path;
    bool ignored;
  } cases[] = {
      {"a.log", "a.log", true},
      {"a.log", "d/a.log", false},
      {"*.log", "a.log", true},
      {"*.log", "d/a.log", false},
      {"d", "d/e/f", true},
      {"d", "de", false},
      {"/d/", "d/e", true},
      {"./d", "d", true},
      {"d/../e", "e", true},
      {"../d", "d", false},
      {"  d  ", "d", true},
      {"d\r", "d", true},
      {".", "d", false},
      {"/", "d", false},
      {"*", "d/e", true},
      {"*/*", "d", false},
      {"*/*", "d/e/f", true},
      {"**", "d/e", true},
      {"**/e", "e", true},
      {"**/e", "a/b/e", true},
      {"**/e", "a/be", false},
      {"**e", "a/be", true},
      {"**e", "e", true},
      {"**e*", "a/be", false},
      {"**e*", "a/ef", true},
      {"a/**", "a", false},
      {"a/**", "a/b/c", true},
      {"a**", "abc/d", true},
      {"a/**/c", "a/c", true},
      {"a/**/c", "a/b/b/c", true},
      {"a/**/c", "ac", false},
      {"a**c", "ac", true},
      {"a**c", "ab/c", true},
      {"a**c", "abc", false},
      {"**/**/c", "c", true},
      {"**/*.txt", "a/b/c.txt", true},
      {"**/*.txt", "c.txt", true},
      {"?", "a", true},
      {"?", "ab", false},
      {"?.t", "\xc3\xa4.t", true},
      {"a?c", "a/c", false},
      {"[a-c]x", "bx", true},
      {"[^a-c]x", "bx", false},
      {"[^a-c]x", "dx", true},
      {"[!a]x", "!x", true},
      {"[!a]x", "bx", false},
      {"[\\]]x", "]x", true},
      {"a\\*", "a*", true},
      {"a\\*", "ab", false},
      {"a.c", "abc", false},
      {"a+(b|c)$", "a+(b|c)$", true},
      {" #a", "#a", true},
      {"#a", "#a", false},
      {"\\#a", "#a", true},
      {"a b", "a b", true},
  };
  for (const auto& c : cases) {
    ASSERT_OK_AND_ASSIGN(IgnoreList list,
                         IgnoreList::Parse(c.pattern, ".dockerignore"));
    EXPECT_EQ(list.Ignores(c.path), c.ignored) << c.pattern << " " << c.path;
  }
}

TEST(IgnoreListTest, WhenSeveralPatterns_LastOneDecides) {
  ASSERT_OK_AND_ASSIGN(IgnoreList list,
                       IgnoreList::Parse("\xef\xbb\xbf# comment\n"
                                         "*.log\n"
                                         "\n"
                                         "node_modules\n"
                                         "/build/\n"
                                         "! /build/keep\n"
                                         "**/secret*\n"
                                         "!not-there\n"
                                         "*.md\n"
                                         "!README*.md\n"
                                         "README-secret.md\n",
                                         "x"));
  EXPECT_TRUE(list.Ignores("a.log"));
  EXPECT_FALSE(list.Ignores("d/a.log"));
  EXPECT_TRUE(list.Ignores("node_modules/x/y"));
  EXPECT_TRUE(list.Ignores("build/x"));
  EXPECT_FALSE(list.Ignores("build/keep/x"));
  EXPECT_TRUE(list.Ignores("a/b/secret.txt"));
  EXPECT_FALSE(list.Ignores("src"));
  EXPECT_TRUE(list.Ignores("x.md"));
  EXPECT_FALSE(list.Ignores("README.md"));
  EXPECT_TRUE(list.Ignores("README-secret.md"));
  EXPECT_FALSE(list.Ignores(""));
  EXPECT_TRUE(list.HasExceptions());
}

TEST(IgnoreListTest, WhenMalformed_NamesLineAndPattern) {
  const struct {
    std::string text;
    std::string why;
  } cases[] = {
      {"a\n!\n", "x:2: a ! needs a pattern"},
      {"a\nb[\n", "x:2: pattern \"b[\": a [ needs"},
      {"[a-]", "x:1: pattern \"[a-]\""},
      {"[]a]", "a [ needs"},
      {"[-a]", "a [ needs"},
      {"a\\", "nothing after the last"},
      {std::string(5000, 'a'), "longer than 4096"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(IgnoreList::Parse(c.text, "x"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.why)))
        << c.text;
  }
}

TEST(IgnoreListTest, WhenPatternIsHostile_TimeIsBounded) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a**b";
  ASSERT_OK_AND_ASSIGN(IgnoreList list,
                       IgnoreList::FromPatterns({pattern + "c"}));
  EXPECT_FALSE(list.Ignores(std::string(4000, 'a')));
}

TEST(IgnoreFilesTest, WhenDockerfileHasItsOwn_ThatGoesFirst) {
  EXPECT_THAT(IgnoreFilesOf("d/web.Dockerfile"),
              ElementsAre("d/web.Dockerfile.dockerignore", ".dockerignore"));
  EXPECT_THAT(
      AlwaysSent("Dockerfile"),
      ElementsAre("Dockerfile", "Dockerfile.dockerignore", ".dockerignore"));
}

}  // namespace
}  // namespace bulwark
