// The story of a real database under Bulwark: a password from a secret, a
// volume, backups, damage, and the end of everything at once. What redis has
// acknowledged is there afterwards.
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/plaintext_search.h"
#include "tests/e2e/redis.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kPort = 20891;
constexpr int64_t kSomeRows = 100;

class DatabaseTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2edb");
    const std::string examples = World::Runfile("examples/database");
    const Result context =
        e2e::Run({examples + "/context", world().Path("context")});
    ASSERT_TRUE(context.ok()) << context.ToString();
    Ctl({"build", "--quiet", "-t", "database:1", world().Path("context")});
    SetPassword("create", "first-password");
    Ctl({"secret", "create", "backup-password", "-"}, "of-the-repository");
    // What is nightly is every minute here.
    WriteFile(world().Path("env"), absl::StrCat("PORT=", kPort,
                                                "\nSIZE=256Mi\n"
                                                "SCHEDULE=* * * * *\n"));
    Ctl({"apply", "-f", examples + "/database.yaml", "--env-file",
         world().Path("env")});
    ASSERT_TRUE(world().AwaitReady("database", 1)) << Tell();
  }
  static void TearDownTestSuite() { Close(); }

  static std::string PasswordFile() { return world().Path("password"); }
  static std::string Password() { return ReadFile(PasswordFile()); }
  static std::string Record() { return world().Path("record"); }
  static std::string Repository() { return world().Path("backups"); }
  static void SetPassword(const std::string& verb, const std::string& value) {
    Ctl({"secret", verb, "database-password", "-"}, value);
    WriteFile(PasswordFile(), value);
  }
  static std::string Tell() {
    return world().Ctl({"why", "database"}).out +
           world().Ctl({"describe", "volumes"}).out;
  }
  // Only one replica, ready, and of that revision.
  static bool AwaitRevision(int64_t revision) {
    return Eventually(
        [&] {
          const auto ready = world().Ready("database");
          return ready.size() == 1 && ready[0].revision == revision;
        },
        absl::Seconds(60));
  }
  static void Set(const std::string& key, const std::string& value) {
    absl::StatusOr<Redis> redis = Redis::Connect(kPort, Password());
    ASSERT_TRUE(redis.ok()) << redis.status();
    EXPECT_EQ(redis->Call({"SET", key, value}).value_or("failed"), "OK");
  }
  static std::string Get(const std::string& key) {
    absl::StatusOr<Redis> redis = Redis::Connect(kPort, Password());
    if (!redis.ok()) return redis.status().ToString();
    return redis->Call({"GET", key}).value_or("failed");
  }
  static std::string Check(int64_t rows) {
    return RowWriter::Check(kPort, Password(), rows);
  }
  // Writes noise over every file of the volume, and kills the database.
  static void Damage() {
    Ctl({"exec", "database", "--", "sh", "-c",
         "for f in $(find /data -type f); do "
         "dd if=/dev/urandom of=$f bs=4096 count=64; done; sync"});
    const auto ready = world().Ready("database");
    ASSERT_EQ(ready.size(), 1u);
    kill(ready[0].pid, SIGKILL);
    // It does not come up on that.
    ASSERT_TRUE(Eventually([&] {
      for (const ReplicaInfo& r : world().Replicas("database")) {
        if (r.uid == ready[0].uid) continue;
        if (r.state == "failed") return true;
      }
      return false;
    })) << Tell();
  }
  // The jobs that the schedule has made so far.
  static std::set<std::string> Backups() {
    std::set<std::string> names;
    for (const nlohmann::json& job :
         nlohmann::json::parse(Ctl({"get", "jobs", "-o", "json"}).out)) {
      names.insert(job["metadata"]["name"]);
    }
    return names;
  }
  // The next dump that the schedule makes, whole, and the last one. Returns how
  // many rows were acknowledged before it began; -1 without one.
  static int64_t AwaitScheduledDump(const RowWriter& writer) {
    const std::set<std::string> before = Backups();
    int64_t acknowledged = 0;
    const bool made = Eventually(
        [&] {
          const int64_t now = writer.acknowledged();
          if (Backups() != before) return true;
          acknowledged = now;
          return false;
        },
        absl::Seconds(90));
    if (!made) return -1;
    Ctl({"job", "suspend", "backup"});
    for (const std::string& job : Backups()) {
      if (before.count(job) > 0) continue;
      const Result waited =
          world().Ctl({"wait", "job/" + job, "--timeout", "50s"});
      EXPECT_TRUE(waited.ok())
          << waited.ToString() << world().Ctl({"job", "logs", job}).out;
    }
    return acknowledged;
  }
  // By the job of the example.
  static Result RestoreDump() {
    const std::string job = World::Runfile("examples/database/restore.yaml");
    Result applied = world().Ctl({"apply", "-f", job});
    if (!applied.ok()) return applied;
    Result waited = world().Ctl({"wait", "job/restore", "--timeout", "50s"});
    waited.out += world().Ctl({"job", "logs", "restore"}).ToString();
    Ctl({"job", "delete", "restore"});
    EXPECT_TRUE(Eventually([] { return !Exists("job", "restore"); }));
    return waited;
  }
};

TEST_F(DatabaseTest, WhateverHappens_NoAcknowledgedWriteIsLost) {
  std::optional<RowWriter> writer(std::in_place, kPort, PasswordFile(),
                                  Record());
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error();

  // A new password, under load.
  SetPassword("set", "second-password");
  ASSERT_TRUE(AwaitRevision(2)) << Tell();
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error() << Tell();
  EXPECT_EQ(Redis::Connect(kPort, "first-password").status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(Check(writer->acknowledged()), "");
  EXPECT_GE(writer->connections(), 2);
  // It was without a replica meanwhile, and says so.
  const std::string story = Ctl({"why", "database"}).out;
  EXPECT_THAT(story, HasSubstr("ConnectionsHeld"));
  EXPECT_THAT(story, HasSubstr("ConnectionsReleased"));

  // A snapshot under load: at least what was acknowledged before is in it.
  const int64_t in_snapshot = writer->acknowledged();
  Ctl({"volume", "snapshot", "database", "before"});
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error();
  Set("after", "the snapshot");

  // The nightly backup, by its schedule; it reads with the new password.
  const int64_t in_dump = AwaitScheduledDump(*writer);
  ASSERT_GT(in_dump, in_snapshot) << Ctl({"job", "describe", "backup"}).out;
  Set("after", "the dump");
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error();

  // Damaged, and back to the snapshot.
  writer->Pause();
  EXPECT_EQ(Check(writer->acknowledged()), "");
  Damage();
  Ctl({"volume", "restore", "database", "before"});
  ASSERT_TRUE(world().AwaitReady("database", 1)) << Tell();
  EXPECT_EQ(Check(in_snapshot), "");
  EXPECT_EQ(Get("after"), "");

  // Again, and back to the dump. Not under a database that runs.
  // Its volume is for one writer.
  const Result refused = RestoreDump();
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(refused.err, HasSubstr("ctl stop database"));
  EXPECT_FALSE(Exists("job", "restore"));
  Damage();
  Ctl({"stop", "database", "--wait"});
  const Result from_dump = RestoreDump();
  ASSERT_TRUE(from_dump.ok()) << from_dump.ToString();
  Ctl({"start", "database"});
  ASSERT_TRUE(world().AwaitReady("database", 1)) << Tell();
  EXPECT_EQ(Check(in_dump), "") << from_dump.ToString();
  EXPECT_EQ(Get("after"), "the snapshot");

  // The same with an encrypted backup elsewhere.
  writer.emplace(kPort, PasswordFile(), Record(), in_dump);
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error();
  const int64_t in_backup = writer->acknowledged();
  const Result backup =
      world().Ctl({"volume", "backup", "database", "--repository", Repository(),
                   "--password-secret", "backup-password"});
  ASSERT_TRUE(backup.ok()) << backup.ToString();
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error();
  writer->Pause();
  Damage();
  Ctl({"volume", "restore", "database", "--repository", Repository(),
       "--password-secret", "backup-password"});
  ASSERT_TRUE(world().AwaitReady("database", 1)) << Tell();
  EXPECT_EQ(Check(in_backup), "");

  // Everything ends at once, in the middle of a write.
  writer.emplace(kPort, PasswordFile(), Record(), in_backup);
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error();
  const auto ready = world().Ready("database");
  ASSERT_EQ(ready.size(), 1u);
  world().KillDaemon();
  std::set<pid_t> all = ProcessesOf(world());
  EXPECT_GE(all.size(), 3u);  // keeper, proxy, shim
  all.insert(ready[0].pid);
  for (const pid_t pid : all) kill(pid, SIGKILL);
  EXPECT_TRUE(Eventually([] { return ProcessesOf(world()).empty(); }));
  const int64_t until_then = writer->acknowledged();
  world().StartDaemon();
  ASSERT_TRUE(world().AwaitReady("database", 1)) << Tell();
  ASSERT_TRUE(writer->AwaitMore(kSomeRows)) << writer->last_error();
  writer->Pause();
  EXPECT_GE(writer->acknowledged(), until_then + kSomeRows);
  EXPECT_EQ(Check(writer->acknowledged()), "");
  EXPECT_EQ(in_backup + RowWriter::Recorded(Record()), writer->acknowledged());
}

// The check finds what is lost: else the test above would show nothing.
TEST_F(DatabaseTest, WhenARowIsMissing_TheCheckSaysSo) {
  Set("row:0", "something else");
  EXPECT_THAT(Check(1), HasSubstr("1 of 1 rows are lost: row 0 is"));
}

TEST_F(DatabaseTest, WhereThePasswordIsLookedFor_ItIsNot) {
  EXPECT_THAT(FilesThatHold(world().Path("s"), Password()), IsEmpty());
  EXPECT_THAT(FilesThatHold(Repository(), Password()), IsEmpty());
  for (const ReplicaInfo& r : world().Ready("database")) {
    EXPECT_THAT(ReadFile(absl::StrCat("/proc/", r.pid, "/cmdline")),
                Not(HasSubstr(Password())));
    EXPECT_THAT(ReadFile(absl::StrCat("/proc/", r.pid, "/environ")),
                Not(HasSubstr(Password())));
  }
}

}  // namespace
}  // namespace bulwark::e2e
