// Secrets and configs with a real daemon: from `ctl secret create` to the file
// in the container, and nowhere else.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "store/rocks/rocks_store.h"
#include "store/values.h"
#include "tests/e2e/plaintext_search.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kSleep[] = "exec sleep 100000";

class SecretsTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2esec"); }
  static void TearDownTestSuite() { Close(); }

  static void Secret(const std::string& verb, const std::string& name,
                     const std::string& value) {
    Ctl({"secret", verb, name, "-"}, value);
  }
  // What a command prints in a replica of the service.
  static std::string In(const std::string& service, const std::string& script) {
    return world().Ctl({"exec", service, "--", "sh", "-c", script}).out;
  }
  static bool Eventually(const std::function<bool()>& condition) {
    return e2e::Eventually(condition, absl::Seconds(60));
  }
  // One ready replica, and no other that lives; its revision, or 0.
  static int64_t Revision(const std::string& service) {
    int64_t revision = 0;
    for (const ReplicaInfo& r : world().Replicas(service)) {
      if (r.state == "stopped" || r.state == "failed") continue;
      if (revision != 0 || !r.ready) return 0;
      revision = r.revision;
    }
    return revision;
  }
  static bool AwaitRevision(const std::string& service, int64_t revision) {
    return Eventually([&] { return Revision(service) == revision; });
  }
  static std::string KeyFile() { return world().Path("s.key"); }
  static void WriteKey(const std::string& text) {
    unlink(KeyFile().c_str());
    WriteFile(KeyFile(), text);
    ASSERT_EQ(chmod(KeyFile().c_str(), 0400), 0);
  }
  static void Describe(const std::string& service) {
    fprintf(stderr, "%s\n%s\n",
            world().Ctl({"describe", "service", service}).out.c_str(),
            world().Ctl({"events"}).out.c_str());
  }
};

TEST_F(SecretsTest, WhenDelivered_IsAFileInMemoryOfTheContainersUser) {
  Secret("create", "db", "hunter2");
  Ctl({"config", "create", "app", "-"}, "mode=fast\n");
  world().Apply(
      Manifest("files", kSleep,
               "user: app\nsecrets: [db, {name: db, path: /data/db, "
               "mode: 0440}]\nconfigs: [\"app:/etc/app/app.conf\"]\n"));
  ASSERT_TRUE(world().AwaitReady("files", 1)) << (Describe("files"), "");
  EXPECT_EQ(In("files", "cat /run/secrets/db /data/db /etc/app/app.conf"),
            "hunter2hunter2mode=fast\n");
  EXPECT_EQ(In("files",
               "stat -L -c '%u:%g %a' /run/secrets/db /data/db "
               "/etc/app/app.conf"),
            "1000:1000 400\n1000:1000 440\n1000:1000 444\n");
  const std::string mounts =
      In("files", "grep -e secrets -e data /proc/mounts");
  EXPECT_THAT(mounts, AllOf(HasSubstr(" /run/secrets "), HasSubstr(" ro,"),
                            Not(HasSubstr(" rw,"))));
  EXPECT_TRUE(absl::StrContains(mounts, "tmpfs") ||
              absl::StrContains(mounts, "ramfs"))
      << mounts;
  EXPECT_THAT(
      world()
          .Ctl({"exec", "files", "--", "sh", "-c", "echo x > /run/secrets/db"})
          .code,
      Not(0));
  // In use: not deleted, and the reader is named.
  EXPECT_THAT(CtlFails({"secret", "delete", "db"}).err, HasSubstr("files"));
  Ctl({"delete", "service", "files", "--wait"});
  Ctl({"secret", "delete", "db"});
  Ctl({"config", "delete", "app"});
  EXPECT_THAT(CtlFails({"secret", "history", "db"}).err, HasSubstr("db"));
  // Nothing of it is left in memory.
  EXPECT_TRUE(Eventually([] {
    return FilesThatHold(world().Path("r/inputs"), "hunter2").empty();
  }));
}

TEST_F(SecretsTest, WhenMissing_TheServiceWaitsAndSaysWhy) {
  const Result applied =
      world().Ctl({"apply", "-f", "-"}, absl::Seconds(60),
                  Manifest("waits", kSleep, "secrets: [later]\n"));
  EXPECT_THAT(applied.err, HasSubstr("ctl secret create later"));
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(world().Condition("waits", "InputsReady"),
                             "ctl secret create later");
  }));
  EXPECT_THAT(world().Replicas("waits"), IsEmpty());
  Secret("create", "later", "x");
  EXPECT_TRUE(world().AwaitReady("waits", 1));
  EXPECT_THAT(world().Condition("waits", "InputsReady"), HasSubstr("true"));
  Ctl({"delete", "service", "waits", "--wait"});
  Ctl({"secret", "delete", "later"});
}

TEST_F(SecretsTest, WhenSetAnew_RollsTheServiceAndBack) {
  Secret("create", "rolls", "one");
  world().Apply(Manifest("rolls", kSleep, "secrets: [rolls]\n"));
  ASSERT_TRUE(AwaitRevision("rolls", 1));
  Secret("set", "rolls", "two");
  ASSERT_TRUE(AwaitRevision("rolls", 2)) << (Describe("rolls"), "");
  EXPECT_EQ(In("rolls", "cat /run/secrets/rolls"), "two");
  // The same value is no change.
  EXPECT_THAT(Ctl({"secret", "set", "rolls", "-"}, "two").out,
              HasSubstr("unchanged"));
  EXPECT_THAT(CtlFails({"rollout", "undo", "rolls", "--to-revision", "1"}).err,
              HasSubstr("ctl secret rollback rolls --to 1"));
  EXPECT_THAT(Ctl({"secret", "rollback", "rolls"}).out, HasSubstr("version 3"));
  ASSERT_TRUE(AwaitRevision("rolls", 3));
  EXPECT_EQ(In("rolls", "cat /run/secrets/rolls"), "one");
  EXPECT_THAT(Ctl({"secret", "history", "rolls"}).out,
              AllOf(HasSubstr("current, back to 1"), Not(HasSubstr("one"))));
  Ctl({"delete", "service", "rolls", "--wait"});
  Ctl({"secret", "delete", "rolls"});
}

TEST_F(SecretsTest, WhenTheNewValueFailsTheService_GoesBackToTheOld) {
  Secret("create", "gate", "good");
  world().Apply(absl::StrCat(Manifest(
      "gated", "grep -q good /run/secrets/gate || exit 3; exec sleep 100000",
      "secrets: [gate]\n")));
  ASSERT_TRUE(AwaitRevision("gated", 1));
  // It must have been good once.
  ASSERT_TRUE(Eventually([] {
    return absl::StrContains(world().Condition("gated", "Progressing"),
                             "false");
  }));
  Secret("set", "gate", "bad");
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(world().Condition("gated", "RolledBack"), "true");
  })) << (Describe("gated"), "");
  EXPECT_TRUE(AwaitRevision("gated", 1)) << (Describe("gated"), "");
  EXPECT_EQ(In("gated", "cat /run/secrets/gate"), "good");
  // And is started again with the pinned version.
  const int pid = world().Ready("gated")[0].pid;
  kill(pid, SIGKILL);
  EXPECT_TRUE(Eventually([&] {
    const auto ready = world().Ready("gated");
    return ready.size() == 1 && ready[0].pid != pid;
  }));
  EXPECT_EQ(In("gated", "cat /run/secrets/gate"), "good");
  // Whoever has set the other one is told, and what to do.
  EXPECT_THAT(world().Ctl({"why", "gated"}).out,
              AllOf(HasSubstr("with version 1 of secret gate instead of 2"),
                    HasSubstr("ctl secret rollback gate --to 1")));
  EXPECT_THAT(Ctl({"events"}).out,
              HasSubstr("going back to revision 1, with version 1 of secret "
                        "gate instead of 2"));
  Ctl({"secret", "rollback", "gate", "--to", "1"});
  EXPECT_TRUE(AwaitRevision("gated", 3)) << (Describe("gated"), "");
  EXPECT_TRUE(Eventually([] {
    return world().Condition("gated", "RolledBack").empty();
  })) << (Describe("gated"), "");
  Ctl({"delete", "service", "gated", "--wait"});
  Ctl({"secret", "delete", "gate"});
}

TEST_F(SecretsTest, WhenSwapped_TheSameProcessSeesTheNewFileAndASignal) {
  Secret("create", "swap", "one");
  world().Apply(Manifest(
      "swaps", "trap \"echo told\" HUP; while true; do sleep 0.1; done",
      "user: app\nsecrets: [swap]\nonChange: {action: swap, signal: "
      "SIGHUP}\n"));
  ASSERT_TRUE(world().AwaitReady("swaps", 1));
  const int pid = world().Ready("swaps")[0].pid;
  Secret("set", "swap", "two");
  EXPECT_TRUE(
      Eventually([] { return In("swaps", "cat /run/secrets/swap") == "two"; }));
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(Ctl({"logs", "swaps"}).out, "told");
  }));
  EXPECT_EQ(In("swaps", "stat -L -c '%u %a' /run/secrets/swap"), "1000 400\n");
  // Also one that comes while the daemon is dead the moment after.
  Secret("set", "swap", "three");
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_TRUE(Eventually(
      [] { return In("swaps", "cat /run/secrets/swap") == "three"; }));
  ASSERT_EQ(world().Ready("swaps").size(), 1u);
  EXPECT_EQ(world().Ready("swaps")[0].pid, pid);
  EXPECT_EQ(Revision("swaps"), 1);
  Ctl({"delete", "service", "swaps", "--wait"});
  Ctl({"secret", "delete", "swap"});
}

TEST_F(SecretsTest, WhenAConfigIsSetAnew_ItsReadersRollOrSwap) {
  Ctl({"config", "create", "mode", "-"}, "slow\n");
  world().Apply(Manifest("rolling", kSleep, "configs: [\"mode:/etc/mode\"]\n"));
  world().Apply(
      Manifest("swapping", kSleep,
               "configs: [\"mode:/run/configs/mode\"]\nonChange: {action: "
               "swap}\n"));
  ASSERT_TRUE(AwaitRevision("rolling", 1));
  ASSERT_TRUE(AwaitRevision("swapping", 1));
  const int pid = world().Ready("swapping")[0].pid;
  const auto both_read = [](const std::string& text) {
    return Eventually([&] {
      return In("rolling", "cat /etc/mode") == text &&
             In("swapping", "cat /run/configs/mode") == text;
    });
  };
  EXPECT_TRUE(both_read("slow\n"));
  Ctl({"config", "set", "mode", "-"}, "fast\n");
  EXPECT_TRUE(AwaitRevision("rolling", 2)) << (Describe("rolling"), "");
  EXPECT_TRUE(both_read("fast\n"));
  EXPECT_THAT(Ctl({"config", "rollback", "mode"}).out, HasSubstr("version 3"));
  EXPECT_TRUE(AwaitRevision("rolling", 3)) << (Describe("rolling"), "");
  EXPECT_TRUE(both_read("slow\n"));
  EXPECT_EQ(Revision("swapping"), 1);
  EXPECT_EQ(world().Ready("swapping")[0].pid, pid);
  Ctl({"delete", "service", "rolling", "swapping", "--wait"});
  Ctl({"config", "delete", "mode"});
}

TEST_F(SecretsTest, WhenKilledInTheMiddleOfARotation_EverySecretOpens) {
  for (int i = 0; i < 40; ++i) {
    Secret("create", absl::StrCat("many-", i), absl::StrCat("value-", i));
  }
  for (int i = 0; i < 6; ++i) {
    {
      Session rotation(world(), {"secret", "rotate-key"});
      Pause(absl::Milliseconds(3 * i));
      world().KillDaemon();
      rotation.Wait();
    }
    world().StartDaemon();
    const Result status = Ctl({"secret", "status"});
    EXPECT_THAT(status.out,
                AllOf(HasSubstr("40 values"), Not(HasSubstr("older keys"))));
  }
  EXPECT_THAT(Ctl({"secret", "rotate-key"}).out, HasSubstr("wraps 40 values"));
  world().Apply(Manifest("many", kSleep, "secrets: [many-0, many-39]\n"));
  ASSERT_TRUE(world().AwaitReady("many", 1)) << (Describe("many"), "");
  EXPECT_EQ(In("many", "cat /run/secrets/many-0 /run/secrets/many-39"),
            "value-0value-39");
  Ctl({"delete", "service", "many", "--wait"});
  for (int i = 0; i < 40; ++i) {
    Ctl({"secret", "delete", absl::StrCat("many-", i)});
  }
}

TEST_F(SecretsTest, WhenTheKeyFileIsWrongOrGone_OnlyWhatNeedsItWaits) {
  Secret("create", "sealed", "hunter2");
  world().Apply(Manifest("runs", kSleep, "secrets: [sealed]\n"));
  ASSERT_TRUE(world().AwaitReady("runs", 1));
  const int pid = world().Ready("runs")[0].pid;
  const std::string key = ReadFile(KeyFile());
  const std::string wrong(64, 'a');
  world().StopDaemon();
  WriteKey(wrong);
  world().StartDaemon();
  // What runs goes on, and what needs no secret can be had.
  EXPECT_EQ(world().Ready("runs")[0].pid, pid);
  world().Apply(Manifest("plain", kSleep));
  EXPECT_TRUE(world().AwaitReady("plain", 1));
  EXPECT_THAT(world().Ctl({"secret", "status"}).out,
              AllOf(HasSubstr("sealed"), HasSubstr("s.key"),
                    HasSubstr("ctl secret unseal")));
  EXPECT_THAT(CtlFails({"secret", "create", "x", "--generate"}).err,
              HasSubstr("sealed"));
  EXPECT_THAT(CtlFails({"secret", "unseal"}).err, HasSubstr("s.key"));
  world().Apply(Manifest("waits", kSleep, "secrets: [sealed]\n"));
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(world().Condition("waits", "InputsReady"),
                             "Sealed");
  }));
  EXPECT_EQ(ReadFile(KeyFile()), wrong);
  // Gone altogether: no new one is made.
  world().StopDaemon();
  unlink(KeyFile().c_str());
  world().StartDaemon();
  EXPECT_NE(access(KeyFile().c_str(), F_OK), 0);
  WriteKey(key);
  Ctl({"secret", "unseal"});
  EXPECT_TRUE(world().AwaitReady("waits", 1)) << (Describe("waits"), "");
  EXPECT_EQ(In("waits", "cat /run/secrets/sealed"), "hunter2");
  EXPECT_EQ(world().Ready("runs")[0].pid, pid);
  // A new root key is put above the old one, which can then go.
  WriteKey(absl::StrCat(wrong, "\n", key));
  Ctl({"secret", "unseal"});
  WriteKey(wrong);
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_THAT(Ctl({"secret", "status"}).out, HasSubstr("master key"));
  for (const char* service : {"runs", "plain", "waits"}) {
    Ctl({"delete", "service", service, "--wait"});
  }
  Ctl({"secret", "delete", "sealed"});
}

TEST_F(SecretsTest, WhenARowIsTamperedWith_SaysWhichAndDeliversNothing) {
  Secret("create", "mine", "hunter2");
  Secret("create", "theirs", "stolen-text");
  world().StopDaemon();
  {
    RealClock clock;
    RealEntropy entropy;
    store::RocksOptions options;
    options.path = world().Path("s/store");
    auto rows = store::RocksStore::Open(std::move(options), clock, entropy);
    ASSERT_TRUE(rows.ok()) << rows.status();
    for (const char* kind : {store::kSecretValueKind, store::kSecretKeyKind}) {
      const auto theirs =
          (*rows)->Get(store::ValueKey(kind, "default", "theirs", 1));
      ASSERT_TRUE(theirs.ok());
      ASSERT_TRUE(
          (*rows)
              ->Commit(store::Batch().Put(
                  store::ValueKey(kind, "default", "mine", 1), theirs->value))
              .ok());
    }
  }
  world().StartDaemon();
  world().Apply(Manifest("reads", "cat /run/secrets/mine; exec sleep 100000",
                         "secrets: [mine]\n"));
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(world().Ctl({"describe", "service", "reads"}).out,
                             "not what was written");
  })) << (Describe("reads"), "");
  EXPECT_THAT(Ctl({"logs", "reads"}).out, Not(HasSubstr("stolen-text")));
  EXPECT_THAT(CtlFails({"secret", "rotate-key"}).err, HasSubstr("mine"));
  // It is mended by setting it again, once the broken version is not read.
  Ctl({"delete", "service", "reads", "--wait"});
  Ctl({"secret", "delete", "mine"});
  Ctl({"secret", "rotate-key"});
  Ctl({"secret", "delete", "theirs"});
}

TEST_F(SecretsTest, WhenSearchedFor_ThePlaintextIsInTheApplicationAlone) {
  RealEntropy entropy;
  const std::string marker = absl::StrCat("plain-", NewUid(entropy), "-text");
  const std::string planted = absl::StrCat("plant-", NewUid(entropy), "-text");
  // A process and a file that do hold the text: the search finds it there.
  Background plant({"sh", "-c", absl::StrCat("x=", planted, "; sleep 1000")},
                   world().Path("plant.log"));
  ASSERT_TRUE(Eventually([&] { return MemoryHolds(plant.pid(), planted); }));
  WriteFile(world().Path("s/planted"), "xx" + planted + "yy");
  ASSERT_THAT(FilesThatHold(world().Path("s"), planted),
              ElementsAre(world().Path("s/planted")));
  unlink(world().Path("s/planted").c_str());

  Secret("create", "token", marker);
  world().Apply(Manifest(
      "holder", "x=$(cat /run/secrets/token); while true; do sleep 1; done",
      "user: app\nreplicas: 2\nsecrets: [token]\n"));
  ASSERT_TRUE(world().AwaitReady("holder", 2));
  Ctl({"secret", "set", "token", "-"}, marker + marker);
  ASSERT_TRUE(Eventually([] {
    const auto ready = world().Ready("holder");
    return ready.size() == 2 && ready[0].revision == 2 &&
           ready[1].revision == 2;
  }));
  Ctl({"secret", "rotate-key"});
  Ctl({"secret", "rollback", "token"});
  ASSERT_TRUE(Eventually([] {
    const auto ready = world().Ready("holder");
    return ready.size() == 2 && ready[0].revision == 3 &&
           ready[1].revision == 3;
  }));

  // Those of the older revisions have held it too, and go.
  ASSERT_TRUE(Eventually([] {
    const auto all = world().Replicas("holder");
    return std::all_of(all.begin(), all.end(), [](const ReplicaInfo& r) {
      return r.revision == 3 || r.state == "stopped" || r.state == "failed";
    });
  }));

  std::set<pid_t> applications;
  for (const ReplicaInfo& r : world().Ready("holder")) {
    applications.insert(r.pid);
    // The application has it: so the search looks at the right thing.
    EXPECT_TRUE(MemoryHolds(r.pid, marker));
  }
  std::set<pid_t> processes = ProcessesOf(world());
  for (const pid_t pid : applications) processes.insert(ParentOf(pid));
  EXPECT_THAT(processes, Contains(world().daemon_pid()));
  int others = 0;
  for (const pid_t pid : processes) {
    // Its children are the application as well.
    if (applications.contains(pid)) continue;
    if (applications.contains(ParentOf(pid))) continue;
    ++others;
    EXPECT_FALSE(MemoryHolds(pid, marker))
        << pid << " " << ReadFile(absl::StrCat("/proc/", pid, "/comm"));
  }
  EXPECT_GE(others, 5);  // daemon, keeper, proxy, two shims
  // Database, logs, records, images, and all that lies in the runtime directory
  // but the files in memory that were asked for.
  EXPECT_THAT(FilesThatHold(world().Path("s"), marker), IsEmpty());
  EXPECT_THAT(
      FilesThatHold(world().Path("r"), marker, world().Path("r/inputs")),
      IsEmpty());
  EXPECT_THAT(world().DaemonLog(), Not(HasSubstr(marker)));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"events"},
        {"describe", "service", "holder"},
        {"describe", "secret", "token"},
        {"get", "secret", "token", "-o", "yaml"},
        {"get", "replicas", "-o", "json"},
        {"get", "revisions", "-o", "json"},
        {"secret", "history", "token"},
        {"logs", "holder"}}) {
    EXPECT_THAT(Ctl(command).out, Not(HasSubstr(marker))) << command[0];
  }
  Ctl({"delete", "service", "holder", "--wait"});
  Ctl({"secret", "delete", "token"});
  EXPECT_FALSE(MemoryHolds(world().daemon_pid(), marker));
}

}  // namespace
}  // namespace bulwark::e2e
