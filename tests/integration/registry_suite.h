// Tests of images against Debian's docker-registry.
#ifndef TESTS_INTEGRATION_REGISTRY_SUITE_H_
#define TESTS_INTEGRATION_REGISTRY_SUITE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/testing/temp_dir.h"
#include "engine/image/local_images.h"
#include "tests/integration/real_registry.h"

namespace bulwark::engine {

// A store of images; registries are started by the tests.
class RegistrySuite : public ::testing::Test {
 protected:
  void SetUp() override;

  // With a directory of its own.
  std::unique_ptr<testing::RealRegistry> Start(
      const testing::RealRegistry::Options& options);

  // Writes a docker-archive of one image, of these tars of layers and, if not
  // empty, with this name; its path.
  std::string WriteArchive(const std::string& name,
                           const std::vector<std::string>& layers);

  absl::StatusOr<Image> Pull(const std::string& reference,
                             std::optional<RegistryAuth> auth = {},
                             bool always = true);

  testing::TempDir dir_;
  RealClock clock_;
  RealEntropy entropy_;
  int registries_ = 0;
  std::unique_ptr<LocalImages> images_;
};

}  // namespace bulwark::engine

#endif  // TESTS_INTEGRATION_REGISTRY_SUITE_H_
