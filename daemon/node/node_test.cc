#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "base/unique_fd.h"
#include "daemon/node/boot_report.h"
#include "daemon/node/node_record.h"
#include "daemon/node/protect.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::daemon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::Service MakeService(const std::string& name,
                        const std::string& depends_on = "") {
  v1::Service service;
  service.mutable_metadata()->set_name(name);
  service.mutable_metadata()->set_project("default");
  if (!depends_on.empty()) {
    service.mutable_spec()->add_depends_on()->set_service(depends_on);
  }
  return service;
}

void SetAvailable(v1::Service& service, bool available, absl::Time now,
                  const std::string& message = "") {
  v1::Condition condition;
  condition.set_type("Available");
  condition.set_status(available ? v1::Condition::TRUE : v1::Condition::FALSE);
  condition.set_reason(available ? "MinimumAvailable" : "ReplicasUnavailable");
  condition.set_message(message);
  scheduler::SetCondition(*service.mutable_status()->mutable_conditions(),
                          condition, now);
}

TEST(BootReportTest, ListsServicesInTheOrderOfDependency) {
  BootFacts facts;
  facts.boot_time = absl::FromUnixSeconds(1893456000);
  facts.start_time = facts.boot_time + absl::Seconds(12);
  facts.now = facts.start_time + absl::Seconds(30);
  v1::Service app = MakeService("app", "db"), db = MakeService("db"),
              broken = MakeService("broken"), stopped = MakeService("stopped"),
              none = MakeService("none");
  SetAvailable(app, true, facts.start_time + absl::Milliseconds(4200));
  SetAvailable(db, true, facts.start_time + absl::Milliseconds(2500));
  SetAvailable(broken, false, facts.start_time,
               "0 of 1 replicas are available");
  stopped.mutable_spec()->set_stopped(true);
  none.mutable_spec()->set_replicas(0);
  facts.services = {app, broken, db, none, stopped};
  const BootReport report = ReportBoot(facts);
  EXPECT_FALSE(report.done);
  EXPECT_EQ(report.waiting, 1);
  EXPECT_EQ(report.text,
            "the host booted at 2030-01-01T00:00:00Z; bulwarkd started 12s "
            "later\n"
            "default/db ready after 2.5s\n"
            "default/app ready after 4.2s (after db)\n"
            "default/broken not ready after 30s: ReplicasUnavailable: 0 of 1 "
            "replicas are available");
}

TEST(BootReportTest, WhatWasAvailableBeforeTheRebootDoesNotCount) {
  BootFacts facts;
  facts.boot_time = absl::FromUnixSeconds(1893456000);
  facts.start_time = facts.now = facts.boot_time + absl::Seconds(1);
  v1::Service web = MakeService("web");
  SetAvailable(web, true, facts.boot_time - absl::Hours(1));
  facts.services = {web};
  EXPECT_EQ(ReportBoot(facts).waiting, 1);
  // A cycle, which no apply admits, ends nothing.
  facts.services = {MakeService("a", "b"), MakeService("b", "a")};
  EXPECT_EQ(ReportBoot(facts).waiting, 2);
  facts.services = {};
  EXPECT_TRUE(ReportBoot(facts).done);
}

class NodeRecordTest : public ::testing::Test {
 protected:
  // A start of the daemon in this boot of the host.
  NodeRecord Start(const std::string& boot_id) {
    HostIdentity host;
    host.boot_id = boot_id;
    host.boot_time = clock_.Now() - absl::Seconds(20);
    host.kernel = "6.12";
    host.cgroups = "v2";
    host.millicores = 2000;
    return NodeRecord(
        store_, clock_, events_, host, "1.2.3", clock_.Now(),
        [this] { return doctor_; }, [this] { return key_; });
  }
  v1::Node Node() {
    auto object = store::GetObject(
        store_, store::ObjectKey("node", "default", kNodeName));
    EXPECT_OK(object.status());
    return object.ok() ? object->node() : v1::Node();
  }
  std::string Booted() {
    const v1::Node node = Node();
    const v1::Condition* c =
        scheduler::FindCondition(node.status().conditions(), kBooted);
    return c == nullptr ? "none"
                        : absl::StrCat(c->reason(), ": ", c->message());
  }
  void Put(const v1::Service& service) {
    v1::Object object;
    *object.mutable_service() = service;
    store::Batch batch;
    batch.Put(store::KeyOf(object), store::Encode(object));
    ASSERT_OK(store_.Commit(batch).status());
  }
  std::string Events() {
    std::string all;
    const store::ObjectListing events =
        store::ListObjects(store_, "event").value();
    for (const v1::Object& object : events.objects) {
      absl::StrAppend(&all, object.event().reason(), "\n");
    }
    return all;
  }

  testing::FakeClock clock_;
  RealEntropy entropy_;
  store::MemStore store_{clock_};
  scheduler::EventRecorder events_{store_, clock_, entropy_};
  v1::DoctorResponse doctor_;
  std::string key_ = "key";
};

TEST_F(NodeRecordTest, TheFirstStartIsNoReboot) {
  NodeRecord node = Start("boot-1");
  ASSERT_OK(node.Open());
  ASSERT_OK(node.Update());
  EXPECT_EQ(Booted(), "none");
  EXPECT_EQ(Node().status().version(), "1.2.3");
  EXPECT_EQ(Node().status().kernel(), "6.12");
  EXPECT_EQ(Events(), "");
}

TEST_F(NodeRecordTest, TheKeyThatClientsSealToIsTheVaults) {
  key_ = "";
  NodeRecord node = Start("boot-1");
  ASSERT_OK(node.Open());
  EXPECT_EQ(Node().status().public_key(), "");
  key_ = "first";
  ASSERT_OK(node.Update());
  EXPECT_EQ(Node().status().public_key(), "first");
  const uint64_t revision = store_.CurrentRevision();
  ASSERT_OK(node.Update());
  EXPECT_EQ(store_.CurrentRevision(), revision);
  // A restore brought another one.
  key_ = "second";
  ASSERT_OK(node.Update());
  EXPECT_EQ(Node().status().public_key(), "second");
  // Sealed: it is not known, and the same as before.
  key_ = "";
  ASSERT_OK(Start("boot-1").Open());
  EXPECT_EQ(Node().status().public_key(), "second");
}

TEST_F(NodeRecordTest, WhenTheDaemonRestarts_ThatIsNoRebootEither) {
  ASSERT_OK(Start("boot-1").Open());
  NodeRecord again = Start("boot-1");
  ASSERT_OK(again.Open());
  EXPECT_FALSE(again.reporting());
  EXPECT_EQ(Booted(), "none");
}

TEST_F(NodeRecordTest, WhenTheHostRebooted_ReportsWhenEveryServiceIsBack) {
  ASSERT_OK(Start("boot-1").Open());
  v1::Service web = MakeService("web");
  SetAvailable(web, true, clock_.Now());
  Put(web);
  clock_.Advance(absl::Hours(1));

  NodeRecord node = Start("boot-2");
  ASSERT_OK(node.Open());
  EXPECT_THAT(Booted(), HasSubstr("Recovering"));
  ASSERT_OK(node.Update());
  EXPECT_THAT(Booted(), HasSubstr("Recovering"));
  clock_.Advance(absl::Seconds(1));
  SetAvailable(web, false, clock_.Now());
  SetAvailable(web, true, clock_.Now() + absl::Seconds(2));
  Put(web);
  clock_.Advance(absl::Seconds(3));
  ASSERT_OK(node.Update());
  EXPECT_THAT(Booted(), HasSubstr("Recovered: the host booted at"));
  EXPECT_THAT(Booted(), HasSubstr("default/web ready after 3s"));
  EXPECT_FALSE(node.reporting());
  EXPECT_EQ(Events(), "HostRebooted\nBootReport\n");
}

TEST_F(NodeRecordTest, WhenTheDaemonDiesInBetween_TheReportGoesOn) {
  ASSERT_OK(Start("boot-1").Open());
  Put(MakeService("web"));
  ASSERT_OK(Start("boot-2").Open());
  clock_.Advance(absl::Seconds(5));
  NodeRecord again = Start("boot-2");
  ASSERT_OK(again.Open());
  EXPECT_TRUE(again.reporting());
  v1::Service web = MakeService("web");
  SetAvailable(web, true, clock_.Now() + absl::Seconds(2));
  Put(web);
  clock_.Advance(absl::Seconds(2));
  ASSERT_OK(again.Update());
  // From the first start after the boot.
  EXPECT_THAT(Booted(), HasSubstr("web ready after 7s"));
}

TEST_F(NodeRecordTest, WhenAServiceStaysAway_TheReportSaysWhichAndWhy) {
  ASSERT_OK(Start("boot-1").Open());
  v1::Service web = MakeService("web");
  SetAvailable(web, false, clock_.Now(), "image is gone");
  Put(web);
  NodeRecord node = Start("boot-2");
  ASSERT_OK(node.Open());
  clock_.Advance(kBootDeadline - absl::Seconds(1));
  ASSERT_OK(node.Update());
  EXPECT_TRUE(node.reporting());
  clock_.Advance(absl::Seconds(1));
  ASSERT_OK(node.Update());
  EXPECT_THAT(Booted(), HasSubstr("Incomplete: "));
  EXPECT_THAT(Booted(), HasSubstr("default/web not ready after 10m: "
                                  "ReplicasUnavailable: image is gone"));
}

TEST_F(NodeRecordTest, WhatTheHostCannotDoIsACondition) {
  v1::DoctorCheck& oom = *doctor_.add_checks();
  oom.set_name("oom");
  oom.set_result(v1::DoctorCheck::LIMITED);
  oom.set_message("score 0");
  oom.set_remedy("a unit");
  v1::DoctorCheck& restic = *doctor_.add_checks();
  restic.set_name("restic");
  restic.set_result(v1::DoctorCheck::LIMITED);
  ASSERT_OK(Start("boot-1").Open());
  v1::Node node = Node();
  ASSERT_EQ(node.status().conditions_size(), 1);
  EXPECT_EQ(node.status().conditions(0).type(), "Oom");
  EXPECT_EQ(node.status().conditions(0).message(), "score 0; a unit");
  doctor_.mutable_checks(0)->set_result(v1::DoctorCheck::GOOD);
  ASSERT_OK(Start("boot-1").Open());
  EXPECT_EQ(Node().status().conditions_size(), 0);
}

class NotifyTest : public ::testing::Test {
 protected:
  ~NotifyTest() override { unsetenv("NOTIFY_SOCKET"); }

  // A socket as systemd gives one, at a path or abstract.
  UniqueFd Listen(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address),
                   offsetof(sockaddr_un, sun_path) + name.size()),
              0);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
    return fd;
  }
  static std::string Read(const UniqueFd& fd) {
    char text[100];
    const ssize_t n = recv(fd.get(), text, sizeof(text), 0);
    return std::string(text, n > 0 ? n : 0);
  }

  testing::TempDir dir_;
};

TEST_F(NotifyTest, TellsWhoAsked) {
  EXPECT_OK(NotifyManager("READY=1"));  // nobody did
  for (const std::string& name :
       {dir_ / "notify", absl::StrCat("@bulwark-test-", getpid())}) {
    UniqueFd fd = Listen(name);
    EXPECT_OK(NotifyManager("READY=1"));
    EXPECT_EQ(Read(fd), "READY=1") << name;
  }
}

TEST_F(NotifyTest, WhenNobodyListens_Fails) {
  setenv("NOTIFY_SOCKET", (dir_ / "nobody").c_str(), 1);
  EXPECT_FALSE(NotifyManager("READY=1").ok());
  setenv("NOTIFY_SOCKET", "relative", 1);
  EXPECT_FALSE(NotifyManager("READY=1").ok());
}

}  // namespace
}  // namespace bulwark::daemon
