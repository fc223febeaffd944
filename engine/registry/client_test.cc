#include "engine/registry/client.h"

#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/digest.h"
#include "engine/registry/testing/client_fixture.h"
#include "engine/registry/testing/fake_registry.h"
#include "engine/registry/testing/http_server.h"

namespace bulwark::engine::registry {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::DigestOf;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::HttpServer;
using ::testing::Not;
using testing::ServerRequest;
using testing::ServerResponse;

const char kManifest[] =
    R"({"schemaVersion":2,"config":{"digest":"sha256:x"},"layers":[]})";

class RegistryClientTest : public testing::ClientFixture {
 protected:
  RegistryClientTest() : blobs_(*image::BlobStore::Open(dir_.path())) {}

  void Serve(HttpServer::Handler handler) {
    server_ =
        std::make_unique<HttpServer>([handler](const ServerRequest& request) {
          if (request.path == "/v2/") return ServerResponse();
          return handler(request);
        });
  }
  std::unique_ptr<RegistryClient> Client(
      std::optional<RegistryAuth> auth = std::nullopt) {
    return std::make_unique<RegistryClient>(server_->address(), "app", auth,
                                            options_);
  }
  // Fetches and commits, as a pull does.
  absl::StatusOr<std::string> Fetch(const std::string& data,
                                    const std::string& digest) {
    image::Descriptor blob = {"", digest, static_cast<int64_t>(data.size())};
    ASSIGN_OR_RETURN(auto ingest, blobs_->NewIngest());
    RETURN_IF_ERROR(Client()->FetchBlob(blob, ingest.get(), nullptr));
    RETURN_IF_ERROR(ingest->Commit(digest));
    return blobs_->ReadAll(digest, 1 << 30);
  }
  // How many requests reached a path that begins so.
  int Count(absl::string_view prefix) const {
    int n = 0;
    for (const ServerRequest& r : server_->requests()) {
      n += absl::StartsWith(r.path, prefix);
    }
    return n;
  }

  std::unique_ptr<image::BlobStore> blobs_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(RegistryClientTest, WhenManifestIsThere_GivesItWithItsDigest) {
  Serve([](const ServerRequest&) {
    return ServerResponse{200, {}, kManifest};
  });
  ASSERT_OK_AND_ASSIGN(ManifestDocument document,
                       Client()->FetchManifest("1.0"));
  EXPECT_EQ(document.digest, DigestOf(kManifest));
  EXPECT_EQ(document.text, kManifest);
  EXPECT_EQ(Count("/v2/app/manifests/1.0"), 1);
}

TEST_F(RegistryClientTest, WhenManifestHasAnotherDigest_IsDataLoss) {
  Serve([](const ServerRequest&) {
    return ServerResponse{200, {}, kManifest};
  });
  std::string wanted = DigestOf("something else");
  EXPECT_THAT(
      Client()->FetchManifest(wanted),
      StatusIs(absl::StatusCode::kDataLoss,
               AllOf(HasSubstr(wanted), HasSubstr(DigestOf(kManifest)))));
}

TEST_F(RegistryClientTest, WhenManifestIsEndless_StopsAtTheLimit) {
  Serve([](const ServerRequest&) {
    return ServerResponse{200, {}, std::string(5 << 20, ' ')};
  });
  EXPECT_THAT(Client()->FetchManifest("1.0"),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(RegistryClientTest, WhenServerFailsThenRecovers_SucceedsAfterRetries) {
  int calls = 0;
  Serve([&calls](const ServerRequest&) {
    if (++calls < 4) return ServerResponse{503, {}, "busy"};
    return ServerResponse{200, {}, kManifest};
  });
  EXPECT_OK(Client()->FetchManifest("1.0"));
  EXPECT_EQ(calls, 4);
}

TEST_F(RegistryClientTest, WhenServerKeepsFailing_GivesUpAfterFiveTries) {
  Serve([](const ServerRequest&) {
    return ServerResponse{
        500, {}, R"({"errors":[{"message":"disk on fire"}]})"};
  });
  EXPECT_THAT(Client()->FetchManifest("1.0"),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("500"), HasSubstr("disk on fire"))));
  EXPECT_EQ(Count("/v2/app/"), 5);
}

TEST_F(RegistryClientTest, WhenRetryAfterIsSent_WaitsThatLong) {
  int calls = 0;
  Serve([&calls](const ServerRequest&) {
    if (++calls == 1) return ServerResponse{429, {"Retry-After: 17"}, ""};
    return ServerResponse{200, {}, kManifest};
  });
  absl::Duration before = clock_.Steady();
  EXPECT_OK(Client()->FetchManifest("1.0"));
  EXPECT_GE(clock_.Steady() - before, absl::Seconds(17));
}

TEST_F(RegistryClientTest, WhenImageIsUnknown_IsNotFoundAtOnce) {
  Serve([](const ServerRequest&) { return ServerResponse{404, {}, "{}"}; });
  EXPECT_THAT(
      Client()->FetchManifest("1.0"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("has no such image")));
  EXPECT_EQ(Count("/v2/app/"), 1);
}

TEST_F(RegistryClientTest, WhenForbidden_IsPermissionDenied) {
  Serve([](const ServerRequest&) { return ServerResponse{403, {}, ""}; });
  EXPECT_THAT(Client()->FetchManifest("1.0"),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(RegistryClientTest, WhenNothingListens_SaysWhereAndWhatToCheck) {
  Serve(nullptr);
  std::unique_ptr<RegistryClient> client = Client();
  std::string address = server_->address();
  server_.reset();
  EXPECT_THAT(client->FetchManifest("1.0"),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr(address), HasSubstr("refused"),
                             HasSubstr("running"), HasSubstr("5 times"))));
}

TEST_F(RegistryClientTest, WhenTokenIsWanted_FetchesOneAndUsesIt) {
  Serve([this](const ServerRequest& request) {
    if (absl::StartsWith(request.path, "/token")) {
      return ServerResponse{200, {}, R"({"token":"t0k3n"})"};
    }
    auto it = request.headers.find("authorization");
    if (it != request.headers.end() && it->second == "Bearer t0k3n") {
      return ServerResponse{200, {}, kManifest};
    }
    return ServerResponse{
        401,
        {absl::StrCat("WWW-Authenticate: Bearer realm=\"http://",
                      server_->address(),
                      "/token\",service=\"s\",scope=\"repository:app:pull\"")},
        ""};
  });
  std::unique_ptr<RegistryClient> client =
      Client(RegistryAuth{"user", SecretText("pass")});
  EXPECT_OK(client->FetchManifest("1.0"));
  EXPECT_OK(client->FetchManifest("1.0"));
  EXPECT_EQ(Count("/token"), 1);
  for (const ServerRequest& r : server_->requests()) {
    if (!absl::StartsWith(r.path, "/token")) continue;
    EXPECT_THAT(r.path, AllOf(HasSubstr("service=s"),
                              HasSubstr("scope=repository%3Aapp%3Apull")));
    EXPECT_EQ(r.headers.at("authorization"), "Basic dXNlcjpwYXNz");
  }
}

TEST_F(RegistryClientTest, WhenTokenServiceIsPlainAndFar_SendsNothingThere) {
  Serve([](const ServerRequest&) {
    return ServerResponse{
        401, {"WWW-Authenticate: Bearer realm=\"http://192.0.2.1/token\""}, ""};
  });
  EXPECT_THAT(
      Client(RegistryAuth{"user", SecretText("pass")})->FetchManifest("1.0"),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               HasSubstr("without encryption")));
}

TEST_F(RegistryClientTest, WhenBasicIsWanted_SendsCredentialsOrAsksForThem) {
  Serve([](const ServerRequest& request) {
    if (request.headers.count("authorization") > 0 &&
        request.headers.at("authorization") == "Basic dXNlcjpwYXNz") {
      return ServerResponse{200, {}, kManifest};
    }
    return ServerResponse{401, {"WWW-Authenticate: Basic realm=\"r\""}, ""};
  });
  EXPECT_OK(
      Client(RegistryAuth{"user", SecretText("pass")})->FetchManifest("1.0"));
  EXPECT_THAT(
      Client(RegistryAuth{"user", SecretText("no")})->FetchManifest("1.0"),
      StatusIs(absl::StatusCode::kUnauthenticated,
               HasSubstr("these credentials")));
  EXPECT_THAT(
      Client()->FetchManifest("1.0"),
      StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("ctl login")));
}

TEST_F(RegistryClientTest, WhenRedirected_CredentialsStayBehind) {
  std::string data = "blob data";
  HttpServer storage([&](const ServerRequest&) {
    return ServerResponse{200, {}, data};
  });
  Serve([&](const ServerRequest& request) {
    if (request.headers.count("authorization") == 0) {
      return ServerResponse{401, {"WWW-Authenticate: Basic realm=\"r\""}, ""};
    }
    return ServerResponse{
        307,
        {absl::StrCat("Location: http://", storage.address(), "/blob?sig=1")},
        ""};
  });
  ASSERT_OK_AND_ASSIGN(auto ingest, blobs_->NewIngest());
  ASSERT_OK(Client(RegistryAuth{"user", SecretText("pass")})
                ->FetchBlob({"", DigestOf(data), 9}, ingest.get(), nullptr));
  EXPECT_OK(ingest->Commit(DigestOf(data)));
  ASSERT_EQ(storage.requests().size(), 1);
  EXPECT_EQ(storage.requests()[0].headers.count("authorization"), 0);
}

TEST_F(RegistryClientTest, WhenRedirectedToPlainFarAway_IsRefused) {
  Serve([](const ServerRequest&) {
    return ServerResponse{307, {"Location: http://192.0.2.1/blob"}, ""};
  });
  EXPECT_THAT(Fetch("x", DigestOf("x")),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(RegistryClientTest, WhenRedirectedToAFile_IsRefused) {
  Serve([](const ServerRequest&) {
    return ServerResponse{307, {"Location: file:///etc/passwd"}, ""};
  });
  EXPECT_FALSE(Fetch("x", DigestOf("x")).ok());
}

TEST_F(RegistryClientTest, WhenRedirectedInCircles_GivesUp) {
  Serve([](const ServerRequest& request) {
    return ServerResponse{307, {absl::StrCat("Location: ", request.path)}, ""};
  });
  EXPECT_THAT(Fetch("x", DigestOf("x")),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("circles")));
}

TEST_F(RegistryClientTest, WhenBlobHasAnotherDigest_NamesBoth) {
  Serve([](const ServerRequest&) { return ServerResponse{200, {}, "evil!"}; });
  EXPECT_THAT(Fetch("right", DigestOf("right")),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(DigestOf("right")),
                             HasSubstr(DigestOf("evil!")))));
  EXPECT_FALSE(blobs_->Has(DigestOf("evil!")));
}

TEST_F(RegistryClientTest, WhenBlobIsCut_GoesOnWhereItStopped) {
  std::string data;
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&data, i, ",");
  std::vector<std::string> ranges;
  Serve([&](const ServerRequest& request) {
    size_t from = 0;
    auto it = request.headers.find("range");
    if (it != request.headers.end()) {
      ranges.push_back(it->second);
      EXPECT_TRUE(
          absl::SimpleAtoi(it->second.substr(6, it->second.size() - 7), &from));
    }
    ServerResponse response{from > 0 ? 206 : 200, {}, data.substr(from)};
    if (from > 0) {
      response.headers = {absl::StrCat("Content-Range: bytes ", from, "-",
                                       data.size() - 1, "/", data.size())};
    }
    response.promised = response.body.size();
    if (from < data.size() / 3) response.body.resize(data.size() / 4);
    return response;
  });
  EXPECT_THAT(Fetch(data, DigestOf(data)), IsOkAndHolds(data));
  EXPECT_EQ(ranges.size(), 2);
}

TEST_F(RegistryClientTest, WhenServerIgnoresRanges_StartsAgain) {
  std::string data(200'000, 'x');
  int calls = 0;
  Serve([&](const ServerRequest&) {
    ServerResponse response{200, {}, data};
    response.promised = data.size();
    if (++calls < 3) response.body.resize(1000);
    return response;
  });
  EXPECT_THAT(Fetch(data, DigestOf(data)), IsOkAndHolds(data));
}

TEST_F(RegistryClientTest, WhenBlobIsAlwaysCut_GivesUp) {
  std::string data(1000, 'x');
  Serve([&](const ServerRequest&) {
    ServerResponse response{200, {}, data.substr(0, 10)};
    response.promised = data.size();
    return response;
  });
  EXPECT_THAT(Fetch(data, DigestOf(data)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("5 times")));
}

TEST_F(RegistryClientTest, WhenBlobIsLargerThanPromised_Stops) {
  Serve([&](const ServerRequest&) {
    return ServerResponse{200, {}, std::string(1 << 20, 'x')};
  });
  EXPECT_THAT(Fetch("small", DigestOf("small")),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("more than the 5 bytes")));
}

TEST_F(RegistryClientTest, WhenBlobEndsEarlyButCleanly_IsDataLoss) {
  Serve([&](const ServerRequest& request) {
    if (request.headers.count("range") > 0) return ServerResponse{416, {}, ""};
    return ServerResponse{200, {}, "short"};
  });
  EXPECT_THAT(Fetch("much longer", DigestOf("much longer")),
              StatusIs(absl::StatusCode::kDataLoss, Not(HasSubstr("tried"))));
}

TEST_F(RegistryClientTest, WhenABlobTrickles_EndsAndSaysSo) {
  const std::string data(1 << 20, 'x');
  Serve([&](const ServerRequest&) {
    ServerResponse response{200, {}, data};
    response.pace = 1000;
    return response;
  });
  // Long enough for the first bytes on a loaded machine.
  options_.pace = {absl::Seconds(4), 4096};
  EXPECT_THAT(
      Fetch(data, DigestOf(data)),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("bytes a second"),
                     HasSubstr("registry-min-rate"), Not(HasSubstr("tried")))));
  EXPECT_EQ(Count("/v2/app/blobs/"), 1);
}

TEST_F(RegistryClientTest, WhenABlobIsReset_GoesOnWhereItStopped) {
  std::string data;
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&data, i, ",");
  testing::RegistryFaults faults;
  faults.resets = 2;
  faults.reset_after = 200'000;
  testing::FakeRegistry registry(faults);
  registry.PutBlob("app", data);
  RegistryClient client(registry.address(), "app", std::nullopt, options_);
  ASSERT_OK_AND_ASSIGN(auto ingest, blobs_->NewIngest());
  const std::string digest = DigestOf(data);
  ASSERT_OK(client.FetchBlob({"", digest, static_cast<int64_t>(data.size())},
                             ingest.get(), nullptr));
  EXPECT_OK(ingest->Commit(digest));
  EXPECT_EQ(registry.Count("GET", "/v2/app/blobs/"), 3);
}

TEST_F(RegistryClientTest, WhenCancelled_Stops) {
  Serve([&](const ServerRequest&) { return ServerResponse{503, {}, ""}; });
  options_.cancelled = [] { return true; };
  EXPECT_THAT(Client()->FetchManifest("1.0"),
              StatusIs(absl::StatusCode::kCancelled));
}

TEST(IsLoopbackTest, WhenAddressIsNear_IsTrue) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"example.org", "128.0.0.1", "127.0.0.1.evil.org",
                           "localhost.evil.org", "::2", "10.0.0.1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace bulwark::engine::registry
