// ctl backup and ctl restore with a real daemon: back to what was declared, on
// this host and on a fresh one, or not a step of it.
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/entropy.h"
#include "tests/e2e/session.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kSleep[] = "exec sleep 100000";

// How often the daemon dies while it restores: KILLS in the environment.
int Kills() {
  const char* text = std::getenv("KILLS");
  int kills = 9;
  if (text != nullptr && !absl::SimpleAtoi(text, &kills)) kills = 9;
  return kills;
}

class BackupTest : public Suite {
 protected:
  static void SetUpTestSuite() { Open("e2eback"); }
  static void TearDownTestSuite() { Close(); }

  void SetUp() override {
    Suite::SetUp();
    WriteFile(Password(), "correct horse\n");
  }

  static std::string Password() { return world().Path("password"); }
  static std::vector<std::string> RestoreCommand(
      const std::string& file, const std::vector<std::string>& more) {
    std::vector<std::string> words = {"restore", file, "--password-file",
                                      Password()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  static Result Restore(const std::string& file,
                        const std::vector<std::string>& more) {
    return world().Ctl(RestoreCommand(file, more));
  }
  static std::string Backup(const std::string& name) {
    const std::string file = world().Path(name);
    Ctl({"backup", file, "--password-file", Password()});
    return file;
  }
  // What a command prints in a replica of the service.
  static std::string In(const std::string& service, const std::string& script) {
    return world().Ctl({"exec", service, "--", "sh", "-c", script}).out;
  }
  static bool Await(const std::function<bool()>& condition) {
    return Eventually(condition, absl::Seconds(60));
  }
  static std::string Tell() {
    return world().Ctl({"get", "services"}).out + world().Ctl({"events"}).out;
  }
  // Declared services that are not on their way out.
  static std::set<std::string> Services() {
    std::set<std::string> names;
    for (absl::string_view line :
         absl::StrSplit(world().Ctl({"get", "services", "-o", "name"}).out,
                        '\n', absl::SkipEmpty())) {
      const std::string name(line.substr(line.find('/') + 1));
      const Result result = world().Ctl({"get", "service", name, "-o", "json"});
      if (result.ok() && !ParseService(result.out).deleted) names.insert(name);
    }
    return names;
  }
  // Until what was deleted is gone.
  static bool Settled() {
    return Await([] {
      const std::string all =
          world().Ctl({"get", "services", "-o", "name"}).out;
      return static_cast<size_t>(std::count(all.begin(), all.end(), '\n')) ==
             Services().size();
    });
  }
  static void DeleteAll() {
    for (const std::string& name : Services()) {
      Ctl({"delete", "service", name, "--wait"});
    }
  }
};

TEST_F(BackupTest, WhenThingsAreLost_TheyAreThereAgainAndRun) {
  Ctl({"secret", "create", "db", "-"}, "hunter2-the-first");
  Ctl({"config", "create", "app", "-"}, "mode=fast\n");
  world().Apply("kind: Volume\nname: data\n");
  world().Apply(Manifest("shop", kSleep,
                         "secrets: [db]\nconfigs: [\"app:/etc/app.conf\"]\n"
                         "volumes: [\"data:/data\"]\n"));
  world().Apply(Manifest("plain", kSleep));
  ASSERT_TRUE(world().AwaitReady("shop", 1)) << Tell();
  ASSERT_TRUE(world().AwaitReady("plain", 1)) << Tell();
  In("shop", "echo precious > /data/file; sync");
  const std::string file = Backup("state.backup");
  EXPECT_THAT(ReadFile(file), Not(HasSubstr("hunter2")));
  struct stat info;
  ASSERT_EQ(stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  Ctl({"delete", "service", "plain", "--wait"});
  Ctl({"secret", "set", "db", "-"}, "hunter2-the-second");
  world().Apply(Manifest("extra", kSleep));
  ASSERT_TRUE(world().AwaitReady("extra", 1)) << Tell();
  EXPECT_THAT(Restore(file, {"--yes"}).err,
              AllOf(HasSubstr("service extra, service shop"),
                    HasSubstr("are declared here"), HasSubstr("replace")));
  const Result dry = Restore(file, {"--dry-run", "--replace"});
  EXPECT_TRUE(dry.ok()) << dry.ToString();
  EXPECT_THAT(dry.out,
              AllOf(HasSubstr("+ service plain\n"), HasSubstr("~ secret db\n"),
                    HasSubstr("- service extra\n"),
                    HasSubstr("  service shop\n"), HasSubstr("  volume data\n"),
                    HasSubstr("objects would be declared as of 2"),
                    HasSubstr(": 1 created, 1 changed, 1 deleted, ")));
  EXPECT_THAT(Restore(file, {"--dry-run", "--replace", "-o", "json"}).out,
              HasSubstr("\"action\": \"deleted\""));
  EXPECT_EQ(Services(), (std::set<std::string>{"extra", "shop"}));

  const Result made = Restore(file, {"--replace", "--yes"});
  ASSERT_TRUE(made.ok()) << made.ToString();
  EXPECT_THAT(made.out, HasSubstr("objects are declared as of 2"));
  ASSERT_TRUE(world().AwaitReady("plain", 1)) << Tell();
  EXPECT_TRUE(Await([] {
    return In("shop", "cat /run/secrets/db /data/file") ==
           "hunter2-the-firstprecious\n";
  })) << Tell();
  EXPECT_TRUE(Await([] { return !Exists("service", "extra"); })) << Tell();

  // A fresh host, with a key file of its own.
  world().Teardown();
  std::filesystem::remove_all(world().Path("s"));
  std::filesystem::remove(world().Path("s.key"));
  world().StartDaemon();
  EXPECT_THAT(Services(), IsEmpty());
  const Result fresh = Restore(file, {"--yes"});
  ASSERT_TRUE(fresh.ok()) << fresh.ToString();
  ASSERT_TRUE(world().AwaitReady("plain", 1)) << Tell();
  ASSERT_TRUE(world().AwaitReady("shop", 1)) << Tell();
  EXPECT_EQ(In("shop", "cat /run/secrets/db /etc/app.conf; ls /data"),
            "hunter2-the-firstmode=fast\n");
  // Its secrets are this host's now: also after a restart.
  world().KillDaemon();
  world().StartDaemon();
  Ctl({"secret", "set", "db", "-"}, "hunter2-the-third");
  EXPECT_TRUE(Await([] {
    return In("shop", "cat /run/secrets/db") == "hunter2-the-third";
  })) << Tell();
  const std::string log = Ctl({"audit"}).out;
  EXPECT_THAT(log, AllOf(HasSubstr("System.Restore"), HasSubstr("objects 6"),
                         Not(HasSubstr("hunter2"))));
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
  DeleteAll();
  Ctl({"volume", "delete", "data", "--wait"});
  Ctl({"secret", "delete", "db"});
  Ctl({"config", "delete", "app"});
}

TEST_F(BackupTest, WhenTheFileIsBad_SaysWhatIsWrongAndChangesNothing) {
  world().Apply(Manifest("kept", kSleep, "replicas: 0\n"));
  const std::string good = ReadFile(Backup("good.backup"));
  world().Apply(Manifest("later", kSleep, "replicas: 0\n"));
  ASSERT_GT(good.size(), 200u);
  std::string changed = good;
  changed[good.size() / 2] ^= 1;
  const struct {
    std::string content;
    const char* what;
    const char* remedy;
  } kCases[] = {
      {"", "its end is missing", "another copy"},
      {"kind: Service\nname: web\n", "this is no backup", "ctl backup"},
      {good.substr(0, 30), "its end is missing", "another copy"},
      {good.substr(0, good.size() - 1), "its end is missing", "another copy"},
      {changed, "was changed", "the"},
      {good + "x", "something follows its end", "another copy"},
      {"BULWARK-BACKUP\n" + std::string(100, '\x07'), "it has version",
       "or an older one"},
  };
  for (const auto& c : kCases) {
    WriteFile(world().Path("bad"), c.content);
    const Result result = Restore(world().Path("bad"), {"--replace", "--yes"});
    EXPECT_EQ(result.code, 1) << result.ToString();
    EXPECT_THAT(result.err,
                AllOf(HasSubstr(world().Path("bad")), HasSubstr(c.what),
                      HasSubstr("hint: "), HasSubstr(c.remedy)));
  }
  WriteFile(Password(), "wrong\n");
  EXPECT_THAT(
      Restore(world().Path("good.backup"), {"--replace", "--yes"}).err,
      AllOf(HasSubstr("the password is wrong"), HasSubstr("hint: give the")));
  EXPECT_EQ(Restore(world().Path("r"), {"--yes"}).code, 2);
  EXPECT_EQ(Restore("/none", {"--yes"}).code, 1);
  EXPECT_EQ(Services(), (std::set<std::string>{"kept", "later"}));
  DeleteAll();
}

TEST_F(BackupTest, WhenTheDiskIsFull_NothingIsLeftThere) {
  Ctl({"config", "create", "big", "-"}, std::string(60000, 'x'));
  const std::string folder = world().Path("small");
  std::filesystem::create_directory(folder);
  ASSERT_EQ(mount("none", folder.c_str(), "tmpfs", 0, "size=32k"), 0);
  const auto backup = [&](const std::string& file,
                          std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"backup", file, "--password-file", Password()});
    return world().Ctl(more);
  };
  const Result full = backup(folder + "/file");
  EXPECT_EQ(full.code, 1) << full.ToString();
  EXPECT_THAT(full.err, AllOf(HasSubstr("No space left on device"),
                              HasSubstr("nothing was left there")));
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  WriteFile(folder + "/file", "older");
  EXPECT_EQ(backup(folder + "/file", {"--force"}).code, 1);
  EXPECT_EQ(ReadFile(folder + "/file"), "older");
  // Standard output that is full is told, too.
  const Result pipe =
      e2e::Run({"sh", "-c", "exec \"$@\" > /dev/full", "sh", world().bin("ctl"),
                "--socket", "unix://" + world().Path("r/bulwarkd.sock"),
                "backup", "-", "--password-file", Password()});
  EXPECT_EQ(pipe.code, 1) << pipe.ToString();
  EXPECT_THAT(pipe.err, HasSubstr("write standard output: No space left"));
  EXPECT_EQ(umount(folder.c_str()), 0);
  EXPECT_THAT(backup(folder + "/none/file").err, HasSubstr("make the folder"));
  Ctl({"config", "delete", "big"});
}

// Two states that share nothing but a service that runs, and that one must not
// even notice.
class RestoreKillTest : public BackupTest {
 protected:
  static constexpr int kServices = 8;

  void SetUp() override {
    BackupTest::SetUp();
    world().Apply(Manifest("runs", kSleep));
    ASSERT_TRUE(world().AwaitReady("runs", 1)) << Tell();
    for (const std::string state : {"a", "b"}) {
      std::string all;
      for (int i = 0; i < kServices; ++i) {
        absl::StrAppend(
            &all, Manifest(absl::StrCat(state, i), kSleep, "replicas: 0\n"),
            "---\n");
      }
      ASSERT_TRUE(world().Apply(all).ok());
      const char* verb = state == "a" ? "create" : "set";
      Ctl({"config", verb, "state", "-"}, std::string(30000, state[0]));
      Ctl({"secret", verb, "state", "-"}, "secret of " + state);
      files_[state] = Backup(state + ".backup");
      states_[state] = State();
      for (int i = 0; i < kServices; ++i) {
        Ctl({"delete", "service", absl::StrCat(state, i), "--wait"});
      }
    }
    ASSERT_NE(states_["a"], states_["b"]);
    pid_ = world().Ready("runs").at(0).pid;
  }

  // All that a restore brings, in one text.
  static std::string State() {
    std::string state;
    for (const std::string& name : Services()) {
      absl::StrAppend(&state, name, " ");
    }
    const std::string config = world().Ctl({"config", "get", "state"}).out;
    absl::StrAppend(&state, "config ", config.size(), config.substr(0, 1));
    for (absl::string_view line : absl::StrSplit(
             world().Ctl({"secret", "history", "state"}).out, '\n')) {
      if (absl::StrContains(line, "current")) {
        absl::StrAppend(&state, " secret ", line.substr(line.rfind(' ') + 1));
      }
    }
    return state;
  }

  // Bytes that the store's log has.
  static size_t LogSize() {
    size_t size = 0;
    std::error_code error;
    for (const auto& entry :
         std::filesystem::directory_iterator(world().Path("s/store/db"))) {
      if (entry.path().extension() != ".log") continue;
      const auto bytes = entry.file_size(error);
      if (!error) size += bytes;
    }
    return size;
  }

  // Restores `to`, and kills the daemon when `when` says so.
  void KillInRestore(const std::string& to,
                     const std::function<void(Session&)>& when) {
    ASSERT_TRUE(Settled()) << Tell();
    const std::string before = State();
    Session restore(world(), RestoreCommand(files_[to], {"--replace", "-y"}));
    when(restore);
    world().KillDaemon();
    const int code = restore.Wait();
    world().LaunchDaemon();
    world().AwaitDaemon();
    const std::string after = State();
    EXPECT_THAT(after, AnyOf(before, states_[to]));
    if (code == 0) {
      EXPECT_EQ(after, states_[to]) << "what was acknowledged is lost";
    } else {
      EXPECT_THAT(restore.Err(), HasSubstr("error: "));
    }
    ++(after == before ? old_ : new_);
    // Once more, to its end.
    ASSERT_TRUE(Settled()) << Tell();
    const Result again = Restore(files_[to], {"--replace", "-y"});
    EXPECT_TRUE(again.ok()) << again.ToString();
    EXPECT_EQ(State(), states_[to]);
    ASSERT_THAT(world().Ready("runs"), ::testing::SizeIs(1)) << Tell();
    EXPECT_EQ(world().Ready("runs")[0].pid, pid_) << Tell();
  }

  std::map<std::string, std::string> files_, states_;
  int pid_ = 0;
  int old_ = 0, new_ = 0;
};

TEST_F(RestoreKillTest, WhenTheDaemonDiesInARestore_ItWasMadeOrItWasNot) {
  // How long one takes.
  const absl::Time start = WallNow();
  ASSERT_TRUE(Restore(files_["a"], {"--replace", "-y"}).ok());
  const absl::Duration whole = WallNow() - start;
  SeededEntropy entropy(7);
  const size_t kChange = 8000;  // of what a record of a call is much smaller
  for (int i = 0; i < Kills() && !HasFailure(); ++i) {
    KillInRestore(i % 2 == 0 ? "b" : "a", [&](Session& session) {
      if (i % 3 == 0) return Pause(entropy.Fraction() * whole);
      const size_t size = LogSize();
      const absl::Time deadline = WallNow() + absl::Seconds(20);
      // As soon as the call is on record, or as the change is being written.
      const size_t more = i % 3 == 1 ? 1 : kChange;
      while (LogSize() < size + more && WallNow() < deadline) {
      }
    });
  }
  printf("%d times as before, %d times as restored\n", old_, new_);
  EXPECT_THAT(Ctl({"audit", "verify"}).out, HasSubstr("all in place"));
  ASSERT_TRUE(Settled());
  DeleteAll();
  Ctl({"secret", "delete", "state"});
  Ctl({"config", "delete", "state"});
}

}  // namespace
}  // namespace bulwark::e2e
