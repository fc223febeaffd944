// Volumes under a real daemon: quotas, snapshots, restores, one writer.
#include <signal.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/entropy.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"
#include "tests/e2e/traffic.h"

namespace bulwark::e2e {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// How often the daemon dies while it restores: KILLS in the environment.
int Kills() {
  const char* text = std::getenv("KILLS");
  int kills = 6;
  if (text != nullptr && !absl::SimpleAtoi(text, &kills)) kills = 6;
  return kills;
}

class VolumesTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2evol"); }
  static void TearDownTestSuite() { Close(); }

  static void DeclareVolume(const std::string& name, const std::string& more =
                                                         "driver: image\nsize: "
                                                         "32Mi\n") {
    ASSERT_TRUE(
        world()
            .Apply(absl::StrCat("kind: Volume\nname: ", name, "\n", more))
            .ok());
  }
  // A service that sleeps over its volume.
  static void Serve(const std::string& name, const std::string& volume,
                    const std::string& more = "") {
    ASSERT_TRUE(world()
                    .Apply(Manifest(name,
                                    "trap \"exit 0\" TERM; while :; do "
                                    "sleep 0.1; done",
                                    absl::StrCat("volumes: [\"", volume,
                                                 ":/data\"]\n", more)))
                    .ok());
    ASSERT_TRUE(world().AwaitReady(name, 1)) << Tell(name);
  }
  static std::string Tell(const std::string& service) {
    return world().Ctl({"describe", "service", service}).out +
           world().Ctl({"describe", "volumes"}).out;
  }
  static void Write(const std::string& service, const std::string& text) {
    Ctl({"exec", service, "--", "sh", "-c",
         absl::StrCat("echo ", text, " > /data/file; sync")});
  }
  static std::string Read(const std::string& service) {
    std::string text =
        world().Ctl({"exec", service, "--", "cat", "/data/file"}).out;
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
      text.pop_back();
    }
    return text;
  }
  static bool AwaitText(const std::string& service, const std::string& text) {
    return Eventually([&] { return Read(service) == text; }, absl::Seconds(60));
  }
  static void Remove(const std::string& service, const std::string& volume) {
    Ctl({"delete", "service", service, "--wait"});
    Ctl({"volume", "delete", volume, "--wait"});
  }
};

TEST_F(VolumesTest, WhenTheQuotaIsReached_OnlyTheVolumeIsFull) {
  DeclareVolume("small");
  Serve("filler", "small");
  const Result full = world().Ctl({"exec", "filler", "--", "dd", "if=/dev/zero",
                                   "of=/data/big", "bs=1M", "count=100"});
  EXPECT_THAT(full.out + full.err, HasSubstr("No space left on device"));
  EXPECT_TRUE(Eventually(
      [] {
        return absl::StrContains(
            world().Ctl({"volume", "describe", "small"}).out, "Above90Percent");
      },
      absl::Seconds(60)))
      << Tell("filler");
  EXPECT_THAT(Ctl({"events"}).out, HasSubstr("VolumeNearlyFull"));
  EXPECT_FALSE(world().Ready("filler").empty());
  // Growing gives room again, with the content as it is.
  DeclareVolume("small", "driver: image\nsize: 64Mi\n");
  EXPECT_THAT(CtlFails({"volume", "create", "small"}).err, HasSubstr("exists"));
  const Result shrunk =
      world().Ctl({"apply", "-f", "-"}, absl::Seconds(60),
                  "kind: Volume\nname: small\ndriver: image\nsize: 20Mi\n");
  EXPECT_EQ(shrunk.code, 1);
  EXPECT_THAT(shrunk.err, HasSubstr("a volume only grows"));
  Ctl({"stop", "filler", "--wait"});
  Ctl({"start", "filler"});
  ASSERT_TRUE(world().AwaitReady("filler", 1));
  Ctl({"exec", "filler", "--", "dd", "if=/dev/zero", "of=/data/more", "bs=1M",
       "count=20"});
  Remove("filler", "small");
}

TEST_F(VolumesTest, WhenDamaged_ASnapshotBringsItBack) {
  for (const char* driver :
       {"driver: image\nsize: 32Mi\n", "driver: local\n"}) {
    DeclareVolume("data", driver);
    Serve("app", "data");
    Write("app", "good");
    Ctl({"volume", "snapshot", "data", "before"});
    EXPECT_THAT(CtlFails({"volume", "snapshot", "data", "before"}).err,
                HasSubstr("has a snapshot before already"));
    Write("app", "damaged");
    const std::string uid = world().Ready("app").at(0).uid;
    EXPECT_THAT(Ctl({"volume", "restore", "data", "before"}).out,
                HasSubstr("volume data restored"));
    ASSERT_TRUE(AwaitText("app", "good")) << driver << Tell("app");
    EXPECT_NE(world().Ready("app").at(0).uid, uid);
    EXPECT_THAT(Ctl({"volume", "snapshots", "data"}).out, HasSubstr("before"));
    // A clone goes its own way.
    Write("app", "newer");
    Ctl({"volume", "clone", "data", "copy"});
    Ctl({"volume", "clone", "data", "old", "--snapshot", "before"});
    Serve("copies", "copy");
    EXPECT_EQ(Read("copies"), "newer");
    Serve("olds", "old");
    EXPECT_EQ(Read("olds"), "good");
    Write("olds", "mine");
    EXPECT_EQ(Read("app"), "newer");
    Ctl({"volume", "snapshot", "data", "before", "--delete"});
    EXPECT_THAT(CtlFails({"volume", "restore", "data", "before"}).err,
                HasSubstr("ctl volume snapshots data lists those"));
    Remove("copies", "copy");
    Remove("olds", "old");
    Remove("app", "data");
  }
}

TEST_F(VolumesTest, WhenInUse_ItIsKept_AndItOutlivesItsService) {
  DeclareVolume("precious", "driver: image\nsize: 32Mi\nprotect: true\n");
  Serve("owner", "precious");
  Write("owner", "kept");
  EXPECT_THAT(CtlFails({"volume", "delete", "precious"}).err,
              HasSubstr("is used by service owner"));
  // Replicas that start are looked at together, half a second later.
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(Ctl({"volume", "describe", "precious"}).out,
                             "service/owner");
  }));
  Ctl({"delete", "service", "owner", "--wait"});
  EXPECT_THAT(CtlFails({"volume", "delete", "precious"}).err,
              HasSubstr("is protected"));
  // The daemon dies and comes back with the image mounted.
  world().KillDaemon();
  world().StartDaemon();
  Serve("owner", "precious");
  EXPECT_EQ(Read("owner"), "kept");
  const int pid = world().Ready("owner").at(0).pid;
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_TRUE(AwaitText("owner", "kept"));
  EXPECT_EQ(world().Ready("owner").at(0).pid, pid);
  DeclareVolume("precious", "driver: image\nsize: 32Mi\n");
  Remove("owner", "precious");
}

TEST_F(VolumesTest, WhenInMemory_NothingIsOnDisk) {
  DeclareVolume("cache", "driver: tmpfs\nsize: 8Mi\n");
  Serve("cached", "cache");
  Write("cached", "quick");
  EXPECT_EQ(Read("cached"), "quick");
  EXPECT_THAT(CtlFails({"volume", "snapshot", "cache"}).err,
              HasSubstr("it is in memory"));
  const Result full = world().Ctl({"exec", "cached", "--", "dd", "if=/dev/zero",
                                   "of=/data/big", "bs=1M", "count=100"});
  EXPECT_THAT(full.out + full.err, HasSubstr("No space left on device"));
  Remove("cached", "cache");
}

TEST_F(VolumesTest, WhenTheDaemonDiesDuringARestore_ItIsOneContentOrTheOther) {
  SeededEntropy entropy(7);
  DeclareVolume("data");
  Serve("app", "data");
  Write("app", "good");
  Ctl({"volume", "snapshot", "data", "s"});
  for (int i = 0; i < Kills(); ++i) {
    Write("app", "damaged");
    Session restore(world(), {"volume", "restore", "data", "s"});
    Pause(absl::Milliseconds(static_cast<int64_t>(entropy.Next() % 1200)));
    const bool begun = absl::StrContains(restore.Err(), "preparing");
    world().KillDaemon();
    restore.Wait();
    world().StartDaemon();
    // What was begun is finished without anybody asking again.
    if (begun) {
      EXPECT_TRUE(AwaitText("app", "good")) << i << Tell("app");
    } else {
      ASSERT_TRUE(world().AwaitReady("app", 1)) << i << Tell("app");
      EXPECT_THAT(Read("app"), AnyOf("good", "damaged")) << i;
    }
    Write("app", "good");
    // Nothing hangs on it: the next one works.
    ASSERT_TRUE(Eventually(
        [] {
          return world().Ctl({"volume", "restore", "data", "s"}).ok();
        },
        absl::Seconds(60)))
        << i;
    ASSERT_TRUE(AwaitText("app", "good")) << i << Tell("app");
  }
  Remove("app", "data");
}

TEST_F(VolumesTest, WhenAJobRuns_ARestoreSaysSoAndStopsItOnlyByForce) {
  DeclareVolume("data");
  Serve("app", "data");
  Write("app", "good");
  Ctl({"volume", "snapshot", "data", "s"});
  Write("app", "damaged");
  const Result applied = world().Apply(absl::StrCat(
      "kind: Job\nname: import\nimage: ", busybox(),
      "\ncommand: [sh, -c, \"trap 'exit 1' TERM; echo begun >> /data/jobs; "
      "while :; do sleep 0.1; done\"]\nresources: {memory: 64Mi}\n"
      "volumes: [\"data:/data\"]\nbackoffLimit: 0\n"));
  ASSERT_TRUE(applied.ok());
  auto begun = [] {
    return world().Ctl({"exec", "app", "--", "cat", "/data/jobs"}).out;
  };
  ASSERT_TRUE(Eventually([&] { return begun() == "begun\n"; }));
  const Result refused = CtlFails({"volume", "restore", "data", "s"});
  EXPECT_THAT(refused.err, HasSubstr("job/import runs and mounts it"));
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  EXPECT_EQ(Read("app"), "damaged");
  EXPECT_THAT(Ctl({"volume", "restore", "data", "s", "--force"}).out,
              HasSubstr("volume data restored"));
  ASSERT_TRUE(AwaitText("app", "good")) << Tell("app");
  // It was neither a success nor a failure, and begins again.
  ASSERT_TRUE(
      Eventually([&] { return begun() == "begun\n"; }, absl::Seconds(60)))
      << world().Ctl({"describe", "job", "import"}).out;
  EXPECT_THAT(Ctl({"get", "jobs"}).out, HasSubstr("Running"));
  Ctl({"delete", "job", "import", "--wait"});
  Remove("app", "data");
}

TEST_F(VolumesTest, WhenForOneWriter_ARolloutStopsFirstAndFailsNobody) {
  constexpr int kPort = 20871;
  const std::string first = world().PushNginx("w1", "v1");
  const std::string second = world().PushNginx("w2", "v2");
  auto manifest = [&](const std::string& image, const std::string& more = "") {
    return absl::StrCat(
        "kind: Service\nname: writer\nimage: ", image, "\nports: [\"", kPort,
        ":80\"]\nvolumes: [\"ledger:/data\"]\nresources: {memory: 128Mi}\n"
        "stop: {timeout: 5s}\nrollout: {minHealthyTime: 100ms}\n",
        more);
  };
  DeclareVolume("ledger", "driver: image\nsize: 32Mi\naccess: single-writer\n");
  ASSERT_TRUE(world().Apply(manifest(first)).ok());
  ASSERT_TRUE(world().AwaitReady("writer", 1)) << Tell("writer");
  const Result two = world().Ctl({"apply", "-f", "-"}, absl::Seconds(60),
                                 manifest(first, "replicas: 2\n"));
  EXPECT_EQ(two.code, 1);
  EXPECT_THAT(two.err, HasSubstr("is for one writer"));
  EXPECT_THAT(
      world()
          .Ctl({"apply", "-f", "-"}, absl::Seconds(60),
               Manifest("second", "sleep 1", "volumes: [\"ledger:/x\"]\n"))
          .err,
      HasSubstr("is for one writer"));
  {
    Traffic traffic(kPort, {load::Mode::kPerRequest});
    ASSERT_TRUE(world().Apply(manifest(second)).ok());
    int most = 0;
    EXPECT_TRUE(Eventually(
        [&] {
          int live = 0;
          bool done = false;
          for (const ReplicaInfo& r : world().Replicas("writer")) {
            live += r.state == "running" || r.state == "draining" ||
                    r.state == "stopping";
            done |= r.revision == 2 && r.ready;
          }
          most = std::max(most, live);
          return done;
        },
        absl::Seconds(60)))
        << Tell("writer");
    EXPECT_EQ(most, 1);
    // A restore holds them as well.
    Ctl({"volume", "snapshot", "ledger", "s"});
    Ctl({"volume", "restore", "ledger", "s"});
    ASSERT_TRUE(world().AwaitReady("writer", 1)) << Tell("writer");
    for (const load::LoadReport& report : traffic.Finish()) {
      EXPECT_EQ(report.failed, 0) << load::ToJson(report);
      EXPECT_GT(report.requests, 0) << load::ToJson(report);
    }
  }
  Remove("writer", "ledger");
}

}  // namespace
}  // namespace bulwark::e2e
