#include "base/url_text.h"

#include <gtest/gtest.h>

namespace bulwark {
namespace {

TEST(UrlTextTest, WhenAUrlHoldsAPassword_ItIsNotShown) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},
      {"no url: a@b", "no url: a@b"},
      {"https://host/a@b", "https://host/a@b"},
      {"https://me:se@cret@host:1/x", "https://***@host:1/x"},
      {"https://token@host", "https://***@host"},
      {"clone 'https://u:p@h/x': ssh://git@h/y failed",
       "clone 'https://***@h/x': ssh://***@h/y failed"},
      {"://@", "://***@"},
      {"http://", "http://"},
  };
  for (const auto& [text, shown] : cases) {
    EXPECT_EQ(HidePasswords(text), shown);
  }
}

}  // namespace
}  // namespace bulwark
