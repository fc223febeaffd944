#include "tests/contract/backups_contract.h"

#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "os/mounts.h"
#include "volumes/fake/fake_backups.h"
#include "volumes/restic/restic_backups.h"

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

struct FakeWorld final : BackupsWorld {
  Backups& backups() override { return fake; }
  std::string repository_path() override { return "/backup/repository"; }
  void Lose() override { fake.Lose(repository_path()); }
  void SetRoom(int64_t bytes) override { fake.SetRoom(bytes); }

  FakeBackups fake;
};

// The program restic, and a small disk of its own.
struct ResticWorld final : BackupsWorld {
  ResticWorld() {
    std::filesystem::create_directory(dir / "disk");
    std::filesystem::create_directory(dir / "work");
    EXPECT_OK(os::Mount("none", dir / "disk", "tmpfs", 0, "size=64m"));
  }
  ~ResticWorld() override {
    EXPECT_OK(os::UnmountBelow(dir.path()));
    // What restic did not clean up.
    EXPECT_TRUE(std::filesystem::is_empty(dir / "work"));
  }

  Backups& backups() override { return restic; }
  std::string repository_path() override { return dir / "disk/repository"; }
  void Lose() override { std::filesystem::remove_all(repository_path()); }
  void SetRoom(int64_t bytes) override {
    ASSERT_OK(os::Mount("none", dir / "disk", "tmpfs", MS_REMOUNT,
                        absl::StrCat("size=", bytes)));
  }

  testing::TempDir dir;
  ResticBackups restic{dir / "work"};
};

template <typename World>
std::shared_ptr<BackupsWorld> Make() {
  return std::make_shared<World>();
}

INSTANTIATE_TEST_SUITE_P(Fake, BackupsContract,
                         ::testing::Values(Make<FakeWorld>));
INSTANTIATE_TEST_SUITE_P(Restic, BackupsContract,
                         ::testing::Values(Make<ResticWorld>));

}  // namespace
}  // namespace bulwark::volumes
