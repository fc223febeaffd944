#include "tests/contract/volume_contract.h"

#include <memory>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "volumes/fake/fake_volumes.h"
#include "volumes/local/local_volumes.h"

namespace bulwark::volumes {
namespace {

struct LocalWorld {
  testing::TempDir dir;
  LocalVolumes volumes{dir.path()};
};

INSTANTIATE_TEST_SUITE_P(Fake, VolumeContract, ::testing::Values([] {
                           return std::make_shared<FakeVolumes>();
                         }));
INSTANTIATE_TEST_SUITE_P(Local, VolumeContract, ::testing::Values([] {
                           auto world = std::make_shared<LocalWorld>();
                           EXPECT_OK(world->volumes.Open());
                           return std::shared_ptr<Volumes>(world,
                                                           &world->volumes);
                         }));

}  // namespace
}  // namespace bulwark::volumes
