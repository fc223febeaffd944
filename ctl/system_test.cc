// doctor, system, why.
#include <algorithm>

#include "ctl/testing/fixture.h"

namespace bulwark::ctl::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::DoctorResponse Checks(v1::DoctorCheck::Result worst) {
  v1::DoctorResponse response;
  v1::DoctorCheck& kernel = *response.add_checks();
  kernel.set_name("kernel");
  kernel.set_result(v1::DoctorCheck::GOOD);
  kernel.set_message("Linux 6.12");
  v1::DoctorCheck& egress = *response.add_checks();
  egress.set_name("egress");
  egress.set_result(worst);
  egress.set_message("containers reach no other host");
  egress.set_remedy("sysctl net.ipv4.ip_forward=1");
  return response;
}

TEST_F(CtlTest, DoctorSaysWhatFollowsAndWhatMendsIt) {
  server_.set_doctor(Checks(v1::DoctorCheck::BAD));
  EXPECT_EQ(Ctl({"doctor"}), kExitError);
  EXPECT_EQ(out_,
            "good     kernel         Linux 6.12\n"
            "bad      egress         containers reach no other host\n"
            "                        what to do: sysctl "
            "net.ipv4.ip_forward=1\n"
            "2 checks: 1 good, 1 bad\n");
  EXPECT_EQ(Ctl({"doctor", "--problems"}), kExitError);
  EXPECT_THAT(out_, Not(HasSubstr("Linux 6.12")));
  server_.set_doctor(Checks(v1::DoctorCheck::LIMITED));
  EXPECT_EQ(Ctl({"doctor"}), kExitOk);
  EXPECT_EQ(Ctl({"doctor", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"result\": \"limited\""));
  EXPECT_EQ(Ctl({"doctor", "-o", "wide"}), kExitUsage);
}

TEST_F(CtlTest, DoctorIsColouredOnATerminalOnly) {
  server_.set_doctor(Checks(v1::DoctorCheck::BAD));
  Ctl({"doctor"});
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  io_.tty = true;
  Ctl({"doctor"});
  EXPECT_THAT(out_, HasSubstr("\x1b"));
}

TEST_F(CtlTest, TablesAreColouredOnATerminalOnly) {
  server_.Put(MakeService("web", 2, 3));
  Ctl({"get", "services"});
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  io_.tty = true;
  Ctl({"get", "services"});
  EXPECT_THAT(out_, HasSubstr("\x1b[33m2/3\x1b[0m"));
  EXPECT_THAT(out_, HasSubstr("\x1b[33mProgressing\x1b[0m\n"));
  Ctl({"get", "services", "-o", "yaml"});
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
}

TEST_F(CtlTest, DiskUsageIsATable) {
  v1::DiskUsageResponse usage;
  v1::DiskUsageItem& images = *usage.add_items();
  images.set_type("images");
  images.set_count(3);
  images.set_active(1);
  images.set_size_bytes(5200000);
  images.set_reclaimable_bytes(1000);
  usage.set_disk_total_bytes(100000000);
  usage.set_disk_available_bytes(50000000);
  server_.set_disk_usage(usage);
  EXPECT_EQ(Ctl({"system", "df"}), kExitOk) << err_;
  EXPECT_EQ(out_,
            "TYPE     COUNT   ACTIVE   SIZE     RECLAIMABLE\n"
            "images   3       1        5.2 MB   1.0 kB\n"
            "\n"
            "50.0 MB of 100 MB are free; ctl system prune frees 1.0 kB, with "
            "-a also images that have a name\n");
  EXPECT_EQ(Ctl({"system", "df", "-o", "json"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("\"reclaimableBytes\""));
}

TEST_F(CtlTest, PruneSaysWhatWentAndHowMuchThatFreed) {
  EXPECT_EQ(Ctl({"system", "prune"}), kExitOk) << err_;
  EXPECT_EQ(out_,
            "image docker.io/library/old:1 removed\n"
            "freed 5.2 MB\n");
  EXPECT_EQ(Ctl({"system", "prune", "-a", "--type", "images", "--type",
                 "containers", "--dry-run"}),
            kExitOk);
  EXPECT_EQ(out_,
            "image docker.io/library/old:1 would be removed\n"
            "would free 5.2 MB\n");
  EXPECT_EQ(server_.calls().back(),
            "Prune types: \"images\" types: \"containers\" all: true "
            "validate_only: true");
  EXPECT_EQ(Ctl({"system"}), kExitUsage);
}

TEST_F(CtlTest, WhenAKindBelongsToNoProject_TheProjectDoesNotMatter) {
  v1::Object object;
  object.mutable_project()->mutable_metadata()->set_name("shop");
  server_.Put(object);
  EXPECT_EQ(Ctl({"-p", "shop", "get", "projects"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("shop"));
  EXPECT_EQ(Ctl({"-p", "shop", "get", "project", "shop", "-o", "manifest"}),
            kExitOk);
  EXPECT_THAT(out_, HasSubstr("kind: Project"));
  EXPECT_EQ(Ctl({"-p", "shop", "get", "nodes"}), kExitOk);
  EXPECT_EQ(err_, "no nodes\n");
  EXPECT_EQ(Ctl({"-p", "shop", "describe", "project", "shop"}), kExitOk);
  EXPECT_EQ(Ctl({"-p", "shop", "delete", "project", "shop"}), kExitOk) << err_;
  EXPECT_FALSE(server_.Has("project", "shop"));
}

TEST_F(CtlTest, TheAuditLogIsAnArrayOrLinesOfJson) {
  EXPECT_EQ(Ctl({"audit"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("alice   Secrets.Set"));
  EXPECT_EQ(Ctl({"audit", "-o", "json"}), kExitOk) << err_;
  const std::string first =
      "{\"sequence\": 1,\"actor\": {\"name\": \"alice\"},\"method\": "
      "\"/bulwark.v1.Secrets/Set\",\"detail\": \"two\\nlines "
      "\\\"quoted\\\"\"}";
  EXPECT_THAT(out_, HasSubstr("[\n" + first + ",\n{\"sequence\": 2"));
  EXPECT_EQ(out_.substr(out_.size() - 4), "}\n]\n");
  EXPECT_EQ(Ctl({"audit", "-f", "-o", "json"}), kExitOk) << err_;
  EXPECT_EQ(out_.substr(0, first.size() + 1), first + "\n");
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 2);
}

TEST_F(CtlTest, TheBootReportIsTheNodesCondition) {
  EXPECT_EQ(Ctl({"system", "boot-report"}), kExitError);  // no node yet
  v1::Object object;
  v1::Node& node = *object.mutable_node();
  node.mutable_metadata()->set_name("local");
  node.mutable_metadata()->set_project("default");
  server_.Put(object);
  EXPECT_EQ(Ctl({"system", "boot-report"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("no report"));
  v1::Condition& booted = *node.mutable_status()->add_conditions();
  booted.set_type("Booted");
  booted.set_status(v1::Condition::TRUE);
  booted.set_message("the host booted\ndefault/web ready after 2s");
  server_.Put(object);
  EXPECT_EQ(Ctl({"system", "boot-report"}), kExitOk);
  EXPECT_EQ(out_, "the host booted\ndefault/web ready after 2s\n");
  booted.set_status(v1::Condition::FALSE);
  server_.Put(object);
  EXPECT_EQ(Ctl({"system", "boot-report"}), kExitError);
}

TEST_F(CtlTest, WhyAsksForAllThatIsKnown) {
  v1::Object web = MakeService("web", 0, 1);
  v1::Condition& loop =
      *web.mutable_service()->mutable_status()->add_conditions();
  loop.set_type("CrashLoop");
  loop.set_status(v1::Condition::TRUE);
  loop.set_message("web-0-abcde failed, as did 3 before it in its slot");
  server_.Put(web);
  v1::Object replica = MakeReplica("web", 0);
  v1::ReplicaStatus& status = *replica.mutable_replica()->mutable_status();
  status.set_state(v1::ReplicaStatus::FAILED);
  status.set_ready(false);
  status.set_reason("Error");
  status.set_message("web exited with status 3");
  status.mutable_finish_time()->set_seconds(1893456000);
  server_.Put(replica);
  server_.set_log_lines({Line("web-0-abcde", "cannot open /etc/app.conf"),
                         Line("web-0-abcde", "\x1b[31mgiving up")});
  EXPECT_EQ(Ctl({"why", "web"}), kExitOk) << err_;
  EXPECT_THAT(out_, HasSubstr("service web is CrashLoop: web-0-abcde failed"));
  EXPECT_THAT(out_, HasSubstr("web exited with status 3"));
  EXPECT_THAT(out_, HasSubstr("  cannot open /etc/app.conf\n"));
  EXPECT_THAT(out_, Not(HasSubstr("\x1b")));
  EXPECT_EQ(Ctl({"why", "service/web", "-n", "0"}), kExitOk);
  EXPECT_THAT(out_, Not(HasSubstr("cannot open")));
  EXPECT_EQ(Ctl({"why", "nothing"}), kExitError);
  EXPECT_EQ(Ctl({"why", "volume/web"}), kExitUsage);
}

}  // namespace
}  // namespace bulwark::ctl::testing
