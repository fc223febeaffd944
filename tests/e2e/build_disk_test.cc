// The disk is full in the middle of a build: it says so, leaves nothing, and
// harms nothing; with room again the same build succeeds.
#include <sys/mount.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/disk.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kMiB = 1 << 20;
// Of the file in the context, which no compression makes smaller.
constexpr int64_t kFile = 40;

class BuildDiskTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    world_ = new World("e2ebdisk");
    world_->StartRegistry();
    busybox_ = world_->PushBusybox("1");
    fs::create_directories(Disk());
    ASSERT_EQ(mount("none", Disk().c_str(), "tmpfs", 0, "size=640m"), 0);
    before_ = world_->LeakReport();  // the mount
    ballast_ = new Ballast(Disk());
    world_->StartDaemon();
    ASSERT_TRUE(world_->Ctl({"pull", "-q", busybox_}).ok());
  }
  static void TearDownTestSuite() {
    if (HasFailure()) fprintf(stderr, "%s\n", world_->DaemonLog().c_str());
    delete ballast_;
    world_->Teardown();
    EXPECT_EQ(world_->Leaked(before_), "");
    EXPECT_EQ(umount(Disk().c_str()), 0);
    delete world_;
  }

  static std::string Disk() { return world_->Path("s"); }

  // A context whose file is like no other.
  static std::string Context(const std::string& steps) {
    const std::string folder = world_->Path("context");
    fs::create_directories(folder);
    WriteFile(folder + "/Dockerfile",
              absl::StrCat("FROM ", busybox_, "\n", steps));
    EXPECT_TRUE(e2e::Run({"dd", "if=/dev/urandom", "of=" + folder + "/file",
                          "bs=1M", absl::StrCat("count=", kFile)})
                    .ok());
    return folder;
  }

  static std::vector<std::string> LeftOver() {
    std::vector<std::string> found;
    for (const char* folder : {"images/ingest", "containers"}) {
      for (const auto& entry : fs::directory_iterator(Disk() + "/" + folder)) {
        found.push_back(entry.path());
      }
    }
    return found;
  }

  static World* world_;
  static std::string busybox_, before_;
  static Ballast* ballast_;
};

World* BuildDiskTest::world_;
std::string BuildDiskTest::busybox_, BuildDiskTest::before_;
Ballast* BuildDiskTest::ballast_;

TEST_F(BuildDiskTest, WhenItFills_TheBuildSaysSoAndLeavesNothing) {
  struct Case {
    const char* what;
    int64_t room;  // MiB; the store may give back the 32 that it reserves
    const char* steps;
    const char* place;
  };
  const char kCopies[] = "COPY file /one\nCOPY file /two\n";
  const Case cases[] = {
      {"the context is received", 1 * kFile - 36, kCopies, ""},
      {"the context is unpacked", 2 * kFile - 20, kCopies, ""},
      {"the first layer is packed", 3 * kFile - 20, kCopies, "Dockerfile:2"},
      // Context, a layer and its blob are there by then.
      {"a file is copied", 4 * kFile - 20, kCopies, "Dockerfile:3"},
      {"the second layer is packed", 5 * kFile - 20, kCopies, "Dockerfile:3"},
      {"a step writes", 3 * kFile,
       "RUN head -c 300000000 /dev/urandom > /big\n", "Dockerfile:2"},
      {"its layer is packed", 3 * kFile + 40,
       "RUN head -c 100000000 /dev/urandom > /big\n", "Dockerfile:2"},
      {"a cache is written", 3 * kFile,
       "RUN --mount=type=cache,target=/c head -c 300000000 /dev/urandom "
       "> /c/big\n",
       "Dockerfile:2"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const std::string context = Context(c.steps);
    const std::vector<std::string> command = {"build", "--progress=plain", "-t",
                                              "full:1", context};
    ballast_->Leave(c.room * kMiB);
    const Result full = world_->Ctl(command, absl::Seconds(120));
    EXPECT_EQ(full.code, 1) << full.ToString();
    EXPECT_THAT(full.err, AnyOf(HasSubstr("No space left on device"),
                                HasSubstr("free some space there")));
    EXPECT_THAT(full.err, HasSubstr(c.place));
    EXPECT_THAT(LeftOver(), IsEmpty());
    EXPECT_TRUE(world_->daemon_alive());
    // Nothing is there by halves, and what was there is.
    EXPECT_THAT(world_->Ctl({"images"}).out, ::testing::Not(HasSubstr("full")));
    ballast_->Free();
    EXPECT_THAT(world_->Ctl({"verify"}).out, HasSubstr("all is well"));
    if (std::string(c.steps).find("300000000") == std::string::npos) {
      const Result done = world_->Ctl(command, absl::Seconds(120));
      EXPECT_TRUE(done.ok()) << done.ToString();
      EXPECT_TRUE(world_->Ctl({"rmi", "full:1"}).ok());
    }
    EXPECT_TRUE(world_->Ctl({"system", "prune"}).ok());
    EXPECT_EQ(world_->Ctl({"run", "--rm", busybox_, "echo", "it goes on"}).out,
              "it goes on\n");
  }
}

}  // namespace
}  // namespace bulwark::e2e
