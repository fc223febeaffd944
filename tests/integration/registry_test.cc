// Pulls from Debian's docker-registry what skopeo pushed to it.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"
#include "tests/integration/registry_suite.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::RealRegistry;
using ::bulwark::testing::RunToEnd;
using ::bulwark::testing::StatusIs;
using image::testing::TarBuilder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class RegistryTest : public RegistrySuite {
 protected:
  void SetUp() override {
    RegistrySuite::SetUp();
    if (images_ != nullptr) registry_ = Start({});
  }

  // Pushes an image of these layers as `name`.
  void Push(const std::string& name, const std::vector<std::string>& layers) {
    ASSERT_EQ(RunToEnd({"skopeo", "--insecure-policy", "copy", "-q",
                        "--dest-tls-verify=false",
                        "docker-archive:" + WriteArchive("", layers),
                        absl::StrCat("docker://", Name(name))}),
              0);
  }

  std::string Name(const std::string& name) const {
    return absl::StrCat(registry_->address(), "/", name);
  }

  absl::StatusOr<Image> Pull(const std::string& reference,
                             bool always = false) {
    return RegistrySuite::Pull(reference, {}, always);
  }

  std::unique_ptr<RealRegistry> registry_;
};

std::string Layer(const std::string& file, const std::string& contents) {
  return TarBuilder().Dir("etc").File("etc/" + file, contents).Build();
}

TEST_F(RegistryTest, WhenImageWasPushed_PullUnpacksItsLayers) {
  std::vector<std::string> layers;
  for (int i = 0; i < 6; ++i) {
    layers.push_back(
        Layer(absl::StrCat("f", i), std::string(300'000, 'a' + i)));
  }
  Push("shop/web:1.4", layers);

  ASSERT_OK_AND_ASSIGN(Image image, Pull(Name("shop/web:1.4")));

  EXPECT_THAT(image.references, ElementsAre(Name("shop/web:1.4")));
  EXPECT_THAT(image.config.command, ElementsAre("/bin/app"));
  ASSERT_THAT(image.layers, SizeIs(6));
  for (int i = 0; i < 6; ++i) {
    EXPECT_THAT(
        os::ReadFile(absl::StrCat(image.layers[i], "/etc/f", i), 1 << 20),
        IsOkAndHolds(std::string(300'000, 'a' + i)));
  }
  EXPECT_THAT(os::ListDir(dir_ / "state/ingest"),
              IsOkAndHolds(::testing::IsEmpty()));
}

TEST_F(RegistryTest, WhenPresent_PullNeedsNoRegistryUnlessAlways) {
  Push("app:1", {Layer("a", "1")});
  ASSERT_OK_AND_ASSIGN(Image image, Pull(Name("app:1")));
  registry_->Stop();
  ASSERT_OK_AND_ASSIGN(Image again, Pull(Name("app:1")));
  EXPECT_EQ(again.digest, image.digest);
  EXPECT_THAT(
      Pull(Name("app:1"), /*always=*/true),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("pull 127.0.0.1"), HasSubstr("refused"))));
}

TEST_F(RegistryTest, WhenTagMoves_AlwaysFetchesTheNewImage) {
  Push("app:1", {Layer("a", "1")});
  ASSERT_OK_AND_ASSIGN(Image old, Pull(Name("app:1")));
  Push("app:1", {Layer("a", "2")});
  ASSERT_OK_AND_ASSIGN(Image same, Pull(Name("app:1")));
  EXPECT_EQ(same.digest, old.digest);
  ASSERT_OK_AND_ASSIGN(Image fresh, Pull(Name("app:1"), /*always=*/true));
  EXPECT_NE(fresh.digest, old.digest);
  EXPECT_THAT(images_->Get(Name("app:1"))->digest, fresh.digest);
}

TEST_F(RegistryTest, WhenAskedByDigest_PullsExactlyThat) {
  Push("app:1", {Layer("a", "1")});
  ASSERT_OK_AND_ASSIGN(Image image, Pull(Name("app:1")));
  ASSERT_OK(images_->Remove(Name("app:1"), {}));
  ASSERT_OK_AND_ASSIGN(Image exact,
                       Pull(absl::StrCat(Name("app"), "@", image.digest)));
  EXPECT_EQ(exact.digest, image.digest);
}

TEST_F(RegistryTest, WhenTagIsUnknown_IsNotFound) {
  Push("app:1", {Layer("a", "1")});
  EXPECT_THAT(Pull(Name("app:2")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Pull(Name("none:1")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(RegistryTest, WhenPlatformDiffers_ListsWhatThereIs) {
  Push("app:1", {Layer("a", "1")});
  PullRequest request;
  request.reference = Name("app:1");
  request.platform = "linux/s390x";
  EXPECT_THAT(images_->Pull(request, nullptr),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("available: linux/amd64")));
}

}  // namespace
}  // namespace bulwark::engine
