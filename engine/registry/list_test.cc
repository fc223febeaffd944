// Tags and referrers, from registries that tell the truth and others.
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/testing/status_matchers.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/registry/client.h"
#include "engine/registry/testing/client_fixture.h"
#include "engine/registry/testing/fake_registry.h"

namespace bulwark::engine::registry {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::DigestOf;
using image::Json;
using ::testing::ElementsAre;
using testing::FakeRegistry;
using ::testing::HasSubstr;
using testing::HttpServer;
using ::testing::IsEmpty;
using testing::RegistryFaults;
using testing::ServerRequest;
using testing::ServerResponse;
using ::testing::SizeIs;

class ListTest : public testing::ClientFixture {
 protected:
  RegistryClient Client(const std::string& address) {
    return RegistryClient(address, "app", std::nullopt, options_);
  }
  std::unique_ptr<HttpServer> Server(HttpServer::Handler handler) {
    return std::make_unique<HttpServer>(
        [handler](const ServerRequest& request) {
          if (request.path == "/v2/") return ServerResponse();
          return handler(request);
        });
  }
};

TEST_F(ListTest, WhenTagsComeInPages_AllAreFollowed) {
  auto server = Server([](const ServerRequest& request) -> ServerResponse {
    if (request.path == "/v2/app/tags/list") {
      return {200,
              {"Link: </v2/app/tags/list?last=b&n=2>; rel=\"next\""},
              R"({"name":"app","tags":["a","b"]})",
              -1};
    }
    EXPECT_EQ(request.path, "/v2/app/tags/list?last=b&n=2");
    return {200, {}, R"({"name":"app","tags":["c"]})", -1};
  });
  ASSERT_OK_AND_ASSIGN(const TagsPage page,
                       Client(server->address()).ListTags(0, ""));
  EXPECT_THAT(page.tags, ElementsAre("a", "b", "c"));
  EXPECT_FALSE(page.more);
}

TEST_F(ListTest, WhenALimitIsGiven_TheRestIsLeft) {
  auto server = Server([](const ServerRequest& request) -> ServerResponse {
    EXPECT_EQ(request.path, "/v2/app/tags/list?n=2&last=a.1");
    // One that knows neither, and no order.
    return {200, {}, R"({"tags":["d","a","c","b"]})", -1};
  });
  ASSERT_OK_AND_ASSIGN(const TagsPage page,
                       Client(server->address()).ListTags(2, "a.1"));
  EXPECT_THAT(page.tags, ElementsAre("b", "c"));
  EXPECT_TRUE(page.more);
}

TEST_F(ListTest, WhenTagsAreNull_ThereAreNone) {
  auto server = Server([](const ServerRequest&) -> ServerResponse {
    return {200, {}, R"({"name":"app","tags":null})", -1};
  });
  ASSERT_OK_AND_ASSIGN(const TagsPage page,
                       Client(server->address()).ListTags(0, ""));
  EXPECT_THAT(page.tags, IsEmpty());
}

TEST_F(ListTest, WhenTheListNeverEnds_IsDataLoss) {
  auto server = Server([](const ServerRequest&) -> ServerResponse {
    std::string tags;
    for (int i = 0; i < 50'000; ++i) absl::StrAppend(&tags, "\"a\",");
    return {200,
            {"Link: </v2/app/tags/list?last=a>; rel=\"next\""},
            absl::StrCat(R"({"tags":[)", tags, "\"a\"]}"),
            -1};
  });
  EXPECT_THAT(Client(server->address()).ListTags(0, ""),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("does not end")));
}

TEST_F(ListTest, WhenTheListGoesOnElsewhere_IsDataLoss) {
  auto server = Server([](const ServerRequest&) -> ServerResponse {
    return {200,
            {"Link: <http://127.0.0.1:1/v2/x>; rel=\"next\""},
            R"({"tags":["a"]})",
            -1};
  });
  EXPECT_THAT(Client(server->address()).ListTags(0, ""),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("elsewhere")));
}

TEST_F(ListTest, WhenTheRepositoryIsUnknown_IsNotFound) {
  FakeRegistry registry;
  EXPECT_THAT(Client(registry.address()).ListTags(0, ""),
              StatusIs(absl::StatusCode::kNotFound));
}

std::string Artifact(const std::string& subject, const std::string& type) {
  return image::Dump(Json{{"schemaVersion", 2},
                          {"artifactType", type},
                          {"config", {{"digest", DigestOf("{}")}, {"size", 2}}},
                          {"layers", Json::array()},
                          {"subject", {{"digest", subject}, {"size", 1}}}});
}

TEST_F(ListTest, WhenArtifactsRefer_TheyAreFoundByType) {
  FakeRegistry registry;
  const std::string subject = DigestOf("image");
  for (const char* type : {"a/signature", "a/sbom"}) {
    const std::string text = Artifact(subject, type);
    registry.PutManifest("app", DigestOf(text), text, image::kOciManifest);
  }
  RegistryClient client = Client(registry.address());
  EXPECT_THAT(client.ListReferrers(subject, ""), IsOkAndHolds(SizeIs(2)));
  ASSERT_OK_AND_ASSIGN(const auto found,
                       client.ListReferrers(subject, "a/sbom"));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].artifact_type, "a/sbom");
  EXPECT_EQ(found[0].digest, DigestOf(Artifact(subject, "a/sbom")));
}

TEST_F(ListTest, WhenTheRegistryHasNoApi_TheTagIsRead) {
  FakeRegistry registry;
  const std::string subject = DigestOf("image");
  RegistryClient client = Client(registry.address());
  RegistryFaults faults;
  for (const int status : {400, 404, 405}) {
    faults.no_referrers = status;
    registry.SetFaults(faults);
    EXPECT_THAT(client.ListReferrers(subject, ""), IsOkAndHolds(IsEmpty()))
        << status;
  }
  const std::string index =
      image::Dump(Json{{"schemaVersion", 2},
                       {"manifests",
                        {{{"digest", DigestOf("one")},
                          {"size", 3},
                          {"artifactType", "a/b"},
                          {"annotations", {{"k", "v"}}}},
                         {{"digest", DigestOf("two")}, {"size", 3}}}}});
  registry.PutManifest("app", absl::StrReplaceAll(subject, {{":", "-"}}), index,
                       image::kOciIndex);
  ASSERT_OK_AND_ASSIGN(const auto found, client.ListReferrers(subject, "a/b"));
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].annotations.at("k"), "v");
}

TEST_F(ListTest, WhenReferrersAreNonsense_IsDataLoss) {
  for (const char* body :
       {"<html>", R"({"manifests":{}})", R"({"manifests":[1]})",
        R"({"manifests":[{"digest":"../x","size":1}]})"}) {
    auto server = Server([body](const ServerRequest&) -> ServerResponse {
      return {200, {}, body, -1};
    });
    EXPECT_THAT(Client(server->address()).ListReferrers(DigestOf("image"), ""),
                StatusIs(absl::StatusCode::kDataLoss))
        << body;
  }
}

// More than is read, and all of a type that is not asked for: by the API, in
// one page or in pages without end, and by the tag.
TEST_F(ListTest, WhenReferrersAreTooMany_IsDataLoss) {
  Json entries = Json::array();
  for (int i = 0; i < 10'001; ++i) {
    entries.push_back({{"digest", DigestOf(absl::StrCat(i))},
                       {"size", 3},
                       {"artifactType", "a/b"}});
  }
  const std::string index =
      image::Dump(Json{{"schemaVersion", 2}, {"manifests", entries}});
  entries.erase(entries.begin() + 4000, entries.end());
  const std::string page =
      image::Dump(Json{{"schemaVersion", 2}, {"manifests", entries}});
  for (const char* kind : {"page", "pages", "tag"}) {
    auto server = Server([&, kind](const ServerRequest& r) -> ServerResponse {
      const bool api = absl::StrContains(r.path, "/referrers/");
      if (kind == std::string("tag") && api) return {404, {}, "", -1};
      if (kind != std::string("pages")) return {200, {}, index, -1};
      return {
          200, {"Link: </v2/app/referrers/x?more>; rel=\"next\""}, page, -1};
    });
    EXPECT_THAT(
        Client(server->address()).ListReferrers(DigestOf("image"), "c/d"),
        StatusIs(absl::StatusCode::kDataLoss, HasSubstr("does not end")))
        << kind;
    EXPECT_LE(server->requests().size(), 5u) << kind;
  }
}

TEST_F(ListTest, WhenADigestIsResolved_TheHeadIsEnough) {
  FakeRegistry registry;
  const std::string text = Artifact(DigestOf("x"), "t");
  registry.PutManifest("app", "1", text, image::kOciManifest);
  RegistryClient client = Client(registry.address());
  EXPECT_THAT(client.ResolveDigest("1"), IsOkAndHolds(DigestOf(text)));
  EXPECT_EQ(registry.Count("GET", "/v2/app/manifests"), 0);
  EXPECT_THAT(client.ResolveDigest("2"), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace bulwark::engine::registry
