// Sending blobs and manifests to registries that fail in every way.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "engine/registry/client.h"
#include "engine/registry/testing/client_fixture.h"
#include "engine/registry/testing/fake_registry.h"
#include "os/files.h"

namespace bulwark::engine::registry {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::StatusIs;
using image::DigestOf;
using ::testing::AllOf;
using testing::FakeRegistry;
using ::testing::HasSubstr;
using testing::HttpServer;
using ::testing::Not;
using testing::RegistryFaults;
using testing::ServerRequest;
using testing::ServerResponse;

constexpr int64_t kMiB = 1 << 20;

class PushTest : public testing::ClientFixture {
 protected:
  PushTest() {
    for (int i = 0; i < 3 * kMiB; ++i)
      data_.push_back(static_cast<char>(i / 7));
    options_.push = true;
    options_.largest_piece = kMiB;
  }

  void Serve(RegistryFaults faults) {
    registry_ = std::make_unique<FakeRegistry>(faults);
  }
  RegistryClient Client(std::optional<RegistryAuth> auth = std::nullopt) {
    return RegistryClient(registry_->address(), "app", auth, options_);
  }

  absl::StatusOr<BlobOutcome> Push(const std::string& data,
                                   const std::string& mount_from = "") {
    const UniqueFd fd = OpenBlob(data);
    sent_ = 0;
    return Client().PushBlob({{"", DigestOf(data_.substr(0, data.size())),
                               static_cast<int64_t>(data.size())},
                              fd.get(),
                              mount_from},
                             [this](int64_t bytes) { sent_ = bytes; });
  }

  // A manifest with the one layer `data_`.
  std::string Manifest() const {
    image::Manifest manifest;
    manifest.config = {image::kOciConfig, DigestOf("{}"), 2};
    manifest.layers = {{image::kOciLayer, DigestOf(data_),
                        static_cast<int64_t>(data_.size())}};
    return image::FormatManifest(manifest);
  }

  std::string data_;
  int64_t sent_ = 0;
  std::unique_ptr<FakeRegistry> registry_;
};

TEST_F(PushTest, WhenSmall_OneRequestCarriesIt) {
  Serve({});
  const std::string small = data_.substr(0, 1000);
  EXPECT_THAT(Push(small), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(small)));
  EXPECT_EQ(sent_, 1000);
  EXPECT_EQ(registry_->Count("PATCH", "/"), 0);
  EXPECT_EQ(registry_->Count("PUT", "/"), 1);
}

TEST_F(PushTest, WhenEmpty_ItArrives) {
  Serve({});
  EXPECT_THAT(Push(""), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf("")));
}

TEST_F(PushTest, WhenLarge_PiecesCarryIt) {
  Serve({});
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_EQ(sent_, 3 * kMiB);
  EXPECT_EQ(registry_->Count("PATCH", "/"), 3);
  EXPECT_EQ(registry_->Count("PUT", "/"), 1);
}

TEST_F(PushTest, WhenPresent_NothingIsSent) {
  Serve({});
  registry_->PutBlob("app", data_);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kPresent));
  EXPECT_EQ(registry_->Count("POST", "/"), 0);
}

TEST_F(PushTest, WhenAnotherRepositoryHasIt_ItIsMounted) {
  Serve({});
  registry_->PutBlob("base", data_);
  EXPECT_THAT(Push(data_, "base"), IsOkAndHolds(BlobOutcome::kMounted));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_EQ(registry_->Count("PATCH", "/"), 0);
}

TEST_F(PushTest, WhenItCannotBeMounted_ItIsSentInThatUpload) {
  RegistryFaults faults;
  faults.no_mounts = true;
  Serve(faults);
  registry_->PutBlob("base", data_);
  EXPECT_THAT(Push(data_, "base"), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_EQ(registry_->Count("POST", "/"), 1);
}

TEST_F(PushTest, WhenCut_ItGoesOnWhereItEnded) {
  RegistryFaults faults;
  faults.cuts = 2;
  faults.cut_after = 300'000;
  Serve(faults);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_EQ(registry_->Count("POST", "/"), 1);      // the same upload
  EXPECT_EQ(registry_->UploadedBytes(), 3 * kMiB);  // nothing twice
}

TEST_F(PushTest, WhenASingleRequestIsCut_TheRestFollows) {
  RegistryFaults faults;
  faults.cuts = 1;
  faults.cut_after = 400'000;
  Serve(faults);
  const std::string small = data_.substr(0, 900'000);
  EXPECT_THAT(Push(small), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(small)));
}

TEST_F(PushTest, WhenACutUploadIsForgotten_ItBeginsAnew) {
  RegistryFaults faults;
  faults.cuts = 1;
  faults.cut_after = 300'000;
  faults.forgets = true;
  Serve(faults);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_EQ(registry_->Count("POST", "/"), 2);
}

TEST_F(PushTest, WhenItIsCutForEver_ItGivesUp) {
  RegistryFaults faults;
  faults.cuts = 1'000'000;
  Serve(faults);
  EXPECT_THAT(Push(data_), StatusIs(absl::StatusCode::kUnavailable,
                                    HasSubstr("tried 5 times")));
  EXPECT_LE(registry_->Count("PATCH", "/"), 5);
}

TEST_F(PushTest, WhenOnlyTheLastAnswerIsLost_ItIsFoundThere) {
  RegistryFaults faults;
  faults.lost_answers = 1;
  Serve(faults);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_EQ(registry_->Count("POST", "/"), 1);
}

TEST_F(PushTest, WhenBusy_ItWaitsAsLongAsItIsTold) {
  RegistryFaults faults;
  faults.busy = 1;
  Serve(faults);
  const absl::Duration before = clock_.Steady();
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_GE(clock_.Steady() - before, absl::Seconds(7));
}

TEST_F(PushTest, WhenAProxyTakesSmallPiecesOnly_TheyGetSmaller) {
  RegistryFaults faults;
  faults.most_piece = 600'000;
  Serve(faults);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));

  faults.most_piece = 1000;
  Serve(faults);
  EXPECT_THAT(Push(data_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                    HasSubstr("too large")));
}

TEST_F(PushTest, WhenTheFileIsNotItsDigest_IsDataLoss) {
  Serve({});
  std::string other = data_.substr(0, 1000);
  other[5] ^= 1;
  EXPECT_THAT(Push(other), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(PushTest, WhenTheFileIsTooShort_IsDataLoss) {
  Serve({});
  const std::string path = dir_ / "short";
  ASSERT_OK(os::WriteFileDurably(path, "abc"));
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(
      Client().PushBlob({{"", DigestOf("abcd"), 4}, fd.get(), ""}, nullptr),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("ends early")));
}

TEST_F(PushTest, WhenReadOnly_SaysSo) {
  RegistryFaults faults;
  faults.read_only = true;
  Serve(faults);
  EXPECT_THAT(Push(data_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                    HasSubstr("read-only")));
}

TEST_F(PushTest, WhenCancelled_Ends) {
  Serve({});
  options_.cancelled = [] { return true; };
  EXPECT_THAT(Push(data_), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(PushTest, WhenTheManifestIsPushed_ItIsThereByteForByte) {
  Serve({});
  registry_->PutBlob("app", data_);
  ASSERT_OK(Client().PushManifest("1.0", image::kOciManifest, Manifest()));
  EXPECT_EQ(registry_->Manifest("app", "1.0"), Manifest());
  EXPECT_EQ(registry_->MediaType("app", "1.0"), image::kOciManifest);
}

TEST_F(PushTest, WhenTheRegistryLacksALayer_IsAborted) {
  Serve({});
  EXPECT_THAT(Client().PushManifest("1.0", image::kOciManifest, Manifest()),
              StatusIs(absl::StatusCode::kAborted));
}

TEST_F(PushTest, WhenAnotherManifestIsStored_IsDataLoss) {
  RegistryFaults faults;
  faults.wrong_digest = true;
  Serve(faults);
  registry_->PutBlob("app", data_);
  EXPECT_THAT(Client().PushManifest("1.0", image::kOciManifest, Manifest()),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(PushTest, WhenTheMediaTypeIsRefused_SaysWhatElseThereIs) {
  RegistryFaults faults;
  faults.no_oci = true;
  Serve(faults);
  EXPECT_THAT(Client().PushManifest("1.0", image::kOciManifest, Manifest()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("--format docker")));
}

// Asks for tokens at /token, whose scopes and forms are kept.
TEST_F(PushTest, WhenATokenIsNeeded_ItIsForPushAndForTheSources) {
  std::string address;
  std::vector<std::string> asked;
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (absl::StartsWith(request.path, "/token")) {
      asked.push_back(absl::StrCat(request.path, " ", request.body));
      return {200, {}, R"({"access_token":"t1"})", -1};
    }
    const auto token = request.headers.find("authorization");
    if (token == request.headers.end()) {
      return {401,
              {absl::StrCat("WWW-Authenticate: Bearer realm=\"http://", address,
                            "/token\",service=\"reg\",scope=\"repository:app:"
                            "pull\"")},
              "",
              -1};
    }
    EXPECT_EQ(token->second, "Bearer t1");
    return {201, {}, "", -1};
  });
  address = server.address();
  options_.mount_from = {"base"};
  RegistryAuth auth{"me", SecretText("pass")};
  {
    RegistryClient client(address, "app", auth, options_);
    ASSERT_OK(client.PushManifest("1", image::kOciManifest, Manifest()));
  }
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_THAT(asked[0],
              AllOf(HasSubstr("scope=repository%3Aapp%3Apull%2Cpush"),
                    HasSubstr("scope=repository%3Abase%3Apull"),
                    HasSubstr("account=me"), Not(HasSubstr("apull&"))));
  // An identity token is sent as a form, not in the address.
  asked.clear();
  auth = {"<token>", SecretText("id+1")};
  RegistryClient client(address, "app", auth, options_);
  ASSERT_OK(client.PushManifest("1", image::kOciManifest, Manifest()));
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_THAT(asked[0], AllOf(HasSubstr("/token grant_type=refresh_token"),
                              HasSubstr("refresh_token=id%2B1"),
                              HasSubstr("service=reg")));
}

TEST_F(PushTest, WhenNoTokenIsGivenForTheSources_ItIsSentInsteadOfMounted) {
  RegistryFaults faults;
  faults.token_uses = 100;
  faults.narrow_tokens = true;
  Serve(faults);
  registry_->PutBlob("base", data_);
  options_.mount_from = {"base", "other"};
  EXPECT_THAT(Push(data_, "base"), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_EQ(registry_->Count("GET", "/token"), 2);
}

TEST_F(PushTest, WhenSeveralAskForSuchTokensAtOnce_AllGetTheirs) {
  RegistryFaults faults;
  faults.token_uses = 100;
  faults.narrow_tokens = true;
  Serve(faults);
  registry_->PutManifest("app", "1", Manifest(), image::kOciManifest);
  options_.mount_from = {"base"};
  RegistryClient client = Client();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back(
        [&] { EXPECT_OK(client.ResolveDigest("1").status()); });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(PushTest, WhenNoTokenIsGivenAtAll_SaysSoOnce) {
  std::string address;
  int asked = 0;
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (absl::StartsWith(request.path, "/token")) {
      ++asked;
      return {403, {}, "", -1};
    }
    return {401,
            {absl::StrCat("WWW-Authenticate: Bearer realm=\"http://", address,
                          "/token\"")},
            "",
            -1};
  });
  address = server.address();
  options_.mount_from = {"base"};
  RegistryClient client(address, "app", std::nullopt, options_);
  EXPECT_THAT(
      client.PushManifest("1", image::kOciManifest, Manifest()),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("get a token")));
  EXPECT_EQ(asked, 2);
}

TEST_F(PushTest, WhenTheTokenEndsInTheMidst_AnotherIsFetched) {
  RegistryFaults faults;
  faults.token_uses = 3;
  Serve(faults);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_GE(registry_->Count("GET", "/token"), 2);
  EXPECT_EQ(registry_->Count("POST", "/"), 1);
}

TEST_F(PushTest, WhenAStormPasses_TheUploadGoesOn) {
  RegistryFaults faults;
  faults.errors_each = 2;
  Serve(faults);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_EQ(registry_->Count("POST", "/"), 3);  // one upload
}

TEST_F(PushTest, WhenTheEndIsAnsweredWithAnError_TheDigestIsSentAgain) {
  RegistryFaults faults;
  faults.end_errors = 2;
  Serve(faults);
  EXPECT_THAT(Push(data_), IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_TRUE(registry_->HasBlob("app", DigestOf(data_)));
  EXPECT_EQ(registry_->UploadedBytes(), 3 * kMiB);  // nothing twice
}

TEST_F(PushTest, WhenAMountIsForbidden_ItIsSent) {
  RegistryFaults faults;
  faults.mount_refusal = 403;
  Serve(faults);
  registry_->PutBlob("base", data_);
  EXPECT_THAT(Push(data_, "base"), IsOkAndHolds(BlobOutcome::kUploaded));
}

TEST_F(PushTest, WhenTooLittleIsTaken_EndsAndSaysSo) {
  RegistryFaults faults;
  faults.pace = 1000;
  Serve(faults);
  options_.pace = {absl::Seconds(1), 100'000};
  // More than the kernel takes in advance.
  options_.largest_piece = 64 * kMiB;
  data_.resize(24 * kMiB);
  EXPECT_THAT(Push(data_),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("send to"), HasSubstr("registry-"))));
}

TEST_F(PushTest, WhenTheUploadLeadsElsewhere_CredentialsStayHome) {
  std::string seen;
  HttpServer storage([&](const ServerRequest& request) -> ServerResponse {
    const auto it = request.headers.find("authorization");
    seen = it == request.headers.end() ? "none" : it->second;
    return {201, {}, "", -1};
  });
  std::string challenge = "WWW-Authenticate: Basic realm=\"r\"";
  HttpServer server([&](const ServerRequest& request) -> ServerResponse {
    if (request.headers.count("authorization") == 0) {
      return {401, {challenge}, "", -1};
    }
    if (request.method == "HEAD") return {404, {}, "", -1};
    return {202,
            {absl::StrCat("Location: http://", storage.address(), "/put?x=1")},
            "",
            -1};
  });
  RegistryAuth auth{"me", SecretText("pass")};
  RegistryClient client(server.address(), "app", auth, options_);
  const std::string path = dir_ / "blob";
  ASSERT_OK(os::WriteFileDurably(path, "abcd"));
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_THAT(
      client.PushBlob({{"", DigestOf("abcd"), 4}, fd.get(), ""}, nullptr),
      IsOkAndHolds(BlobOutcome::kUploaded));
  EXPECT_EQ(seen, "none");
  ASSERT_EQ(storage.requests().size(), 1u);
  EXPECT_TRUE(absl::StartsWith(storage.requests()[0].path,
                               "/put?x=1&digest=sha256%3A"));
}

}  // namespace
}  // namespace bulwark::engine::registry
