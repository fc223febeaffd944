// ctl pull and push through the real daemon, with a registry that is slow,
// breaks off, refuses, and lies: the right message and exit code, nothing left,
// and the next try works.
#include <signal.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "engine/image/testing/tar_builder.h"
#include "engine/registry/testing/fake_registry.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using engine::image::DigestOf;
using engine::image::testing::TarBuilder;
using engine::registry::testing::FakeRegistry;
using engine::registry::testing::RegistryFaults;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int64_t kMiB = 1 << 20;
// What the daemon is told; a second is short for two busy processors.
constexpr char kStallSeconds[] = "4";
constexpr char kMinRate[] = "4096";

std::string Noise(size_t size, uint64_t seed) {
  SeededEntropy entropy(seed);
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(256 * entropy.Fraction());
  return noise;
}

class RegistryFaultsTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2ereg");
    world().StopDaemon();
    world().StartDaemon({"--registry-stall-timeout", kStallSeconds,
                         "--registry-min-rate", kMinRate});
    registry_ = new FakeRegistry();
  }
  static void TearDownTestSuite() {
    Close();
    delete registry_;
    registry_ = nullptr;
  }
  void SetUp() override {
    Suite::SetUp();
    registry_->SetFaults({});
    repository_ = absl::StrCat("r", ++tests_);
    Ctl({"system", "prune"});
    before_ = Blobs();
  }
  void TearDown() override {
    EXPECT_THAT(Ingested(), IsEmpty());
    registry_->SetFaults({});
  }

  // "127.0.0.1:PORT/REPOSITORY:1", of this test unless another is named.
  std::string Name(const std::string& repository = "") const {
    return absl::StrCat(registry_->address(), "/",
                        repository.empty() ? repository_ : repository, ":1");
  }

  // Puts an image of one layer, which is no other test's, into the registry.
  void Publish() { PublishFile(Noise(3 * kMiB, tests_)); }
  void PublishFile(const std::string& content) {
    const std::string layer = TarBuilder().File("noise", content).Build();
    layer_ = DigestOf(layer);
    layer_size_ = static_cast<int64_t>(layer.size());
    const std::string config =
        nlohmann::json{{"os", "linux"},
                       {"architecture", "amd64"},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", {layer_}}}}}
            .dump();
    engine::image::Manifest manifest;
    manifest.config = {engine::image::kOciConfig, DigestOf(config),
                       static_cast<int64_t>(config.size())};
    manifest.layers = {{engine::image::kOciLayer, layer_, layer_size_}};
    registry_->PutBlob(repository_, layer);
    registry_->PutBlob(repository_, config);
    registry_->PutManifest(repository_, "1",
                           engine::image::FormatManifest(manifest),
                           engine::image::kOciManifest);
  }
  // Has an image of one such layer here, with a name at the registry.
  void Import(size_t size = 3 * kMiB) {
    const std::string layer =
        TarBuilder().File("noise", Noise(size, tests_)).Build();
    WriteFile(world().Path("noise.tar"), layer);
    Ctl({"import", "-q", world().Path("noise.tar"), Name()});
  }

  Result Pull() { return world().Ctl({"pull", Name()}); }
  Result Push() { return world().Ctl({"push", Name()}); }

  // It fails with these words, once; nothing of it stays, and the next works.
  void ExpectPullFails(const RegistryFaults& faults,
                       const std::vector<std::string>& says) {
    registry_->SetFaults(faults);
    const Result result = Pull();
    EXPECT_EQ(result.code, 1) << result.ToString();
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("error: pull " + Name() + ": "));
    for (const std::string& words : says) {
      EXPECT_THAT(result.err, HasSubstr(words));
    }
    ExpectNothingStays();
    ExpectPullWorks({});
  }
  void ExpectPullWorks(const RegistryFaults& faults) {
    registry_->SetFaults(faults);
    const Result result = Pull();
    EXPECT_EQ(result.code, 0) << result.ToString();
    EXPECT_THAT(result.out, HasSubstr("sha256:"));
    Ctl({"rmi", Name()});
    ExpectNothingStays();
  }
  void ExpectPushFails(const RegistryFaults& faults,
                       const std::vector<std::string>& says) {
    registry_->SetFaults(faults);
    const Result result = Push();
    EXPECT_EQ(result.code, 1) << result.ToString();
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("error: push " + Name() + ": "));
    for (const std::string& words : says) {
      EXPECT_THAT(result.err, HasSubstr(words));
    }
    EXPECT_EQ(registry_->Manifest(repository_, "1"), "");
    ExpectPushWorks({});
  }
  // The registry has all of the image then.
  void ExpectPushWorks(const RegistryFaults& faults) {
    registry_->SetFaults(faults);
    const Result result = Push();
    EXPECT_EQ(result.code, 0) << result.ToString();
    const std::string manifest = registry_->Manifest(repository_, "1");
    EXPECT_THAT(result.out, HasSubstr(DigestOf(manifest)));
    const auto parsed = engine::image::ParseManifest(manifest);
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    ASSERT_EQ(parsed->layers.size(), 1u);
    EXPECT_TRUE(registry_->HasBlob(repository_, parsed->layers[0].digest));
    EXPECT_TRUE(registry_->HasBlob(repository_, parsed->config.digest));
  }

  // What requests for a part of the layer asked for.
  std::vector<std::string> Ranges() const {
    std::vector<std::string> ranges;
    for (const auto& request : registry_->server().requests()) {
      const auto range = request.headers.find("range");
      if (range == request.headers.end()) continue;
      if (request.path.ends_with(layer_)) ranges.push_back(range->second);
    }
    return ranges;
  }

  // Neither what was on its way, nor what a prune cannot see.
  void ExpectNothingStays() {
    EXPECT_THAT(Ingested(), IsEmpty());
    EXPECT_THAT(Ctl({"images", "-q"}).out, Not(HasSubstr(repository_ + ":")));
    Ctl({"system", "prune"});
    EXPECT_EQ(Blobs(), before_);
  }
  static std::set<std::string> FilesOf(const std::string& directory) {
    std::set<std::string> files;
    std::error_code error;
    for (const auto& entry :
         fs::directory_iterator(world().Path("s/images/" + directory), error)) {
      files.insert(entry.path().filename());
    }
    return files;
  }
  static std::set<std::string> Ingested() { return FilesOf("ingest"); }
  static std::set<std::string> Blobs() { return FilesOf("blobs/sha256"); }

  static FakeRegistry* registry_;
  static int tests_;
  std::string repository_, layer_;
  int64_t layer_size_ = 0;
  std::set<std::string> before_;
};

FakeRegistry* RegistryFaultsTest::registry_ = nullptr;
int RegistryFaultsTest::tests_ = 0;

// Pulls.

TEST_F(RegistryFaultsTest, WhenALayerTrickles_ShowsItsRateAndEnds) {
  Publish();
  RegistryFaults faults;
  faults.pace = 1024;
  registry_->SetFaults(faults);
  Terminal pull(CtlCommand(world(), {"pull", Name()}), 24, 120);
  EXPECT_TRUE(pull.Await(" / 3.2 MB")) << pull.screen();
  EXPECT_TRUE(pull.Await("/s  ")) << pull.screen();
  EXPECT_EQ(pull.Wait(), 1);
  EXPECT_THAT(pull.screen(),
              AllOf(HasSubstr("error: pull " + Name()),
                    HasSubstr(" bytes a second over "),
                    HasSubstr(absl::StrCat("less than ", kMinRate)),
                    HasSubstr("registry-min-rate")));
  ExpectNothingStays();
  ExpectPullWorks({});
}

TEST_F(RegistryFaultsTest, WhenCtlEnds_SoDoesThePull) {
  Publish();
  RegistryFaults faults;
  faults.pace = 20'000;
  registry_->SetFaults(faults);
  for (const auto& [signal, code] :
       {std::pair{SIGINT, 130}, std::pair{SIGKILL, 128 + SIGKILL}}) {
    Session pull(world(), {"pull", Name()});
    EXPECT_TRUE(pull.AwaitErr("downloading")) << pull.ToString();
    EXPECT_TRUE(Eventually([] { return !Ingested().empty(); }));
    pull.Signal(signal);
    EXPECT_EQ(pull.Wait(), code) << pull.ToString();
    EXPECT_TRUE(
        Eventually([] { return Ingested().empty(); }, absl::Seconds(10)));
  }
  ExpectNothingStays();
  ExpectPullWorks({});
}

TEST_F(RegistryFaultsTest, WhenALayerIsReset_TheRestFollows) {
  Publish();
  RegistryFaults faults;
  faults.resets = 3;
  faults.reset_after = 700'000;
  ExpectPullWorks(faults);
  EXPECT_THAT(Ranges(),
              ::testing::ElementsAre("bytes=700000-", "bytes=1400000-",
                                     "bytes=2100000-"));
}

TEST_F(RegistryFaultsTest, WhenALayerIsResetAndThereAreNoRanges_ItComesAnew) {
  Publish();
  RegistryFaults faults;
  faults.resets = 2;
  faults.reset_after = 700'000;
  faults.no_ranges = true;
  ExpectPullWorks(faults);
}

TEST_F(RegistryFaultsTest, WhenALayerIsAlwaysReset_SaysHowOftenItTried) {
  Publish();
  RegistryFaults faults;
  faults.resets = 1000;
  faults.reset_after = 100;
  ExpectPullFails(faults,
                  {"read http://" + registry_->address(), "(tried 5 times)"});
}

TEST_F(RegistryFaultsTest, WhenAStormPasses_ThePullWorks) {
  Publish();
  RegistryFaults faults;
  faults.errors_each = 2;
  faults.error_status = 502;
  ExpectPullWorks(faults);
}

TEST_F(RegistryFaultsTest, WhenAStormStays_SaysSo) {
  Publish();
  RegistryFaults faults;
  faults.errors_each = 1000;
  ExpectPullFails(faults, {"answers with 503"});
}

TEST_F(RegistryFaultsTest, WhenTheRegistryIsBusy_WaitsAsLongAsItSays) {
  Publish();
  RegistryFaults faults;
  faults.errors_each = 1;
  faults.error_status = 429;
  faults.retry_after = "1";
  const absl::Time begin = WallNow();
  ExpectPullWorks(faults);
  // The registry itself, the manifest, the configuration and the layer.
  EXPECT_GE(WallNow() - begin, absl::Seconds(3));
}

TEST_F(RegistryFaultsTest, WhenALayerIsTooShort_SaysBothLengths) {
  Publish();
  RegistryFaults faults;
  faults.excess = -1000;
  ExpectPullFails(faults, {absl::StrCat("fetch ", layer_), " bytes instead of ",
                           absl::StrCat(layer_size_)});
}

TEST_F(RegistryFaultsTest, WhenALayerIsTooLongOrEndless_StopsWhereItShould) {
  Publish();
  RegistryFaults longer, endless;
  longer.excess = 1000;
  endless.endless = true;
  for (const RegistryFaults& faults : {longer, endless}) {
    ExpectPullFails(
        faults, {absl::StrCat("sends more than the ", layer_size_, " bytes")});
  }
}

TEST_F(RegistryFaultsTest, WhenALayerIsAnother_NamesBothDigests) {
  Publish();
  RegistryFaults faults;
  faults.lies = true;
  ExpectPullFails(
      faults, {"content does not match: expected " + layer_, ", got sha256:"});
}

TEST_F(RegistryFaultsTest, WhenALayerRedirectsToItself_SaysSo) {
  Publish();
  RegistryFaults faults;
  faults.circles = true;
  ExpectPullFails(faults, {"redirects in circles"});
}

// As some are by connection: several fetch it then, if there are ranges.
TEST_F(RegistryFaultsTest, WhenALargeLayerComesSlowly_SeveralConnectionsHelp) {
  std::string content;
  const std::string noise = Noise(kMiB, tests_);
  for (int i = 0; i < 64; ++i) content += noise;
  PublishFile(content);
  RegistryFaults faults;
  faults.pace = 12 * kMiB;
  faults.no_ranges = true;
  ExpectPullWorks(faults);
  EXPECT_LE(Ranges().size(), 3u);  // each helper has tried it
  faults.no_ranges = false;
  ExpectPullWorks(faults);
  int parts = 0;  // for helpers: the download asks for all that follows
  for (const std::string& range : Ranges()) parts += range.back() != '-';
  EXPECT_GT(parts, 3 + 3);
}

// Pushes.

TEST_F(RegistryFaultsTest, WhenAnUploadIsReset_TheRestFollows) {
  Import();
  RegistryFaults faults;
  faults.cuts = 2;
  faults.cut_after = kMiB;
  const int64_t before = registry_->UploadedBytes();
  ExpectPushWorks(faults);
  const auto manifest =
      engine::image::ParseManifest(registry_->Manifest(repository_, "1"));
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(registry_->UploadedBytes() - before,  // nothing twice
            manifest->config.size + manifest->layers.at(0).size);
}

TEST_F(RegistryFaultsTest, WhenAResetUploadIsForgotten_ItBeginsAnew) {
  Import();
  RegistryFaults faults;
  faults.cuts = 2;
  faults.cut_after = kMiB;
  faults.forgets = true;
  ExpectPushWorks(faults);
}

TEST_F(RegistryFaultsTest, WhenTheEndOfAnUploadFails_ItIsAskedAgain) {
  Import();
  RegistryFaults faults;
  faults.end_errors = 2;
  ExpectPushWorks(faults);
}

TEST_F(RegistryFaultsTest, WhenTheEndAlwaysFails_SaysHowOftenItTried) {
  Import();
  RegistryFaults faults;
  faults.end_errors = 1000;
  ExpectPushFails(faults,
                  {"push sha256:", "answers with 502", "(tried 5 times)"});
}

TEST_F(RegistryFaultsTest, WhenAStormPasses_ThePushWorks) {
  Import();
  RegistryFaults faults;
  faults.errors_each = 2;
  faults.error_status = 502;
  ExpectPushWorks(faults);
}

TEST_F(RegistryFaultsTest, WhenTheTokenEndsInTheMidst_AnotherIsFetched) {
  Import();
  RegistryFaults faults;
  faults.token_uses = 4;  // more than the other blob's requests
  faults.cuts = 2;
  faults.cut_after = kMiB;
  const int before = registry_->Count("GET", "/token");
  ExpectPushWorks(faults);
  EXPECT_GE(registry_->Count("GET", "/token") - before, 3);
}

TEST_F(RegistryFaultsTest, WhenAMountIsRefused_TheLayerIsSent) {
  Import();
  const int64_t before = registry_->UploadedBytes();
  ExpectPushWorks({});
  const int64_t size = registry_->UploadedBytes() - before;
  for (const int status : {0, 403}) {
    RegistryFaults faults;
    faults.mount_refusal = status;
    faults.no_mounts = true;
    registry_->SetFaults(faults);
    const std::string there = absl::StrCat("there", status);
    const Result pushed = Ctl({"push", Name(), Name(there)});
    EXPECT_THAT(pushed.err, Not(HasSubstr("mounted")));
    EXPECT_EQ(registry_->Manifest(there, "1"),
              registry_->Manifest(repository_, "1"));
  }
  EXPECT_EQ(registry_->UploadedBytes(), before + 3 * size);
  // As it is without the fault.
  registry_->SetFaults({});
  EXPECT_THAT(Ctl({"push", Name(), Name("mounts")}).err, HasSubstr("mounted"));
  EXPECT_LT(registry_->UploadedBytes(), before + 3 * size + kMiB);
}

// As token services do that know no rights on the other repository.
TEST_F(RegistryFaultsTest, WhenNoTokenIsGivenForAMount_TheLayerIsSent) {
  Import();
  RegistryFaults faults;
  faults.token_uses = 1000;
  faults.narrow_tokens = true;
  ExpectPushWorks(faults);
  const Result pushed = Ctl({"push", Name(), Name("narrow")});
  EXPECT_THAT(pushed.err, Not(HasSubstr("mounted")));
  EXPECT_EQ(registry_->Manifest("narrow", "1"),
            registry_->Manifest(repository_, "1"));
}

TEST_F(RegistryFaultsTest, WhenALayerIsTakenSlowly_EndsAndSaysSo) {
  Import(24 * kMiB);  // more than the kernel takes in advance
  RegistryFaults faults;
  faults.pace = 1024;
  ExpectPushFails(faults, {"send to http://", "registry-"});
}

}  // namespace
}  // namespace bulwark::e2e
