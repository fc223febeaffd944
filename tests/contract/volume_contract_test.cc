#include "tests/contract/volume_contract.h"

#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>

#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "os/mounts.h"
#include "volumes/fake/fake_volumes.h"
#include "volumes/image/image_volumes.h"
#include "volumes/local/local_volumes.h"
#include "volumes/router/routed_volumes.h"
#include "volumes/tmpfs/tmpfs_volumes.h"

namespace bulwark::volumes {
namespace {

class PrivateMounts final : public ::testing::Environment {
 public:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0) << "this test needs root";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};
const auto* const kPrivate =
    ::testing::AddGlobalTestEnvironment(new PrivateMounts);

struct FakeWorld final : VolumeWorld {
  Volumes& volumes() override { return fake; }
  void Write(const VolumeInfo& volume, const std::string& text) override {
    fake.Write(volume.id, text);
  }
  std::string Read(const VolumeInfo& volume) override {
    return fake.Read(volume.id);
  }
  void Fill(const std::string& id, const ContentView&,
            const std::string& text) override {
    fake.FillStage(id, text);
  }
  void Restart() override {}

  FakeVolumes fake;
};

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  EXPECT_TRUE(file.good()) << path;
}

// The three drivers behind the router.
struct RealWorld final : VolumeWorld {
  explicit RealWorld(Driver which) {
    driver = which;
    Restart();
  }
  ~RealWorld() override { EXPECT_OK(os::UnmountBelow(dir.path())); }

  Volumes& volumes() override { return *router; }
  void Write(const VolumeInfo& volume, const std::string& text) override {
    WriteFile(volume.path + "/file", text);
  }
  std::string Read(const VolumeInfo& volume) override {
    std::ifstream file(volume.path + "/file");
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void Fill(const std::string&, const ContentView& stage,
            const std::string& text) override {
    WriteFile(stage.parent() + "/" + kContentName + "/file", text);
  }
  void Restart() override {
    local.emplace(dir.path());
    // As in the daemon, the mounts are not among the directories.
    std::filesystem::create_directory(dir / "r");
    image.emplace(dir.path(), dir / "r");
    tmpfs.emplace(dir / "r");
    EXPECT_OK(local->Open());
    EXPECT_OK(image->Open());
    EXPECT_OK(tmpfs->Open());
    router.emplace(*local, *image, *tmpfs);
  }

  testing::TempDir dir;
  std::optional<LocalVolumes> local;
  std::optional<ImageVolumes> image;
  std::optional<TmpfsVolumes> tmpfs;
  std::optional<RoutedVolumes> router;
};

template <Driver kDriver>
std::shared_ptr<VolumeWorld> Real() {
  return std::make_shared<RealWorld>(kDriver);
}

template <Driver kDriver>
std::shared_ptr<VolumeWorld> Fake() {
  auto world = std::make_shared<FakeWorld>();
  world->driver = kDriver;
  return world;
}

INSTANTIATE_TEST_SUITE_P(Fake, VolumeContract,
                         ::testing::Values(Fake<Driver::kLocal>));
INSTANTIATE_TEST_SUITE_P(FakeTmpfs, VolumeContract,
                         ::testing::Values(Fake<Driver::kTmpfs>));
INSTANTIATE_TEST_SUITE_P(Local, VolumeContract,
                         ::testing::Values(Real<Driver::kLocal>));
INSTANTIATE_TEST_SUITE_P(Image, VolumeContract,
                         ::testing::Values(Real<Driver::kImage>));
INSTANTIATE_TEST_SUITE_P(Tmpfs, VolumeContract,
                         ::testing::Values(Real<Driver::kTmpfs>));

}  // namespace
}  // namespace bulwark::volumes
