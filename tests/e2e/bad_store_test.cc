// A database that was damaged: the daemon refuses to start, changes nothing,
// says what to do, and that works; what runs goes on all the while.
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/e2e/bad_suite.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

// What the daemon says as it refuses to start.
std::string RefusedToStart(World& world) {
  const size_t log = world.DaemonLog().size();
  world.LaunchDaemon();
  EXPECT_TRUE(Eventually([&] { return !world.daemon_alive(); }));
  return world.DaemonLog().substr(log);
}

// Does what the message ends with.
void Follow(const std::string& message) {
  const size_t at = message.find("mv ");
  ASSERT_NE(at, std::string::npos) << message;
  const std::string command = message.substr(at, message.find('\n', at) - at);
  const Result done = e2e::Run({"sh", "-c", command});
  EXPECT_TRUE(done.ok()) << command << "\n" << done.ToString();
}

class BadStoreTest : public BadSuite {
 protected:
  static void SetUpTestSuite() { OpenWithAnchor("e2ebadst"); }
  static void TearDownTestSuite() { CloseAll(); }

  static std::string Store() { return world().Path("s/store"); }
  static std::string Backup() { return world().Path("backup"); }

  // The files of the database with this in their names.
  static std::vector<std::string> Files(const std::string& part) {
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(Store() + "/db")) {
      if (absl::StrContains(entry.path().filename().string(), part) &&
          entry.file_size() > 0) {
        files.push_back(entry.path());
      }
    }
    return files;
  }
  static void Spoil(const std::string& path) {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    // A log has zeros behind its records.
    const auto size = static_cast<int64_t>(bytes.find_last_not_of('\0') + 1);
    file.seekp(size / 2);
    file << std::string(static_cast<size_t>(std::min<int64_t>(size / 3, 200)),
                        '\x55');
    ASSERT_TRUE(file.good()) << path;
  }
  // Everything but RocksDB's diary.
  static std::string Contents() {
    return e2e::Run(
               {"sh", "-c",
                absl::StrCat("cd ", Store(),
                             " && find . -type f ! -name 'LOG*' ! -name LOCK "
                             "| sort | xargs sha256sum")})
        .out;
  }
  static void Save() {
    fs::remove_all(Backup());
    ASSERT_TRUE(e2e::Run({"cp", "-a", Store(), Backup()}).ok());
  }
  static void Restore() {
    fs::remove_all(Store());
    ASSERT_TRUE(e2e::Run({"cp", "-a", Backup(), Store()}).ok());
  }
  static void SpoilAll(const std::string& part) {
    const std::vector<std::string> files = Files(part);
    ASSERT_FALSE(files.empty()) << part;
    for (const std::string& file : files) Spoil(file);
  }
};

struct Damage {
  const char* what;
  std::function<void()> make;
};

TEST_F(BadStoreTest, WhenItIsDamaged_RefusesUntouchedAndTheRemedyWorks) {
  // Tables, and a checkpoint to go back to, come with the second start.
  world().KillDaemon();
  world().StartDaemon();
  ASSERT_TRUE(world()
                  .Apply(absl::StrCat("kind: Service\nname: second\nimage: ",
                                      busybox(), "\nreplicas: 0\n"))
                  .ok());
  ASSERT_TRUE(Eventually([] {
    return fs::exists(Store() + "/checkpoints") &&
           !fs::is_empty(Store() + "/checkpoints");
  }));
  // The log holds what came after that.
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(world()
                    .Apply(absl::StrCat(
                        "kind: Service\nname: second\nimage: ", busybox(),
                        "\nreplicas: 0\nlabels: {n: '", i, "'}\n"))
                    .ok());
  }
  world().KillDaemon();
  Save();
  const Damage kDamages[] = {
      {"CURRENT", [] { WriteFile(Store() + "/db/CURRENT", "nonsense\n"); }},
      {"no CURRENT", [] { fs::remove(Store() + "/db/CURRENT"); }},
      {"MANIFEST", [] { SpoilAll("MANIFEST-"); }},
      {"no MANIFEST",
       [] {
         for (const std::string& f : Files("MANIFEST-")) fs::remove(f);
       }},
      {"log", [] { SpoilAll(".log"); }},
      {"table", [] { SpoilAll(".sst"); }},
      {"no table",
       [] {
         for (const std::string& f : Files(".sst")) fs::remove(f);
       }},
      {"no database", [] { fs::remove_all(Store() + "/db"); }},
  };
  for (const Damage& damage : kDamages) {
    SCOPED_TRACE(damage.what);
    damage.make();
    const std::string before = Contents();
    const std::string said = RefusedToStart(world());
    EXPECT_THAT(
        said,
        AllOf(HasSubstr("open store " + Store()), HasSubstr("it is damaged"),
              HasSubstr("nothing was changed"), HasSubstr("to go back to ")));
    EXPECT_EQ(Contents(), before);
    EXPECT_EQ(anchor().CheckWithoutDaemon(), "");

    Follow(said);
    world().StartDaemon();
    EXPECT_THAT(Services(), HasSubstr("service/anchor"));
    EXPECT_EQ(anchor().Check(), "");
    world().KillDaemon();
    Restore();
  }
  world().StartDaemon();
  EXPECT_THAT(Services(), HasSubstr("service/second"));
  EXPECT_TRUE(world().Ctl({"delete", "service", "second", "--wait"}).ok());
}

TEST(BadStoreAnewTest, WhenThereIsNoCheckpoint_TheWayToBeginAnewWorks) {
  World world("e2eanew");
  world.StartRegistry();
  const std::string image = world.PushBusybox("1");
  world.StartDaemon();
  {
    Anchor anchor(world, image);
    world.KillDaemon();
    WriteFile(world.Path("s/store/db/CURRENT"), "nonsense\n");
    std::string said = RefusedToStart(world);
    EXPECT_THAT(said, AllOf(HasSubstr("it is damaged"),
                            HasSubstr("there is no checkpoint; restore a "
                                      "backup, or begin anew")));
    Follow(said);
    said = RefusedToStart(world);
    EXPECT_THAT(said, AllOf(HasSubstr("nothing was touched"),
                            HasSubstr("`bulwarkd --teardown`, with the same "
                                      "flags as now, ends what runs; then "
                                      "start, and apply the manifests again")));
    EXPECT_EQ(anchor.CheckWithoutDaemon(), "");
  }
  world.Teardown();
  EXPECT_EQ(world.Leaked(""), "");
  world.StartDaemon();
  EXPECT_EQ(world.Ctl({"get", "services", "-o", "name"}).out, "");
  {
    Anchor anchor(world, image);
    EXPECT_EQ(anchor.Check(), "");
  }
  world.Teardown();
  EXPECT_EQ(world.Leaked(""), "");
}

}  // namespace
}  // namespace bulwark::e2e
