// What every implementation of Images promises about disk space.
#ifndef TESTS_CONTRACT_IMAGES_CONTRACT_H_
#define TESTS_CONTRACT_IMAGES_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "engine/images.h"

namespace bulwark::engine::testing {

// One empty image store, and how images get into it.
class ImagesHarness {
 public:
  virtual ~ImagesHarness() = default;
  virtual Images& images() = 0;
  // An image with content of its own; its digest.
  virtual std::string Add(const std::string& reference) = 0;
  // As Add() and with all platforms, of an index; its digest. If not
  // `for_this_host` it lists an image for another platform only.
  virtual std::string AddIndex(const std::string& reference,
                               bool for_this_host) = 0;
  // A build that leaves steps in the cache and this image.
  virtual void Build(const std::string& reference) = 0;
};

class ImagesContractTest
    : public ::testing::TestWithParam<
          std::function<std::unique_ptr<ImagesHarness>()>> {
 protected:
  ImagesContractTest() : harness_(GetParam()()) {}

  Images& images() { return harness_->images(); }
  ImagesUsage Usage(std::vector<std::string> in_use = {});

  std::unique_ptr<ImagesHarness> harness_;
};

}  // namespace bulwark::engine::testing

#endif  // TESTS_CONTRACT_IMAGES_CONTRACT_H_
