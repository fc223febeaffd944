// Pushes to Debian's docker-registry what skopeo then takes from it, and back:
// with passwords, certificates, pieces, and a registry that is killed.
#include <fcntl.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"
#include "tests/integration/registry_suite.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::RealRegistry;
using ::bulwark::testing::RunToEnd;
using ::bulwark::testing::StatusIs;
using image::testing::TarBuilder;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class PushTest : public RegistrySuite {
 protected:
  // An image of these layers' files, with this name in the store.
  void Load(const std::string& name, const std::vector<std::string>& contents) {
    std::vector<std::string> layers;
    for (const std::string& content : contents) {
      const std::string file = absl::StrCat("f", layers.size());
      layers.push_back(TarBuilder().File(file, content).Build());
    }
    const std::string path = WriteArchive(name, layers);
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_OK(images_->Load(fd.get(), nullptr));
  }

  absl::StatusOr<std::string> Push(const std::string& name,
                                   const std::string& target,
                                   std::optional<RegistryAuth> auth = {},
                                   ImageFormat format = ImageFormat::kStored) {
    PushRequest request;
    request.reference = name;
    request.target = target;
    request.auth = std::move(auth);
    request.format = format;
    statuses_.clear();
    return images_->Push(request, [this](const Progress& progress) {
      statuses_.push_back(progress.status);
      return on_progress_ == nullptr || on_progress_(progress);
    });
  }

  // What `certs.d` is to have for the registry.
  void Trust(const RealRegistry& registry, bool client) {
    const std::string dir = dir_ / ("certs.d/" + registry.address());
    ASSERT_OK(os::MakeDirs(dir, 0700));
    const auto copy = [&](const std::string& from, const std::string& name) {
      absl::StatusOr<std::string> text = os::ReadFile(from, 1 << 20);
      ASSERT_OK(text);
      ASSERT_OK(os::WriteFileDurably(dir + "/" + name, *text));
    };
    copy(registry.authority(), "ca.crt");
    if (!client) return;
    copy(registry.client_certificate(), "client.cert");
    copy(registry.client_key(), "client.key");
  }

  static RegistryAuth Password() {
    return {RealRegistry::kUser, SecretText(RealRegistry::kPassword)};
  }

  std::function<bool(const Progress&)> on_progress_;
  std::vector<std::string> statuses_;
};

TEST_F(PushTest, WhenPushed_SkopeoTakesItAndItComesBackTheSame) {
  auto registry = Start({});
  Load("app:1", {std::string(300'000, 'a'), "b"});
  for (const auto& [format, tag] :
       {std::pair{ImageFormat::kStored, "stored"},
        std::pair{ImageFormat::kOci, "oci"},
        std::pair{ImageFormat::kDocker, "docker"}}) {
    const std::string target =
        absl::StrCat(registry->address(), "/shop/app:", tag);
    ASSERT_OK_AND_ASSIGN(const std::string digest,
                         Push("app:1", target, {}, format));
    ASSERT_OK_AND_ASSIGN(const Image back, Pull(target));
    EXPECT_EQ(back.digest, digest);
    EXPECT_EQ(RunToEnd({"skopeo", "inspect", "--tls-verify=false",
                        "docker://" + target}),
              0);
    EXPECT_EQ(RunToEnd({"skopeo", "--insecure-policy", "copy", "-q",
                        "--src-tls-verify=false", "docker://" + target,
                        absl::StrCat("oci:", dir_ / "layout", ":", tag)}),
              0);
  }
  // What skopeo compresses with zstd, and pushes, comes in too.
  const std::string zstd = registry->address() + "/shop/zstd:1";
  ASSERT_EQ(RunToEnd({"skopeo", "--insecure-policy", "copy", "-q",
                      "--dest-tls-verify=false", "--dest-compress-format",
                      "zstd", "--format", "oci",
                      absl::StrCat("oci:", dir_ / "layout", ":oci"),
                      "docker://" + zstd}),
            0);
  ASSERT_OK(Pull(zstd));
  ASSERT_OK(Push(zstd, registry->address() + "/other/zstd:1"));
  EXPECT_THAT(statuses_, Contains("mounted"));
  EXPECT_EQ(RunToEnd({"skopeo", "inspect", "--tls-verify=false",
                      "docker://" + registry->address() + "/other/zstd:1"}),
            0);
  TagsRequest tags;
  tags.repository = registry->address() + "/shop/app";
  EXPECT_THAT(images_->ListTags(tags)->tags,
              ElementsAre("docker", "oci", "stored"));
  tags.limit = 2;
  ASSERT_OK_AND_ASSIGN(const TagsPage first, images_->ListTags(tags));
  EXPECT_TRUE(first.more);
  tags.last = first.tags.back();
  EXPECT_THAT(images_->ListTags(tags)->tags, ElementsAre("stored"));
}

TEST_F(PushTest, WhenTheRegistryWantsAPassword_ItIsGiven) {
  RealRegistry::Options options;
  options.password = true;
  auto registry = Start(options);
  Load("app:1", {"a"});
  const std::string target = registry->address() + "/app:1";
  EXPECT_THAT(Push("app:1", target),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       HasSubstr("ctl login " + registry->address())));
  EXPECT_THAT(Push("app:1", target, RegistryAuth{"user", SecretText("wrong")}),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       HasSubstr("refuses these credentials")));
  EXPECT_THAT(images_->CheckCredentials(registry->address(),
                                        {"user", SecretText("wrong")}),
              StatusIs(absl::StatusCode::kUnauthenticated,
                       AllOf(HasSubstr("refuses these credentials"),
                             Not(HasSubstr("ctl login")))));
  EXPECT_OK(Push("app:1", target, Password()));
  EXPECT_OK(Pull(target, Password()));
  EXPECT_THAT(Pull(target), StatusIs(absl::StatusCode::kUnauthenticated));
}

TEST_F(PushTest, WhenTheRegistryHasItsOwnAuthority_ItsFileIsUsed) {
  RealRegistry::Options options;
  options.tls = true;
  options.password = true;
  auto registry = Start(options);
  Load("app:1", {"a"});
  const std::string target = registry->address() + "/app:1";
  EXPECT_THAT(Push("app:1", target, Password()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("certs.d/HOST:PORT/ca.crt")));
  Trust(*registry, false);
  EXPECT_OK(Push("app:1", target, Password()));
  EXPECT_OK(Pull(target, Password()));
}

TEST_F(PushTest, WhenTheRegistrysCertificateIsNoGood_SaysWhatMendsIt) {
  Load("app:1", {"a"});
  RealRegistry::Options expired, foreign;
  expired.tls = foreign.tls = true;
  expired.expired = true;
  foreign.name = "DNS:registry.example";
  const std::pair<RealRegistry::Options, const char*> cases[] = {
      {expired, "expired; renew"}, {foreign, "name the registry as its"}};
  for (const auto& [options, advice] : cases) {
    auto registry = Start(options);
    Trust(*registry, false);
    EXPECT_THAT(Push("app:1", registry->address() + "/app:1"),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr(advice), Not(HasSubstr("ca.crt")))));
  }
}

TEST_F(PushTest, WhenTheRegistryWantsACertificate_ItIsShown) {
  RealRegistry::Options options;
  options.tls = true;
  options.client_certificate = true;
  auto registry = Start(options);
  Load("app:1", {"a"});
  const std::string target = registry->address() + "/app:1";
  Trust(*registry, false);
  EXPECT_FALSE(Push("app:1", target).ok());
  Trust(*registry, true);
  EXPECT_OK(Push("app:1", target));
  EXPECT_OK(Pull(target));
}

TEST_F(PushTest, WhenTheRegistryIsKilledAndComesBack_ThePushGoesOn) {
  auto registry = Start({});
  std::string large(24 << 20, '\0');
  SeededEntropy noise{5};
  for (size_t i = 0; i < large.size(); i += 8) {
    const double d = noise.Fraction();
    memcpy(&large[i], &d, 8);
  }
  Load("app:1", {large});
  std::atomic<bool> killed{false};
  std::thread restart;
  on_progress_ = [&](const Progress& progress) {
    if (progress.status == "uploading" && progress.current > (12 << 20) &&
        !killed.exchange(true)) {
      registry->Stop();
      restart = std::thread([&registry] { registry->Start(); });
    }
    return true;
  };
  EXPECT_OK(Push("app:1", registry->address() + "/app:1"));
  EXPECT_TRUE(killed);
  if (restart.joinable()) restart.join();
  EXPECT_EQ(RunToEnd({"skopeo", "--insecure-policy", "copy", "-q",
                      "--src-tls-verify=false",
                      "docker://" + registry->address() + "/app:1",
                      absl::StrCat("dir:", dir_ / "copy")}),
            0);
}

}  // namespace
}  // namespace bulwark::engine
