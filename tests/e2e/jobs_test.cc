// Jobs and cron jobs with a real daemon.

#include <signal.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/e2e/suite.h"

namespace bulwark::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class JobsTest : public Suite {
 protected:
  static void SetUpTestSuite() {
    Open("e2ejobs");
    mkdir(world().Path("out").c_str(), 0777);
    // Their first minute comes while the other tests run.
    world().Apply(Cron("tick", "echo tick"));
    world().Apply(Cron("forbids", "exec sleep 1000", "concurrency: forbid\n"));
    world().Apply(
        Cron("replaces", "exec sleep 1000", "concurrency: replace\n"));
    Ctl({"job", "trigger", "forbids"});
    Ctl({"job", "trigger", "replaces"});
  }
  static void TearDownTestSuite() { Close(); }

  // A file of the directory that executions see as /out.
  static std::string Out(const std::string& file) {
    return world().Path("out/") + file;
  }
  static std::string Job(const std::string& name, const std::string& command,
                         const std::string& more = "") {
    return absl::StrCat("kind: Job\nname: ", name, "\n", Body(command), more);
  }
  static std::string Cron(const std::string& name, const std::string& command,
                          const std::string& more = "") {
    return absl::StrCat("kind: CronJob\nname: ", name,
                        "\nschedule: \"* * * * *\"\n", Body(command), more);
  }
  static std::string Body(const std::string& command) {
    return absl::StrCat("image: ", busybox(), "\ncommand: [sh, -c, '", command,
                        "']\nresources: {memory: 64Mi}\nstop: {timeout: 1s}\n",
                        "volumes: [\"", world().Path("out"), ":/out\"]\n");
  }

  static Json Get(const std::string& kind, const std::string& name) {
    const Result result = world().Ctl({"get", kind, name, "-o", "json"});
    return result.ok() ? Json::parse(result.out) : Json();
  }
  static std::string Reason(const std::string& kind, const std::string& name,
                            const std::string& type) {
    const Json object = Get(kind, name);
    if (!object.contains("status")) return "";
    for (const Json& c : object["status"].value("conditions", Json::array())) {
      if (c["type"] == type) return c["reason"];
    }
    return "";
  }
  static int Count(const std::string& name, const char* field) {
    const Json job = Get("job", name);
    return job.contains("status") ? job["status"].value(field, 0) : -1;
  }
  // The jobs that the cron job has now.
  static std::vector<std::string> JobsOf(const std::string& cron_job) {
    std::vector<std::string> names;
    for (const Json& job :
         Json::parse(Ctl({"get", "jobs", "-o", "json"}).out)) {
      const Json& m = job["metadata"];
      if (m.contains("owner") && m["owner"]["name"] == cron_job &&
          !m.contains("deleteTime")) {
        names.push_back(m["name"]);
      }
    }
    return names;
  }
  static int Lines(const std::string& file) {
    const std::vector<std::string> lines =
        absl::StrSplit(ReadFile(Out(file)), '\n', absl::SkipEmpty());
    return static_cast<int>(lines.size());
  }
};

// The daemon is killed again and again while five executions succeed.
TEST_F(JobsTest, WhenTheDaemonIsKilled_ExactlyFiveSucceed) {
  world().Apply(Job("five", "sleep 1; echo done >> /out/five",
                    "completions: 5\nparallelism: 2\n"));
  for (int i = 0; i < 6; ++i) {
    Pause(absl::Milliseconds(150 + 170 * i));
    world().KillDaemon();
    world().StartDaemon();
  }
  const Result waited =
      world().Ctl({"wait", "job/five", "--timeout", "60s"}, absl::Minutes(2));
  EXPECT_TRUE(waited.ok()) << waited.ToString();
  EXPECT_EQ(Lines("five"), 5);
  EXPECT_EQ(Count("five", "succeeded"), 5);
  EXPECT_EQ(Count("five", "failed"), 0);
  Pause(absl::Seconds(1));
  EXPECT_EQ(Lines("five"), 5);
  EXPECT_THAT(Ctl({"get", "jobs"}).out, HasSubstr("5/5"));
  EXPECT_THAT(Ctl({"describe", "job", "five"}).out, HasSubstr("completed"));
}

TEST_F(JobsTest, WhenItFailsTooOften_GivesUpAndSaysWhy) {
  world().Apply(
      Job("bad", "echo try; echo oops >&2; exit 3", "backoffLimit: 1\n"));
  // The second try comes after 10 s.
  ASSERT_TRUE(Eventually([] { return Count("bad", "failed") == 1; }));
  EXPECT_EQ(Reason("job", "bad", "Progressing"), "BackOff");
  const Result waited = world().Ctl({"wait", "job/bad", "--timeout", "60s"});
  EXPECT_EQ(waited.code, 1);
  EXPECT_THAT(waited.err, HasSubstr("exited with status 3"));
  EXPECT_THAT(waited.err, HasSubstr("oops"));
  EXPECT_EQ(Reason("job", "bad", "Failed"), "BackoffLimitExceeded");
  EXPECT_EQ(Count("bad", "failed"), 2);
  EXPECT_EQ(Ctl({"job", "logs", "bad"}).out, "try\ntry\n");
  EXPECT_THAT(Ctl({"job", "list"}).out, HasSubstr("BackoffLimitExceeded"));
}

TEST_F(JobsTest, WhenItsTimeIsOver_IsStopped) {
  world().Apply(Job("late", "exec sleep 1000", "activeDeadline: 2s\n"));
  const Result waited = world().Ctl({"wait", "job/late", "--timeout", "30s"});
  EXPECT_EQ(waited.code, 1);
  EXPECT_EQ(Reason("job", "late", "Failed"), "DeadlineExceeded");
  EXPECT_TRUE(Eventually([] { return Count("late", "active") == 0; }));
  EXPECT_THAT(Ctl({"ps"}).out, Not(HasSubstr("late-")));
}

TEST_F(JobsTest, WhenInitContainersPrepare_TheyRunInOrder) {
  const std::string image = absl::StrCat("image: ", busybox());
  auto container = [&](const std::string& name, const std::string& command) {
    return absl::StrCat("  - {name: ", name, ", ", image,
                        ", command: [sh, -c, '", command, "'], volumes: [\"",
                        world().Path("out"), ":/out\"]}\n");
  };
  world().Apply(absl::StrCat(
      "kind: Job\nname: inits\ninitContainers:\n",
      container("one", "sleep 0.3; echo one >> /out/inits"),
      container("two", "echo two >> /out/inits"), "containers:\n",
      container("main", "echo main >> /out/inits; cat /out/inits")));
  EXPECT_TRUE(world().Ctl({"wait", "job/inits", "--timeout", "30s"}).ok());
  EXPECT_EQ(ReadFile(Out("inits")), "one\ntwo\nmain\n");
  EXPECT_EQ(Ctl({"logs", "job/inits"}).out, "one\ntwo\nmain\n");
}

TEST_F(JobsTest, WhenAServiceWaitsForIt_StartsAfterIt) {
  world().Apply(absl::StrCat(
      Manifest("after", "exec sleep 100000", "dependsOn: {first: completed}\n"),
      "---\n", Job("first", "sleep 2; echo first >> /out/first")));
  EXPECT_TRUE(world().AwaitReady("after", 1));
  EXPECT_EQ(Lines("first"), 1);
  Ctl({"delete", "service", "after", "--wait"});
}

TEST_F(JobsTest, WhenSuspended_StopsAndGoesOn) {
  world().Apply(Job("pause", "sleep 1; echo x >> /out/pause; sleep 2",
                    "completions: 2\n"));
  ASSERT_TRUE(Eventually([] { return Count("pause", "active") == 1; }));
  Ctl({"job", "suspend", "pause"});
  EXPECT_TRUE(Eventually([] { return Count("pause", "active") == 0; }));
  EXPECT_EQ(Reason("job", "pause", "Suspended"), "Suspended");
  Ctl({"job", "resume", "pause"});
  EXPECT_TRUE(world().Ctl({"wait", "job/pause", "--timeout", "30s"}).ok());
  EXPECT_EQ(Count("pause", "succeeded"), 2);
  EXPECT_EQ(Count("pause", "failed"), 0);
}

TEST_F(JobsTest, WhenDeleted_ItsContainersGoToo) {
  world().Apply(Job("gone", "exec sleep 1000",
                    "parallelism: 2\n"
                    "completions: 2\n"));
  ASSERT_TRUE(Eventually([] { return Count("gone", "active") == 2; }));
  ASSERT_TRUE(Eventually([] {
    return world().Ctl({"exec", "job/gone", "echo", "hi"}).out == "hi\n";
  }));
  Ctl({"delete", "job", "gone", "--wait"});
  EXPECT_THAT(Ctl({"ps", "-a"}).out, Not(HasSubstr("gone-")));
}

TEST_F(JobsTest, WhenItHasBegun_ItsTemplateStays) {
  const std::string job = Job("fixed", "exec sleep 1000");
  world().Apply(job);
  ASSERT_TRUE(Eventually([] { return Count("fixed", "active") == 1; }));
  const Result refused = world().Ctl({"apply", "-f", "-"}, absl::Seconds(30),
                                     Job("fixed", "exec sleep 2000"));
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, HasSubstr("cannot change once the job has begun"));
  EXPECT_THAT(Ctl({"apply", "-f", "-"}, job).out, HasSubstr("unchanged"));
  Ctl({"job", "delete", "fixed", "--wait"});
}

TEST_F(JobsTest, WhenTheManifestIsWrong_SaysWhere) {
  const struct {
    std::string manifest;
    const char* message;
  } kCases[] = {
      {absl::StrCat("kind: CronJob\nname: c\nschedule: \"0 0 31 2 *\"\n",
                    Body("true")),
       "never fires"},
      {absl::StrCat("kind: CronJob\nname: c\nschedule: \"61 * * * *\"\n",
                    Body("true")),
       "is not from 0 to 59"},
      {Cron("c", "true", "timeZone: Mars/Olympus\n"), "time zone"},
      {Cron(std::string(32, 'c'), "true"), "longer than 31"},
      {Job("j", "true", "health: {tcp: 80}\n"), "no probes"},
      {Job("j", "true", "parallelism: 1001\n"), "above 1000"},
      {Job("j", "true", "dependsOn: {nobody: completed}\n"), "there is no job"},
      {Job("j", "true", "dependsOn: {j: completed}\n"), "depends on itself"},
  };
  for (const auto& c : kCases) {
    const Result result =
        world().Ctl({"apply", "-f", "-"}, absl::Seconds(30), c.manifest);
    EXPECT_EQ(result.code, 1) << c.manifest;
    EXPECT_THAT(result.err, HasSubstr(c.message));
  }
}

// Last: their minute has come by now.
TEST_F(JobsTest, WhenAMinuteHasPassed_CronJobsHaveRun) {
  ASSERT_TRUE(
      Eventually([] { return !JobsOf("tick").empty(); }, absl::Seconds(70)));
  const std::string tick = "job/" + JobsOf("tick")[0];
  EXPECT_TRUE(world().Ctl({"wait", tick, "--timeout", "20s"}).ok());
  EXPECT_EQ(Ctl({"job", "logs", tick}).out, "tick\n");
  Ctl({"job", "logs", "tick"});  // of the newest
  EXPECT_THAT(Ctl({"describe", "cron-job", "tick"}).out, HasSubstr("1/1"));
  // One waits for what was triggered; the other took its place.
  EXPECT_TRUE(Eventually([] {
    return Reason("cron-job", "forbids", "Scheduled") == "WaitsForRunning";
  }));
  const std::vector<std::string> first = JobsOf("forbids");
  ASSERT_EQ(first.size(), 1u);
  EXPECT_TRUE(Eventually([] {
    const std::vector<std::string> jobs = JobsOf("replaces");
    return jobs.size() == 1 && Count(jobs[0], "active") == 1 &&
           jobs[0].find_first_not_of("0123456789", sizeof("replaces")) ==
               std::string::npos;
  }));
  // Killed between the end of the one and the start of the other.
  Ctl({"job", "delete", first[0]});
  world().KillDaemon();
  world().StartDaemon();
  EXPECT_TRUE(Eventually([&] {
    const std::vector<std::string> jobs = JobsOf("forbids");
    return jobs.size() == 1 && jobs[0] != first[0];
  }));
  Ctl({"job", "suspend", "cron-job/tick"});
  EXPECT_TRUE(Eventually([] {
    return absl::StrContains(Ctl({"get", "cron-jobs"}).out, "Suspended");
  }));
  Ctl({"job", "delete", "tick", "forbids", "replaces", "--wait"});
  EXPECT_THAT(Ctl({"ps"}).out, Not(HasSubstr("forbids-")));
}

}  // namespace
}  // namespace bulwark::e2e
