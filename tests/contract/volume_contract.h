// What every implementation of volumes::Volumes does, as a test suite.
#ifndef TESTS_CONTRACT_VOLUME_CONTRACT_H_
#define TESTS_CONTRACT_VOLUME_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "volumes/volume.h"

namespace bulwark::volumes {

// One implementation without volumes, ready for use.
struct VolumeWorld {
  virtual ~VolumeWorld() = default;
  virtual Volumes& volumes() = 0;
  // The content of a volume, as a container would write and read it.
  virtual void Write(const VolumeInfo& volume, const std::string& text) = 0;
  virtual std::string Read(const VolumeInfo& volume) = 0;
  // The content of an open view, or of a stage that began empty.
  virtual void Fill(const std::string& id, const ContentView& stage,
                    const std::string& text) = 0;
  // The daemon dies, and starts again.
  virtual void Restart() = 0;

  Driver driver = Driver::kLocal;
};

class VolumeContract : public ::testing::TestWithParam<
                           std::function<std::shared_ptr<VolumeWorld>()>> {
 protected:
  VolumeSpec Spec(const std::string& id) const {
    return {id, world_->driver, int64_t{32} << 20};
  }
  bool has_snapshots() const { return world_->driver != Driver::kTmpfs; }
  Volumes& volumes() { return world_->volumes(); }

  std::shared_ptr<VolumeWorld> world_ = GetParam()();
};

}  // namespace bulwark::volumes

#endif  // TESTS_CONTRACT_VOLUME_CONTRACT_H_
