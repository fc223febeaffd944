// What every implementation of volumes::Volumes does, as a test suite.
#ifndef TESTS_CONTRACT_VOLUME_CONTRACT_H_
#define TESTS_CONTRACT_VOLUME_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "volumes/volume.h"

namespace bulwark::volumes {

// The factory gives an implementation without volumes, ready for use.
class VolumeContract : public ::testing::TestWithParam<
                           std::function<std::shared_ptr<Volumes>()>> {
 protected:
  std::shared_ptr<Volumes> volumes_ = GetParam()();
};

}  // namespace bulwark::volumes

#endif  // TESTS_CONTRACT_VOLUME_CONTRACT_H_
