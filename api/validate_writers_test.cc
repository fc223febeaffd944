// Services among themselves: plan_test.cc.
#include "api/validate_writers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/text_format.h"

namespace bulwark::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kMount[] =
    "containers { image: 'a:1' volumes { volume: 'd' path: '/d' } } ";
constexpr char kAfter[] = "depends_on { service: 'j' condition: COMPLETED } ";

v1::Object Parse(const std::string& text) {
  v1::Object object;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &object))
      << text;
  return object;
}

v1::Object Volume() {
  return Parse(
      "volume { metadata { name: 'd' } spec { access: SINGLE_WRITER } }");
}
v1::Object Service(const std::string& more = "") {
  return Parse(absl::StrCat("service { metadata { name: 's' } spec { ", kMount,
                            more, " } }"));
}
v1::Object Job(const std::string& name, const std::string& more = "") {
  return Parse(absl::StrCat("job { metadata { name: '", name, "' } spec { ",
                            kMount, more, " } }"));
}
v1::Object Cron(const std::string& concurrency, const std::string& more = "") {
  return Parse(absl::StrCat("cron_job { metadata { name: 'c' } spec { ",
                            "concurrency: ", concurrency, " job { ", kMount,
                            more, " } } }"));
}

// "field: message" of each problem; the volume is there, if not in the request.
std::vector<std::string> Problems(const std::vector<v1::Object>& request,
                                  const std::list<v1::Object>& stored = {}) {
  World world;
  const v1::Object volume = Volume();
  if (request.empty() || !request[0].has_volume()) {
    world.entries.push_back({&volume, -1});
  }
  for (const v1::Object& object : stored)
    world.entries.push_back({&object, -1});
  for (size_t i = 0; i < request.size(); ++i) {
    world.entries.push_back({&request[i], static_cast<int>(i)});
  }
  Report report;
  CheckWriters(world, report);
  std::vector<std::string> problems;
  for (const v1::Violation& v : report.violations()) {
    problems.push_back(absl::StrCat(v.field(), ": ", v.message()));
  }
  return problems;
}

TEST(WritersTest, AJobRunsOneExecutionAtATime) {
  EXPECT_THAT(Problems({Job("j", "completions: 5")}), IsEmpty());
  EXPECT_THAT(Problems({Job("j", "parallelism: 5")}), IsEmpty());
  EXPECT_THAT(Problems({Job("j", "completions: 5 parallelism: 2")}),
              ElementsAre(HasSubstr("spec.parallelism: volume d is for one "
                                    "writer, and 2 executions")));
}

TEST(WritersTest, ACronJobRunsOneJobAtATime) {
  EXPECT_THAT(Problems({Cron("FORBID")}), IsEmpty());
  EXPECT_THAT(Problems({Cron("REPLACE")}), IsEmpty());
  for (const char* several : {"ALLOW", "CONCURRENCY_UNSPECIFIED"}) {
    EXPECT_THAT(Problems({Cron(several)}),
                ElementsAre(HasSubstr("spec.concurrency: volume d")));
  }
  EXPECT_THAT(Problems({Cron("FORBID", "completions: 2 parallelism: 2")}),
              ElementsAre(HasSubstr("spec.job.parallelism: volume d")));
  // Its own jobs are it.
  v1::Object run = Job("c-1");
  run.mutable_job()->mutable_metadata()->mutable_owner()->set_name("c");
  EXPECT_THAT(Problems({Cron("FORBID")}, {run}), IsEmpty());
}

TEST(WritersTest, NoTwoMountItAtOnce) {
  EXPECT_THAT(Problems({Service(), Job("j")}),
              ElementsAre(HasSubstr("spec.containers: volume d is for one "
                                    "writer, and service s mounts it")));
  EXPECT_THAT(Problems({Service(), Cron("FORBID")}),
              ElementsAre(HasSubstr("spec.job.containers: volume d")));
  EXPECT_THAT(Problems({Job("j"), Job("k")}),
              ElementsAre(HasSubstr("job j mounts it")));
  EXPECT_THAT(Problems({Volume()}, {Service(), Job("j")}),
              ElementsAre(HasSubstr("spec.access: service s and job j")));
  // Nothing of the request is to blame.
  EXPECT_THAT(Problems({}, {Service(), Job("j")}), IsEmpty());
}

TEST(WritersTest, SaysHowToLetThemMountItInTurn) {
  World world;
  const v1::Object volume = Volume(), service = Service(), job = Job("j");
  world.entries = {{&volume, -1}, {&service, -1}, {&job, 0}};
  Report report;
  CheckWriters(world, report);
  ASSERT_EQ(report.violations().size(), 1u);
  EXPECT_THAT(report.violations()[0].remedy(),
              HasSubstr("`ctl stop s --wait`"));
}

TEST(WritersTest, WhoWaitsForTheEndOfAJobMayMountItToo) {
  EXPECT_THAT(Problems({Service(kAfter), Job("j")}), IsEmpty());
  EXPECT_THAT(Problems({Job("j"), Job("k", kAfter)}), IsEmpty());
  EXPECT_THAT(Problems({Service(kAfter)}, {Job("j")}), IsEmpty());
  // Both wait for the job, and not for each other.
  EXPECT_THAT(Problems({Service(kAfter), Job("j"), Job("k", kAfter)}),
              ElementsAre(HasSubstr("service s mounts it")));
  EXPECT_THAT(Problems({Service("depends_on { service: 'j' }"), Job("j")}),
              ElementsAre(HasSubstr("service s mounts it")));
}

TEST(WritersTest, BesideAServiceThatIsStoppedAJobMayRestoreItsData) {
  for (const char* rests : {"stopped: true", "replicas: 0"}) {
    EXPECT_THAT(Problems({Job("j")}, {Service(rests)}), IsEmpty());
    EXPECT_THAT(Problems({Job("j"), Job("k")}, {Service(rests)}),
                ElementsAre(HasSubstr("job j mounts it")));
  }
}

TEST(WritersTest, AServiceThatStillStopsIsAWriter) {
  v1::Object service = Service("stopped: true");
  service.mutable_service()->mutable_status()->set_replicas(1);
  EXPECT_THAT(Problems({Job("j")}, {service}),
              ElementsAre(HasSubstr("service s mounts it")));
}

// They were declared before there was this rule.
TEST(WritersTest, WhoMountsItTogetherAlreadyMayBeChanged) {
  const v1::Object volume = Volume(), service = Service(), job = Job("j");
  const v1::Object cron = Cron("ALLOW");
  const v1::Object scaled = Service("replicas: 1");
  const v1::Object suspended = Cron("ALLOW", "suspend: true");
  const auto problems = [&](std::vector<World::Entry> entries) {
    World world;
    world.entries = std::move(entries);
    Report report;
    CheckWriters(world, report);
    return report.violations().size();
  };
  EXPECT_EQ(problems({{&volume, -1}, {&cron, -1}, {&scaled, 0, &service}}), 0u);
  EXPECT_EQ(problems({{&volume, -1}, {&service, -1}, {&suspended, 0, &cron}}),
            0u);
  // Another one more is refused, and to say that the volume is for one writer.
  EXPECT_EQ(problems({{&volume, -1}, {&service, -1}, {&cron, -1}, {&job, 0}}),
            1u);
  EXPECT_EQ(problems({{&volume, 0, &volume}, {&service, -1}, {&job, -1}}), 1u);
}

TEST(WritersTest, AJobThatHasEndedMountsNothing) {
  for (const char* end : {"Complete", "Failed"}) {
    v1::Object done = Job("j");
    v1::Condition& c = *done.mutable_job()->mutable_status()->add_conditions();
    c.set_type(end);
    EXPECT_THAT(Problems({Service()}, {done}),
                ElementsAre(HasSubstr("job j mounts it")));
    c.set_status(v1::Condition::TRUE);
    EXPECT_THAT(Problems({Service()}, {done}), IsEmpty());
  }
}

}  // namespace
}  // namespace bulwark::api
