#include "engine/image/signature/evidence.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "engine/image/digest.h"
#include "engine/image/signature/kept.h"
#include "engine/image/signature/testing/signer.h"
#include "engine/image_refusal.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

using ::bulwark::testing::StatusIs;
using ::bulwark::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::PayloadOf;
using testing::SignatureManifest;
using testing::Signer;
using ::testing::SizeIs;

const char kName[] = "registry.local:5000/team/app";
const std::string kDigest = DigestOf("image");
const std::string kOtherDigest = DigestOf("other image");

class EvidenceTest : public ::testing::Test {
 protected:
  EvidenceTest() {
    rule_.prefix = "registry.local:5000/team";
    rule_.keys = {*SignatureKey::Parse(team_.PublicPem(), "/keys/team.pub")};
  }

  static Reference Name(const std::string& name = kName) {
    return *ParseReference(name);
  }
  static Signature Signed(const Signer& by, const std::string& payload) {
    return {payload, by.Sign(payload), nullptr};
  }
  absl::Status Check(const std::vector<Signature>& signatures) const {
    const Reference name = Name();
    return CheckSignatures(rule_, &name, kDigest, signatures);
  }
  // Refused as invalid, because of `why`.
  void ExpectRefused(const Signature& signature, const std::string& why) const {
    const absl::Status status = Check({signature});
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition,
                                 AllOf(HasSubstr(why), HasSubstr(kName),
                                       HasSubstr("/keys/team.pub"))));
    EXPECT_EQ(RefusalOf(status), kSignatureInvalid);
  }

  const Signer team_;
  const Signer other_;
  SignatureRule rule_;
};

TEST_F(EvidenceTest, WhenSignedByTheKeyForTheName_Passes) {
  EXPECT_OK(Check({Signed(team_, PayloadOf(kName, kDigest))}));
}

TEST_F(EvidenceTest, WhenAnyOfSeveralKeysSigned_Passes) {
  rule_.keys.push_back(*SignatureKey::Parse(other_.PublicPem(), "other"));
  EXPECT_OK(Check({Signed(other_, PayloadOf(kName, kDigest))}));
}

TEST_F(EvidenceTest, WhenOneOfManyHolds_Passes) {
  std::vector<Signature> many(999, Signed(other_, PayloadOf(kName, kDigest)));
  EXPECT_THAT(Check(many),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("has 999 signatures, and none holds")));
  many.push_back(Signed(team_, PayloadOf(kName, kDigest)));
  EXPECT_OK(Check(many));
}

TEST_F(EvidenceTest, WhenThereIsNone_IsMissing) {
  const absl::Status status = Check({});
  EXPECT_EQ(RefusalOf(status), kSignatureMissing);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("has no signature"), HasSubstr("team.pub"),
                    HasSubstr("below registry.local:5000/team"),
                    HasSubstr("cosign sign --key")));
}

TEST_F(EvidenceTest, WhenTheKeyIsAnother_SaysSo) {
  ExpectRefused(Signed(other_, PayloadOf(kName, kDigest)),
                "by none of the keys /keys/team.pub");
}

TEST_F(EvidenceTest, WhenThePayloadWasAltered_SaysSo) {
  Signature signature = Signed(team_, PayloadOf(kName, kOtherDigest));
  signature.payload = PayloadOf(kName, kDigest);
  ExpectRefused(signature, "or was altered");
}

TEST_F(EvidenceTest, WhenItIsThatOfAnotherImage_NamesIt) {
  ExpectRefused(Signed(team_, PayloadOf(kName, kOtherDigest)),
                "that of another image, " + kOtherDigest);
}

TEST_F(EvidenceTest, WhenItIsForAnotherRepository_NamesIt) {
  ExpectRefused(
      Signed(team_, PayloadOf(absl::StrCat(kName, "-debug"), kDigest)),
      "signed as registry.local:5000/team/app-debug");
}

TEST_F(EvidenceTest, WhenTheSignatureIsTruncated_DoesNotHold) {
  const Signature whole = Signed(team_, PayloadOf(kName, kDigest));
  for (size_t size = 0; size < whole.signature.size(); ++size) {
    Signature cut = whole;
    cut.signature.resize(size);
    EXPECT_FALSE(Check({cut}).ok()) << size;
  }
  Signature longer = whole;
  longer.signature += "x";
  EXPECT_FALSE(Check({longer}).ok());
}

TEST_F(EvidenceTest, WhenTheIndexWasSigned_HoldsForWhatItLists) {
  const std::string index = absl::StrCat(
      R"({"schemaVersion":2,"mediaType":)"
      R"("application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":)"
      R"("application/vnd.oci.image.manifest.v1+json","size":10,"digest":")",
      kDigest, R"(","platform":{"os":"linux","architecture":"amd64"}}]})");
  Signature signature = Signed(team_, PayloadOf(kName, DigestOf(index)));
  ExpectRefused(signature, "another image");
  signature.index = std::make_shared<SignedIndex>(std::vector{index});
  EXPECT_OK(Check({signature}));
  const Reference name = Name();
  EXPECT_FALSE(CheckSignatures(rule_, &name, kOtherDigest, {signature}).ok());
  // Another index than the signed one.
  signature.index = std::make_shared<SignedIndex>(std::vector{index + " "});
  EXPECT_FALSE(Check({signature}).ok());
}

TEST_F(EvidenceTest, WhenOnlyTheDigestIsKnown_TakesTheSignedName) {
  EXPECT_OK(
      CheckSignatures(rule_, nullptr, kDigest,
                      {Signed(team_, PayloadOf("docker.io/a/b", kDigest))}));
}

TEST_F(EvidenceTest, WhenDockerHubIsCalledIndex_IsTheSame) {
  const Reference name = Name("docker.io/library/nginx:1");
  EXPECT_OK(CheckSignatures(
      rule_, &name, kDigest,
      {Signed(team_, PayloadOf("index.docker.io/library/nginx", kDigest))}));
}

TEST_F(EvidenceTest, WhenThePayloadIsNonsense_DoesNotHold) {
  const std::string good = PayloadOf(kName, kDigest);
  std::vector<std::string> payloads = {
      "",
      "[]",
      "{}",
      "null",
      "{\"critical\":[]}",
      good.substr(0, 50),
      R"({"critical":{"image":1,"identity":2,"type":3}})",
      std::string(1000, '['),
      "\xff\xfe",
      R"({"critical":{"identity":{"docker-reference":"UPPER CASE"},"image":)"
      R"({"docker-manifest-digest":")" +
          kDigest + R"("},"type":"cosign container image signature"}})",
      R"({"critical":{"identity":{"docker-reference":"a/b"},"image":)"
      R"({"docker-manifest-digest":"sha256:abc"},)"
      R"("type":"cosign container image signature"}})",
      R"({"critical":{"identity":{"docker-reference":"a/b"},"image":)"
      R"({"docker-manifest-digest":")" +
          kDigest + R"("},"type":"atomic container signature"}})"};
  for (const std::string& payload : payloads) {
    EXPECT_FALSE(Check({Signed(team_, payload)}).ok()) << payload;
  }
}

TEST_F(EvidenceTest, WhenParsed_ManifestGivesTheNewestFirst) {
  const std::string a = PayloadOf(kName, kDigest);
  const std::string b = PayloadOf(kName, kOtherDigest);
  ASSERT_OK_AND_ASSIGN(const auto layers,
                       ParseSignatureManifest(SignatureManifest(
                           {{a, team_.Sign(a)}, {b, team_.Sign(b)}})));
  ASSERT_THAT(layers, SizeIs(2));
  EXPECT_EQ(layers[0].digest, DigestOf(b));
  EXPECT_EQ(layers[1].digest, DigestOf(a));
  EXPECT_EQ(layers[1].size, static_cast<int64_t>(a.size()));
}

TEST_F(EvidenceTest, WhenTheManifestIsHostile_TakesNothingOfIt) {
  EXPECT_THAT(ParseSignatureManifest(SignatureManifest({})),
              ::bulwark::testing::IsOkAndHolds(IsEmpty()));
  for (const char* text : {"", "[]", "{}", R"({"layers":{}})"}) {
    EXPECT_THAT(ParseSignatureManifest(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
  for (const char* layer :
       {"1", "{}", R"({"mediaType":1,"digest":2,"size":"x"})",
        R"({"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json",)"
        R"("digest":"sha256:../../x","size":5})"}) {
    EXPECT_THAT(
        ParseSignatureManifest(absl::StrCat(R"({"layers":[)", layer, "]}")),
        ::bulwark::testing::IsOkAndHolds(IsEmpty()))
        << layer;
  }
  const std::string payload = PayloadOf(kName, kDigest);
  std::vector<testing::SignedPayload> huge = {
      {std::string(kMaxPayloadBytes + 1, 'x'), team_.Sign("x")},
      {payload, std::string(1000, 'x')},
      {payload, ""}};
  EXPECT_THAT(ParseSignatureManifest(SignatureManifest(huge)),
              ::bulwark::testing::IsOkAndHolds(IsEmpty()));
  const std::vector<testing::SignedPayload> many(
      kMaxSignatures + 500, {payload, team_.Sign(payload)});
  EXPECT_THAT(ParseSignatureManifest(SignatureManifest(many)),
              ::bulwark::testing::IsOkAndHolds(SizeIs(kMaxSignatures)));
}

class PolicyTest : public EvidenceTest {
 protected:
  std::string Key(const std::string& name, const std::string& content) {
    EXPECT_OK(os::WriteFileDurably(dir_ / name, content));
    return dir_ / name;
  }
  std::string PrefixOf(const SignaturePolicy& policy, const std::string& name) {
    const Reference reference = Name(name);
    const SignatureRule* rule =
        policy.Find(reference.registry, reference.repository);
    return rule == nullptr ? "" : rule->prefix;
  }
  TempDir dir_;
};

TEST_F(PolicyTest, WhenSeveralPrefixesFit_TheLongestWinsByWholeParts) {
  const std::string key = Key("k.pub", team_.PublicPem());
  ASSERT_OK_AND_ASSIGN(
      const SignaturePolicy policy,
      SignaturePolicy::Parse(
          {"*=" + key, "r.local:5000=" + key, "r.local:5000/team=" + key,
           "r.local:5000/team/free=none", "r.local:5000/team/free/not=" + key,
           "docker.io/library=none"}));
  EXPECT_EQ(PrefixOf(policy, "r.local:5000/team/app:1"), "r.local:5000/team");
  EXPECT_EQ(PrefixOf(policy, "r.local:5000/team:1"), "r.local:5000/team");
  EXPECT_EQ(PrefixOf(policy, "r.local:5000/teams/app:1"), "r.local:5000");
  EXPECT_EQ(PrefixOf(policy, "r.local:5000/team/free:1"), "");
  EXPECT_EQ(PrefixOf(policy, "r.local:5000/team/free/x:1"), "");
  EXPECT_EQ(PrefixOf(policy, "r.local:5000/team/free/not/x:1"),
            "r.local:5000/team/free/not");
  EXPECT_EQ(PrefixOf(policy, "r.local/team/app:1"), "*");
  EXPECT_EQ(PrefixOf(policy, "nginx"), "");
  EXPECT_EQ(PrefixOf(policy, "shop/nginx"), "*");
  ASSERT_NE(policy.Default(), nullptr);
}

TEST_F(PolicyTest, WhenNothingIsRequired_FindsNothing) {
  ASSERT_OK_AND_ASSIGN(const SignaturePolicy policy,
                       SignaturePolicy::Parse({}));
  EXPECT_TRUE(policy.empty());
  EXPECT_EQ(PrefixOf(policy, "nginx"), "");
  EXPECT_EQ(policy.Default(), nullptr);
}

TEST_F(PolicyTest, WhenAPrefixHasSeveralFiles_AnyWillDo) {
  ASSERT_OK_AND_ASSIGN(const SignaturePolicy policy,
                       SignaturePolicy::Parse(
                           {"r.local/a=" + Key("a.pub", team_.PublicPem()),
                            "r.local/a=" + Key("b.pub", other_.PublicPem())}));
  EXPECT_THAT(policy.Find("r.local", "a/b")->keys, SizeIs(2));
}

TEST_F(PolicyTest, WhenAnEntryIsWrong_SaysWhichAndWhy) {
  const std::string key = Key("k.pub", team_.PublicPem());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"r.local", "it has no \"=\""},
      {"=" + key, "not a full prefix"},
      {"nginx=" + key, "not a full prefix"},
      {"team/app=" + key, "not a full prefix"},
      {"r.local/app:1=" + key, "not a full prefix"},
      {"https://r.local=" + key, "not a full prefix"},
      {"r.local/=" + key, "not a full prefix"},
      {"r.local=k.pub", "not an absolute path"},
      {"r.local=/gone/k.pub", "/gone/k.pub"},
      {"r.local=" + Key("bad", "nonsense"), "is not a public key in PEM"},
      {"r.local=" + Key("own", team_.PrivatePem()), "holds a private key"},
      {"r.local=" + Key("p384", Signer("P-384").PublicPem()),
       "is of another kind"}};
  for (const auto& [entry, why] : cases) {
    EXPECT_THAT(SignaturePolicy::Parse({entry}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(entry), HasSubstr(why),
                               HasSubstr("PREFIX=FILE"))))
        << entry;
  }
  EXPECT_THAT(
      SignaturePolicy::Parse({"r.local=none", "r.local=" + key}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("given twice")));
}

class KeptTest : public EvidenceTest {
 protected:
  TempDir dir_;
  KeptSignatures kept_{dir_.path()};
  const Signature app_ = Signed(team_, PayloadOf(kName, kDigest));
  const Signature web_ =
      Signed(team_, PayloadOf("registry.local:5000/team/web", kDigest));
};

TEST_F(KeptTest, WhenKept_IsThereForANextDaemon) {
  ASSERT_OK(kept_.Keep(kDigest, {app_}));
  ASSERT_OK(kept_.Keep(kDigest, {web_}));
  ASSERT_OK(kept_.Keep(kDigest, {app_}));
  const auto found = KeptSignatures(dir_.path()).Get(kDigest);
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].payload, app_.payload);
  EXPECT_EQ(found[0].signature, app_.signature);
  EXPECT_OK(Check(found));
  EXPECT_THAT(kept_.Get(kOtherDigest), IsEmpty());
}

TEST_F(KeptTest, WhenTheFileIsDamaged_CountsAsAbsentAndIsReplaced) {
  ASSERT_OK(kept_.Keep(kDigest, {app_}));
  const std::string path =
      absl::StrCat(dir_.path(), "/signatures/", HexOf(kDigest), ".json");
  for (const char* text :
       {"", "{", "[]", "{\"version\":9}",
        R"({"version":1,"signatures":[1,{"payload":"%"}]})"}) {
    ASSERT_OK(os::WriteFileDurably(path, text));
    EXPECT_THAT(kept_.Get(kDigest), IsEmpty()) << text;
  }
  ASSERT_OK(kept_.Keep(kDigest, {app_}));
  EXPECT_OK(Check(kept_.Get(kDigest)));
}

TEST_F(KeptTest, WhenManyAreKept_TheFileStaysSmall) {
  std::vector<Signature> many(20, app_);
  const auto large =
      std::make_shared<SignedIndex>(std::vector{std::string(1 << 20, 'x')});
  for (Signature& s : many) s.index = large;
  ASSERT_OK(kept_.Keep(kDigest, many));
  EXPECT_THAT(kept_.Get(kDigest), SizeIs(::testing::Lt(9)));
}

TEST_F(KeptTest, WhenSwept_OnlyOldOnesOfAbsentImagesGo) {
  ASSERT_OK(kept_.Keep(kDigest, {app_}));
  ASSERT_OK(kept_.Keep(kOtherDigest, {app_}));
  kept_.Sweep({}, absl::Now());
  EXPECT_THAT(kept_.Get(kOtherDigest), SizeIs(1));
  kept_.Sweep({kDigest}, absl::Now() + absl::Hours(2));
  EXPECT_THAT(kept_.Get(kDigest), SizeIs(1));
  EXPECT_THAT(kept_.Get(kOtherDigest), IsEmpty());
}

}  // namespace
}  // namespace bulwark::engine::image
