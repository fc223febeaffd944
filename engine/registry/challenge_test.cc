#include "engine/registry/challenge.h"

#include <gtest/gtest.h>

namespace bulwark::engine::registry {
namespace {

TEST(ParseChallengeTest, WhenBearer_GivesItsParameters) {
  Challenge c = ParseChallenge(
      "Bearer realm=\"https://auth.docker.io/token\", "
      "service=\"registry.docker.io\",scope=\"repository:a/b:pull,push\"");
  EXPECT_EQ(c.scheme, "bearer");
  EXPECT_EQ(c.params["realm"], "https://auth.docker.io/token");
  EXPECT_EQ(c.params["service"], "registry.docker.io");
  EXPECT_EQ(c.params["scope"], "repository:a/b:pull,push");
}

TEST(ParseChallengeTest, WhenUnusual_StillReads) {
  Challenge c = ParseChallenge("  BASIC Realm = \"a \\\"b\\\" c\" , x=y,");
  EXPECT_EQ(c.scheme, "basic");
  EXPECT_EQ(c.params["realm"], "a \"b\" c");
  EXPECT_EQ(c.params["x"], "y");
}

TEST(ParseChallengeTest, WhenMalformed_GivesWhatItCan) {
  for (const char* text : {"", "Bearer", "Bearer ,,,", "Bearer x",
                           "Bearer x=", "Bearer x=\"", "Bearer x=\"\\"}) {
    Challenge c = ParseChallenge(text);
    EXPECT_EQ(c.params.count("realm"), 0) << text;
  }
}

}  // namespace
}  // namespace bulwark::engine::registry
