// ctl job, and what other commands do with jobs.
#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

v1::Object MakeJob(const std::string& name) {
  v1::Object object;
  v1::Job& job = *object.mutable_job();
  job.mutable_metadata()->set_name(name);
  job.mutable_spec()->set_completions(5);
  job.mutable_spec()->add_containers()->set_image("tools:3");
  job.mutable_status()->set_succeeded(2);
  job.mutable_status()->set_active(1);
  return object;
}

v1::Object MakeCronJob(const std::string& name) {
  v1::Object object;
  v1::CronJob& cron_job = *object.mutable_cron_job();
  cron_job.mutable_metadata()->set_name(name);
  cron_job.mutable_metadata()->set_uid("u1");
  cron_job.mutable_spec()->set_schedule("0 3 * * *");
  return object;
}

void Condition(v1::Object& job, const char* type, const char* reason,
               const char* message) {
  v1::Condition& c = *job.mutable_job()->mutable_status()->add_conditions();
  c.set_type(type);
  c.set_status(v1::Condition::TRUE);
  c.set_reason(reason);
  c.set_message(message);
}

TEST_F(CtlTest, WhenJobsAreListed_CronJobsComeFirst) {
  EXPECT_EQ(Ctl({"job", "list"}), kExitOk);
  EXPECT_EQ(err_, "no jobs\n");
  server_.Put(MakeJob("import"));
  server_.Put(MakeCronJob("nightly"));
  EXPECT_EQ(Ctl({"job", "list"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("0 3 * * *"));
  EXPECT_THAT(out_, HasSubstr("2/5"));
  EXPECT_LT(out_.find("nightly"), out_.find("import"));
}

TEST_F(CtlTest, WhenAJobIsWaitedFor_ItsEndDecides) {
  v1::Object job = MakeJob("good");
  Condition(job, "Complete", "Completed", "5 executions have completed");
  server_.Put(job);
  EXPECT_EQ(Ctl({"wait", "job/good"}), kExitOk) << err_;
  job = MakeJob("bad");
  Condition(job, "Failed", "BackoffLimitExceeded", "7 executions failed");
  server_.Put(job);
  EXPECT_EQ(Ctl({"wait", "job/bad"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("7 executions failed"));
  EXPECT_EQ(Ctl({"get", "jobs"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("BackoffLimitExceeded"));
}

TEST_F(CtlTest, WhenSuspended_TheDeclarationSaysSo) {
  server_.Put(MakeJob("import"));
  server_.Put(MakeCronJob("nightly"));
  EXPECT_EQ(Ctl({"job", "suspend", "import"}), kExitOk) << err_;
  EXPECT_EQ(out_, "job import suspended\n");
  EXPECT_TRUE(server_.last_apply().objects(0).job().spec().suspend());
  EXPECT_EQ(server_.last_apply().objects(0).job().metadata().resource_version(),
            "");
  EXPECT_EQ(Ctl({"job", "suspend", "cron-job/nightly"}), kExitOk) << err_;
  EXPECT_TRUE(server_.last_apply().objects(0).cron_job().spec().suspend());
  EXPECT_EQ(Ctl({"job", "resume", "nightly"}), kExitOk) << err_;
  EXPECT_FALSE(server_.last_apply().objects(0).cron_job().spec().suspend());
  EXPECT_EQ(Ctl({"job", "suspend", "nobody"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("no job or cron job"));
  EXPECT_EQ(Ctl({"job", "suspend", "service/web"}), kExitUsage);
}

TEST_F(CtlTest, WhenTriggered_NamesTheNewJob) {
  EXPECT_EQ(Ctl({"job", "trigger", "nightly"}), kExitOk) << err_;
  EXPECT_EQ(out_, "job nightly-1 created\n");
  EXPECT_THAT(server_.calls(), Contains("Trigger nightly"));
}

TEST_F(CtlTest, WhenABareNameIsAJobs_ItsLogsArePrinted) {
  server_.Put(MakeJob("import"));
  v1::LogLine line;
  line.set_replica("import-0-abcde");
  line.set_container("import");
  line.set_line("hello");
  server_.set_log_lines({line});
  EXPECT_EQ(Ctl({"logs", "import"}), kExitOk) << err_;
  EXPECT_EQ(out_, "hello\n");
  EXPECT_EQ(Ctl({"job", "logs", "job/import"}), kExitOk) << err_;
  EXPECT_EQ(out_, "hello\n");
  server_.Put(MakeCronJob("nightly"));
  EXPECT_EQ(Ctl({"job", "logs", "nightly"}), kExitError);
  EXPECT_THAT(err_, HasSubstr("it has made no job"));
}

TEST_F(CtlTest, WhenJobsAreDeleted_BothKindsGo) {
  server_.Put(MakeJob("import"));
  server_.Put(MakeCronJob("nightly"));
  EXPECT_EQ(Ctl({"job", "delete", "import", "nightly"}), kExitOk) << err_;
  EXPECT_EQ(out_, "job import deleted\ncron-job nightly deleted\n");
  EXPECT_FALSE(server_.Has("job", "import"));
}

}  // namespace
}  // namespace bulwark::ctl::testing
