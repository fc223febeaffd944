// How often a registry is asked that does not answer as it should, and when.
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/digest.h"
#include "engine/registry/client.h"
#include "engine/registry/testing/client_fixture.h"
#include "engine/registry/testing/http_server.h"

namespace bulwark::engine::registry {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::DigestOf;
using ::testing::HasSubstr;
using testing::HttpServer;
using testing::ServerRequest;
using testing::ServerResponse;

class RetriesTest : public testing::ClientFixture {
 protected:
  RetriesTest() {
    // The only waits of length are those that the registry asks for.
    options_.backoff = {absl::Milliseconds(1), absl::Milliseconds(1), 0};
  }

  absl::StatusOr<BlobOutcome> Push(const HttpServer& server) {
    const UniqueFd fd = OpenBlob("data");
    options_.push = true;
    RegistryClient client(server.address(), "app", std::nullopt, options_);
    return client.PushBlob({{"", DigestOf("data"), 4}, fd.get(), ""}, nullptr);
  }
};

TEST_F(RetriesTest, WhenTheRegistryItselfIsBusy_WaitsAsLongAsItSays) {
  for (const int status : {429, 503}) {
    int calls = 0;
    HttpServer server([&](const ServerRequest& request) -> ServerResponse {
      if (request.path == "/v2/" && ++calls < 3) {
        return {status, {"Retry-After: 17"}, "", -1};
      }
      return {};
    });
    RegistryClient client(server.address(), "app", std::nullopt, options_);
    const absl::Duration before = clock_.Steady();
    EXPECT_OK(client.CheckCredentials());
    EXPECT_GE(clock_.Steady() - before, absl::Seconds(2 * 17));
    EXPECT_LT(clock_.Steady() - before, absl::Seconds(3 * 17));
  }
}

TEST_F(RetriesTest, WhenTheRegistryItselfStaysBusy_GivesUpAfterFiveTries) {
  HttpServer server([&](const ServerRequest&) -> ServerResponse {
    return {429, {"Retry-After: 17"}, "", -1};
  });
  RegistryClient client(server.address(), "app", std::nullopt, options_);
  const absl::Duration before = clock_.Steady();
  EXPECT_THAT(client.FetchManifest("1"),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("answers with 429 (tried 5 times)")));
  EXPECT_EQ(server.requests().size(), 5u);
  EXPECT_LT(clock_.Steady() - before, absl::Seconds(5 * 17));
}

// Nothing arrives, and nobody says how much did.
TEST_F(RetriesTest, WhenAnUploadAndItsStateFail_TheTriesAreCountedTogether) {
  int failures = 0;
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    if (request.method == "HEAD") return {404, {}, "", -1};
    if (request.method == "POST") {
      return {202, {"Location: /v2/app/blobs/uploads/1"}, "", -1};
    }
    ++failures;
    return {503, {"Retry-After: 60"}, "", -1};
  });
  const absl::Duration before = clock_.Steady();
  EXPECT_THAT(Push(server), StatusIs(absl::StatusCode::kUnavailable,
                                     HasSubstr("answers with 503")));
  EXPECT_EQ(failures, 5);
  EXPECT_LT(clock_.Steady() - before, absl::Seconds(5 * 60));
}

// As many failures as may be, in whatever they are.
TEST_F(RetriesTest, WhenAnUploadAndItsStateFailForAWhile_ItArrives) {
  int failures = 0;
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/") return {};
    if (request.method == "HEAD") return {404, {}, "", -1};
    if (request.method == "POST") {
      return {202, {"Location: /v2/app/blobs/uploads/1"}, "", -1};
    }
    if (++failures < 5) return {503, {}, "", -1};
    if (request.method == "GET") return {204, {"Range: 0-0"}, "", -1};
    return {201, {}, "", -1};
  });
  EXPECT_THAT(Push(server), IsOkAndHolds(BlobOutcome::kUploaded));
}

}  // namespace
}  // namespace bulwark::engine::registry
