// Images of several platforms between us, Debian's docker-registry and skopeo:
// what comes out is what went in, byte for byte.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/testing/index_builder.h"
#include "os/files.h"
#include "tests/integration/registry_suite.h"

namespace bulwark::engine {
namespace {

using ::bulwark::testing::IsOkAndHolds;
using ::bulwark::testing::RunToEnd;
using ::bulwark::testing::StatusIs;
using image::testing::IndexBuilder;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class RealIndexTest : public RegistrySuite {
 protected:
  void Load(const std::string& archive) {
    const std::string path = dir_ / "index.tar";
    ASSERT_OK(os::WriteFileDurably(path, archive));
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_OK(images_->Load(fd.get(), nullptr));
  }
  absl::StatusOr<Image> PullAll(const std::string& reference) {
    PullRequest request;
    request.reference = reference;
    request.all_platforms = true;
    return images_->Pull(request, nullptr);
  }
  absl::StatusOr<std::string> PushAll(const std::string& reference,
                                      const std::string& target) {
    PushRequest request;
    request.reference = reference;
    request.target = target;
    request.all_platforms = true;
    return images_->Push(request, nullptr);
  }
  // What skopeo says that the registry has under the name.
  static std::string Raw(const std::string& name) {
    const std::string command =
        "skopeo inspect --raw --tls-verify=false docker://" + name;
    FILE* pipe = popen(command.c_str(), "r");
    std::string text;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) {
      text.append(buffer, n);
    }
    EXPECT_EQ(pclose(pipe), 0) << command;
    return text;
  }
  static int CopyAll(const std::string& from, const std::string& to) {
    return RunToEnd({"skopeo", "--insecure-policy", "copy", "--all", "-q",
                     "--preserve-digests", "--src-tls-verify=false",
                     "--dest-tls-verify=false", from, to});
  }
};

IndexBuilder Several() {
  IndexBuilder index;
  index.Image("amd64", std::string(200'000, 'a'));
  index.Image("arm64", std::string(100'000, 'b'));
  index.Image("s390x", "c");
  index.Attestation("made here");
  return index;
}

TEST_F(RealIndexTest, WhenItGoesAround_TheIndexIsTheSame) {
  auto registry = Start({});
  const IndexBuilder index = Several();
  Load(index.Layout("app:1"));
  const std::string host = registry->address();
  ASSERT_THAT(PushAll("app:1", host + "/shop/app:1"),
              IsOkAndHolds(index.Digest()));
  EXPECT_EQ(Raw(host + "/shop/app:1"), index.Text());
  // Out of the registry by skopeo with all that it lists, and in again.
  const std::string layout = absl::StrCat("oci:", dir_ / "layout", ":1");
  ASSERT_EQ(CopyAll("docker://" + host + "/shop/app:1", layout), 0);
  ASSERT_EQ(CopyAll(layout, "docker://" + host + "/copied/app:1"), 0);
  EXPECT_EQ(Raw(host + "/copied/app:1"), index.Text());
  ASSERT_OK(images_->Remove("app:1", {}));
  EXPECT_THAT(images_->List(), SizeIs(0));

  // From there to us, and to a repository that has nothing of it.
  const std::string name = host + "/copied/app:1";
  ASSERT_OK(Pull(name));
  EXPECT_THAT(PushAll(name, host + "/mirror/app:1"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("linux/arm64, linux/s390x")));
  ASSERT_OK(PullAll(name));
  EXPECT_THAT(PushAll(name, host + "/mirror/app:1"),
              IsOkAndHolds(index.Digest()));
  EXPECT_EQ(Raw(host + "/mirror/app:1"), index.Text());
  EXPECT_EQ(CopyAll("docker://" + host + "/mirror/app:1",
                    absl::StrCat("dir:", dir_ / "mirrored")),
            0);
}

TEST_F(RealIndexTest, WhenItIsSaved_SkopeoTakesAllOfIt) {
  auto registry = Start({});
  const IndexBuilder index = Several();
  const std::string host = registry->address();
  Load(index.Layout("app:1"));
  for (const ImageFormat format : {ImageFormat::kOci, ImageFormat::kDocker}) {
    const std::string path = dir_ / "saved.tar";
    SaveRequest request;
    request.references = {"app:1"};
    request.format = format;
    request.all_platforms = true;
    const UniqueFd fd(
        open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_OK(images_->Save(request, fd.get(), nullptr));
    const std::string there =
        absl::StrCat(host, "/saved/app:", static_cast<int>(format));
    ASSERT_EQ(CopyAll("oci-archive:" + path, "docker://" + there), 0);
    EXPECT_EQ(Raw(there), index.Text());
  }
}

TEST_F(RealIndexTest, WhenDockersListComesFromSkopeo_ItStaysDockers) {
  auto registry = Start({});
  const IndexBuilder index = Several();
  const std::string host = registry->address();
  Load(index.Layout("app:1"));
  ASSERT_OK(PushAll("app:1", host + "/shop/app:1"));
  // Without attestations, which have no form there.
  IndexBuilder images;
  images.Image("amd64", "a").Image("arm64", "b");
  Load(images.Layout("two:1"));
  ASSERT_OK(PushAll("two:1", host + "/shop/two:1"));
  ASSERT_EQ(
      RunToEnd({"skopeo", "--insecure-policy", "copy", "--all", "-q",
                "--format", "v2s2", "--src-tls-verify=false",
                "--dest-tls-verify=false", "docker://" + host + "/shop/two:1",
                "docker://" + host + "/docker/two:1"}),
      0);
  const std::string list = Raw(host + "/docker/two:1");
  EXPECT_THAT(list, HasSubstr(image::kDockerList));
  ASSERT_OK(PullAll(host + "/docker/two:1"));
  ASSERT_OK(PushAll(host + "/docker/two:1", host + "/back/two:1"));
  EXPECT_EQ(Raw(host + "/back/two:1"), list);
}

}  // namespace
}  // namespace bulwark::engine
