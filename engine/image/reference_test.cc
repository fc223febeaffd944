#include "engine/image/reference.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/images.h"

namespace bulwark::engine::image {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

const char kDigest[] =
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(NormalizeReferenceTest, WhenShort_IsCompleted) {
  const struct {
    std::string text;
    std::string full;
  } cases[] = {
      {"nginx", "docker.io/library/nginx:latest"},
      {"nginx:1.27", "docker.io/library/nginx:1.27"},
      {"user/app", "docker.io/user/app:latest"},
      {"docker.io/nginx", "docker.io/library/nginx:latest"},
      {"index.docker.io/library/nginx", "docker.io/library/nginx:latest"},
      {"localhost/app", "localhost/app:latest"},
      {"localhost:5000/app:1.4", "localhost:5000/app:1.4"},
      {"registry.local:5000/shop/web:1.4_a-B.c",
       "registry.local:5000/shop/web:1.4_a-B.c"},
      {"127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest"},
      {"[::1]:5000/app", "[::1]:5000/app:latest"},
      {"Host/app", "Host/app:latest"},
      {"a/b__c.d-e---f", "docker.io/a/b__c.d-e---f:latest"},
      {absl::StrCat("nginx@", kDigest),
       absl::StrCat("docker.io/library/nginx@", kDigest)},
      {absl::StrCat("nginx:1@", kDigest),
       absl::StrCat("docker.io/library/nginx:1@", kDigest)},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(NormalizeReference(c.text), IsOkAndHolds(c.full)) << c.text;
    EXPECT_THAT(NormalizeReference(c.full), IsOkAndHolds(c.full)) << c.text;
  }
}

TEST(NormalizeReferenceTest, WhenNotAReference_SaysWhy) {
  const struct {
    std::string text;
    std::string why;
  } cases[] = {
      {"", "empty"},
      {"Nginx", "\"Nginx\" is not a name"},
      {"nginx:", "is not a tag"},
      {"nginx:-1", "is not a tag"},
      {absl::StrCat("nginx:", std::string(129, 'a')), "is not a tag"},
      {"nginx@sha256:12", "64 hex digits"},
      {"nginx@md5:12", "64 hex digits"},
      {"a//b", "is not a name"},
      {"/nginx", "is not a name"},
      {"a/../b", "is not a name"},
      {"a/b_-c", "is not a name"},
      {"host:99999/app", "is not a registry"},
      {"host:0/app", "is not a registry"},
      {"host:+5/app", "is not a registry"},
      {"host:5\f/app", "is not a registry"},
      {"-bad.host/app", "is not a registry"},
      {"ngi nx", "is not a name"},
      {std::string("nginx\0x", 7), "is not a name"},
      {std::string(300, 'a'), "longer than 255"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(NormalizeReference(c.text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.why)))
        << c.text;
  }
}

}  // namespace
}  // namespace bulwark::engine::image
