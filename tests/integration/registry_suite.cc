#include "tests/integration/registry_suite.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"
#include "engine/image/testing/tar_builder.h"
#include "os/files.h"

namespace bulwark::engine {

using image::Json;
using testing::RealRegistry;

void RegistrySuite::SetUp() {
  if (!RealRegistry::IsInstalled()) GTEST_SKIP() << "no docker-registry";
  LocalImagesConfig config;
  config.state_dir = dir_ / "state";
  config.clock = &clock_;
  config.entropy = &entropy_;
  config.certificate_dirs = {dir_ / "certs.d"};
  auto opened = LocalImages::Open(std::move(config));
  ASSERT_OK(opened);
  images_ = *std::move(opened);
}

std::unique_ptr<RealRegistry> RegistrySuite::Start(
    const RealRegistry::Options& options) {
  const std::string dir = dir_ / absl::StrCat("registry", registries_++);
  EXPECT_OK(os::MakeDirs(dir, 0700));
  auto registry = std::make_unique<RealRegistry>(dir, clock_, options);
  registry->Start();
  return registry;
}

std::string RegistrySuite::WriteArchive(
    const std::string& name, const std::vector<std::string>& layers) {
  Json ids = Json::array();
  Json names = Json::array();
  image::testing::TarBuilder tar;
  for (const std::string& layer : layers) {
    const std::string file =
        absl::StrCat(image::HexOf(image::DigestOf(layer)), "/layer.tar");
    tar.File(file, layer);
    names.push_back(file);
    ids.push_back(image::DigestOf(layer));
  }
  tar.File(
      "config.json",
      image::Dump(Json{{"os", "linux"},
                       {"architecture", "amd64"},
                       {"config", {{"Cmd", {"/bin/app"}}}},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", ids}}}}));
  Json entry = {{"Config", "config.json"}, {"Layers", names}};
  if (!name.empty()) entry["RepoTags"] = {name};
  tar.File("manifest.json", image::Dump(Json::array({entry})));
  std::string path = dir_ / "archive.tar";
  EXPECT_OK(os::WriteFileDurably(path, tar.Build()));
  return path;
}

absl::StatusOr<Image> RegistrySuite::Pull(const std::string& reference,
                                          std::optional<RegistryAuth> auth,
                                          bool always) {
  PullRequest request;
  request.reference = reference;
  request.platform = "linux/amd64";
  request.auth = std::move(auth);
  request.always = always;
  return images_->Pull(request, nullptr);
}

}  // namespace bulwark::engine
