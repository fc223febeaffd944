// Signatures that are found by tag and by referrers, in a registry that tells
// the truth and in others.
#include "engine/image/signature/gate.h"

#include <sys/resource.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/manifest.h"
#include "engine/image/signature/search.h"
#include "engine/image/signature/testing/signer.h"
#include "engine/image_refusal.h"
#include "engine/registry/testing/fake_registry.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

using ::bulwark::testing::FakeClock;
using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using registry::testing::FakeRegistry;
using registry::testing::HttpServer;
using registry::testing::RegistryFaults;
using registry::testing::ServerRequest;
using registry::testing::ServerResponse;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::PayloadOf;
using testing::SignatureManifest;
using testing::SignedPayload;
using testing::Signer;

class GateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.clock = &clock_;
    options_.entropy = &entropy_;
    options_.max_attempts = 1;
    ASSERT_OK(os::WriteFileDurably(dir_ / "team.pub", team_.PublicPem()));
    ASSERT_OK_AND_ASSIGN(blobs_, BlobStore::Open(dir_ / "images"));
  }

  // The gate's answer for an image of `address`; it has kept nothing before.
  absl::Status Check(const std::string& address,
                     const std::vector<std::string>& indexes = {},
                     const std::string& mirror = "") {
    auto policy =
        SignaturePolicy::Parse({absl::StrCat(address, "=", dir_ / "team.pub")});
    if (!policy.ok()) return policy.status();
    gate_ = std::make_unique<SignatureGate>(
        *std::move(policy), dir_ / absl::StrCat("state", ++gates_),
        blobs_.get());
    std::vector<Source> from = {{address, "app", std::nullopt}};
    if (!mirror.empty()) from.insert(from.begin(), {mirror, "app", {}});
    Sources sources(from, options_);
    const Reference name = Name(address);
    const absl::Status status =
        gate_->CheckAtRegistry(sources, name, image_, indexes);
    // What will do is kept, and nothing else.
    EXPECT_EQ(gate_->CheckKept(&name, image_).ok(), status.ok()) << status;
    return status;
  }
  absl::Status Check() { return Check(registry_.address()); }

  Reference Name(const std::string& address) const {
    return *ParseReference(absl::StrCat(address, "/app", version_));
  }
  SignedPayload Signed(const Signer& by, const std::string& digest) {
    const std::string payload =
        PayloadOf(absl::StrCat(registry_.address(), "/app"), digest);
    return {payload, by.Sign(payload)};
  }
  SignedPayload Good() { return Signed(team_, image_); }
  SignedPayload Bad() { return Signed(stranger_, image_); }

  void PutBlobs(FakeRegistry& to, const std::vector<SignedPayload>& what) {
    to.PutBlob("app", "{}");
    for (const SignedPayload& s : what) to.PutBlob("app", s.payload);
  }
  void Tag(const std::vector<SignedPayload>& what, const std::string& subject) {
    PutBlobs(registry_, what);
    registry_.PutManifest("app",
                          absl::StrCat("sha256-", HexOf(subject), ".sig"),
                          SignatureManifest(what), kOciManifest);
  }
  void Tag(const std::vector<SignedPayload>& what) { Tag(what, image_); }
  // The digest of the artifact.
  std::string Refer(const std::vector<SignedPayload>& what,
                    const std::string& subject) {
    PutBlobs(registry_, what);
    const std::string text = SignatureManifest(what, subject);
    registry_.PutManifest("app", DigestOf(text), text, kOciManifest);
    return DigestOf(text);
  }
  std::string Refer(const std::vector<SignedPayload>& what) {
    return Refer(what, image_);
  }
  // An index of descriptors, for registries without the API.
  void PutList(const std::vector<Json>& entries) {
    registry_.PutManifest(
        "app", absl::StrCat("sha256-", HexOf(image_)),
        Dump(Json{{"schemaVersion", 2}, {"manifests", Json(entries)}}),
        kOciIndex);
    RegistryFaults faults;
    faults.no_referrers = 404;
    registry_.SetFaults(faults);
  }
  Json Entry(const std::string& digest, int64_t size = 500) {
    return {{"mediaType", kOciManifest},
            {"artifactType", kSignatureArtifact},
            {"digest", digest},
            {"size", size}};
  }
  int ListsAsked() { return registry_.Count("GET", "/v2/app/referrers"); }

  const std::string image_ = DigestOf("image");
  std::string version_ = "@" + image_;
  TempDir dir_;
  FakeClock clock_;
  SeededEntropy entropy_{7};
  registry::ClientOptions options_;
  Signer team_, stranger_;
  FakeRegistry registry_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<SignatureGate> gate_;
  int gates_ = 0;
};

TEST_F(GateTest, WhenTheTagHasOneThatHolds_ReferrersAreNotAsked) {
  Tag({Bad(), Good()});
  EXPECT_OK(Check());
  EXPECT_EQ(ListsAsked(), 0);
}

TEST_F(GateTest, WhenThereIsNoTag_ReferrersAreTaken) {
  EXPECT_EQ(RefusalOf(Check()), kSignatureMissing);
  Refer({Good()});
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenTheTagsDoNotHold_ReferrersAreTaken) {
  Tag(std::vector<SignedPayload>(1000, Bad()));
  EXPECT_EQ(RefusalOf(Check()), kSignatureInvalid);
  Refer({Bad()});
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("has 1001 signatures")));
  Refer({Good()});
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenTheTagIsNoSignature_ReferrersAreTaken) {
  registry_.PutManifest("app", absl::StrCat("sha256-", HexOf(image_), ".sig"),
                        "{", kOciManifest);
  const absl::Status refused = Check();
  EXPECT_EQ(RefusalOf(refused), kSignatureInvalid);
  EXPECT_THAT(refused.message(), HasSubstr("is not a signature"));
  Refer({Bad()});
  EXPECT_THAT(Check().message(), AllOf(HasSubstr("by none of the keys"),
                                       HasSubstr("is not a signature")));
  Refer({Good()});
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenTheRegistryHasNoApi_TheListUnderTheTagIsRead) {
  const std::string artifact = Refer({Good()});
  for (const int status : {400, 404, 405}) {
    RegistryFaults faults;
    faults.no_referrers = status;
    registry_.SetFaults(faults);
    EXPECT_EQ(RefusalOf(Check()), kSignatureMissing) << status;
  }
  PutList({Entry(artifact)});
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenTheListCannotBeRead_SaysSoBesideTheVerdict) {
  RegistryFaults faults;
  faults.no_referrers = 403;
  registry_.SetFaults(faults);
  absl::Status refused = Check();
  EXPECT_EQ(RefusalOf(refused), kSignatureMissing);
  EXPECT_THAT(refused.message(), AllOf(HasSubstr("has no signature"),
                                       HasSubstr("among its referrers")));
  Tag({Bad()});
  refused = Check();
  EXPECT_EQ(RefusalOf(refused), kSignatureInvalid);
  EXPECT_THAT(refused.message(), HasSubstr("among its referrers"));
  // Nothing is known of what a registry that is busy has.
  faults.no_referrers = 503;
  registry_.SetFaults(faults);
  EXPECT_THAT(Check(), StatusIs(absl::StatusCode::kUnavailable));
  Tag({Good()});
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenTheListIsNonsense_IsRefusedAndWhatTagsSayHolds) {
  for (const char* body :
       {"<html>", R"({"manifests":[{"digest":"../x","size":1}]})"}) {
    HttpServer server([&](const ServerRequest& request) -> ServerResponse {
      if (request.path == "/v2/") return ServerResponse();
      if (absl::StrContains(request.path, "/referrers/")) {
        return {200, {}, body, -1};
      }
      return {404, {}, "", -1};
    });
    EXPECT_EQ(RefusalOf(Check(server.address())), kSignatureMissing) << body;
  }
}

TEST_F(GateTest, WhenReferrersAreOfOtherTypes_TheyAreNotRead) {
  for (const char* type : {"application/spdx+json", ""}) {
    Json entry = Entry(Refer({Good()}));
    entry["artifactType"] = type;
    PutList({entry});
    EXPECT_EQ(RefusalOf(Check()), kSignatureMissing) << type;
  }
  EXPECT_EQ(registry_.Count("GET", "/v2/app/manifests/sha256:"), 0);
}

TEST_F(GateTest, WhenReferrersAreGoneOrNonsense_OthersAreTaken) {
  registry_.PutManifest("app", DigestOf("["), "[", kOciManifest);
  registry_.PutManifest("app", DigestOf("{}"), "{}", kOciManifest);
  // Other content than the digest says.
  registry_.PutManifest("app", DigestOf("x"), SignatureManifest({}, image_),
                        kOciManifest);
  const std::vector<Json> junk = {Entry(DigestOf("gone")), Entry(DigestOf("[")),
                                  Entry(DigestOf("{}")), Entry(DigestOf("x"))};
  PutList(junk);
  EXPECT_EQ(RefusalOf(Check()), kSignatureMissing);
  std::vector<Json> list = junk;
  list.insert(list.begin(), Entry(Refer({Good()})));
  PutList(list);
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenAnotherLiesAboutAPayload_TheTrueOneIsTaken) {
  SignedPayload good = Good();
  std::string lie = SignatureManifest({good}, image_);
  const std::string size = absl::StrCat("\"size\":", good.payload.size());
  lie.replace(lie.find(size), size.size(), "\"size\":7");
  registry_.PutManifest("app", DigestOf(lie), lie, kOciManifest);
  PutList({Entry(Refer({good})), Entry(DigestOf(lie))});
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenReferrersAreMany_TheLastOfThemAreRead) {
  std::vector<Json> list;
  list.push_back(Entry(Refer({Good()})));
  for (int i = 0; i < 9'999; ++i) {
    list.push_back(Entry(DigestOf(absl::StrCat(i))));
  }
  PutList(list);
  const int before = registry_.Count("GET", "/v2/app/manifests/sha256:");
  EXPECT_EQ(RefusalOf(Check()), kSignatureMissing);
  EXPECT_EQ(registry_.Count("GET", "/v2/app/manifests/sha256:") - before,
            static_cast<int>(kMaxReferrersRead));
  list.push_back(Entry(Refer({Good()})));
  list.erase(list.begin());
  PutList(list);
  EXPECT_OK(Check());
  list.insert(list.begin(), Entry(DigestOf("one more")));
  PutList(list);
  const absl::Status refused = Check();
  EXPECT_EQ(RefusalOf(refused), kSignatureMissing);
  EXPECT_THAT(refused.message(), HasSubstr("does not end"));
}

TEST_F(GateTest, WhenAReferrerIsLarge_ItIsNotTaken) {
  std::string text = SignatureManifest({Good()}, image_);
  text.append(kMaxReferrerBytes, ' ');
  Refer({Good()});  // its payload
  registry_.PutManifest("app", DigestOf(text), text, kOciManifest);
  // Whatever size the list gives it.
  PutList({Entry(DigestOf(text)),
           Entry(DigestOf(text), static_cast<int64_t>(text.size()))});
  EXPECT_EQ(RefusalOf(Check()), kSignatureMissing);
}

TEST_F(GateTest, WhenManyPayloadsRefer_TheBoundsOfTagsAreTheirOwn) {
  std::vector<SignedPayload> many, others;
  for (size_t i = 0; i < kMaxPayloads + 5; ++i) {
    many.push_back(Signed(stranger_, DigestOf(absl::StrCat(i))));
    others.push_back(Signed(stranger_, DigestOf(absl::StrCat("other ", i))));
  }
  std::vector<SignedPayload> old = many;
  old.insert(old.begin(), Good());
  Refer(old);
  EXPECT_EQ(RefusalOf(Check()), kSignatureInvalid);
  Tag(others);
  EXPECT_EQ(RefusalOf(Check()), kSignatureInvalid);
  std::vector<SignedPayload> fresh = many;
  fresh.push_back(Good());
  PutList({Entry(Refer(old)), Entry(Refer(fresh), 50'000)});
  EXPECT_OK(Check());
}

TEST_F(GateTest, WhenTheIndexIsReferredTo_HoldsForWhatItLists) {
  const auto index_of = [](const std::string& digest) {
    return Dump(
        Json{{"schemaVersion", 2},
             {"mediaType", kOciIndex},
             {"manifests",
              {{{"mediaType", kOciManifest},
                {"digest", digest},
                {"size", 9},
                {"platform", {{"os", "linux"}, {"architecture", "amd64"}}}}}}});
  };
  const std::string index = index_of(image_);
  Refer({Signed(team_, DigestOf(index))}, DigestOf(index));
  EXPECT_EQ(RefusalOf(Check()), kSignatureMissing);
  EXPECT_OK(Check(registry_.address(), {index}));
  const std::string other = index_of(DigestOf("other"));
  Refer({Signed(team_, DigestOf(other))}, DigestOf(other));
  EXPECT_EQ(RefusalOf(Check(registry_.address(), {other})), kSignatureMissing);
}

// Peak resident bytes of this process.
int64_t PeakMemory() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} << 10;
}

TEST_F(GateTest, WhenALargeIndexHasManySignatures_TheyShareIt) {
  const std::string index = Dump(
      Json{{"schemaVersion", 2},
           {"mediaType", kOciIndex},
           {"annotations", {{"padding", std::string(1 << 20, ' ')}}},
           {"manifests",
            {{{"mediaType", kOciManifest}, {"digest", image_}, {"size", 9}}}}});
  // The team's own, of another image.
  const std::vector<SignedPayload> replayed(
      1000, Signed(team_, DigestOf("other image")));
  Tag(replayed, DigestOf(index));
  std::vector<SignedPayload> referring(300, replayed[0]);
  Refer(referring, DigestOf(index));
  const int64_t before = PeakMemory();
  EXPECT_EQ(RefusalOf(Check(registry_.address(), {index})), kSignatureInvalid);
  referring.push_back(Signed(team_, DigestOf(index)));
  Refer(referring, DigestOf(index));
  EXPECT_OK(Check(registry_.address(), {index}));
  EXPECT_LT(PeakMemory() - before, int64_t{400} << 20);
}

TEST_F(GateTest, WhenTheIndexLiesInASignedOne_ItHoldsForWhatItLists) {
  const auto index_of = [](const std::string& digest, const char* type) {
    return Dump(Json{{"schemaVersion", 2},
                     {"mediaType", kOciIndex},
                     {"manifests",
                      {{{"mediaType", type}, {"digest", digest}, {"size", 9}},
                       {{"mediaType", kOciIndex},
                        {"digest", DigestOf("gone")},
                        {"size", 9}}}}});
  };
  const std::string inner = index_of(image_, kOciManifest);
  const std::string middle = index_of(DigestOf(inner), kOciIndex);
  const std::string outer = index_of(DigestOf(middle), kOciIndex);
  const std::string stranger = index_of(DigestOf("other"), kOciIndex);
  const std::string& address = registry_.address();
  Tag({Signed(team_, DigestOf(stranger))}, DigestOf(stranger));
  EXPECT_FALSE(Check(address, {outer, middle, inner}).ok());
  // What a signed index does not list is not signed by it.
  EXPECT_FALSE(Check(address, {stranger, inner}).ok());
  EXPECT_FALSE(Check(address, {stranger, middle, inner}).ok());
  Tag({Signed(team_, DigestOf(outer))}, DigestOf(outer));
  EXPECT_OK(Check(address, {outer, middle, inner}));
  EXPECT_FALSE(Check(address, {outer, inner}).ok());
  // Where the caller does not know them, the registry is asked.
  for (const std::string& text : {middle, inner}) {
    registry_.PutManifest("app", DigestOf(text), text, kOciIndex);
  }
  registry_.PutManifest("app", "1", outer, kOciIndex);
  version_ = ":1";
  EXPECT_OK(Check());
  registry_.PutManifest("app", "1", stranger, kOciIndex);
  EXPECT_FALSE(Check().ok());
}

TEST_F(GateTest, WhenAMirrorHasNoReferrers_TheRegistryIsAsked) {
  Refer({Good()});
  FakeRegistry mirror;
  EXPECT_OK(Check(registry_.address(), {}, mirror.address()));
  EXPECT_EQ(mirror.Count("GET", "/v2/app/referrers"), 1);
}

}  // namespace
}  // namespace bulwark::engine::image
