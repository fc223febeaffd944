// The controllers together, with their threads, over fakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/testing/status_matchers.h"
#include "engine/program_error.h"
#include "scheduler/conditions.h"
#include "scheduler/reap/reaper.h"
#include "scheduler/testing/scheduler_fixture.h"
#include "scheduler/times.h"
#include "store/objects.h"
#include "store/values.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string ConditionOf(store::MetadataStore& store, const std::string& service,
                        const char* type) {
  auto object =
      store::GetObject(store, store::ObjectKey("service", "default", service));
  const v1::Condition* found =
      object.ok() ? FindCondition(object->service().status().conditions(), type)
                  : nullptr;
  return found == nullptr ? "" : found->message();
}

// A service of one replica, with one container of its name.
v1::Object OneReplica(const std::string& name) {
  v1::Object object;
  v1::Service& s = *object.mutable_service();
  s.mutable_metadata()->set_name(name);
  s.mutable_metadata()->set_project("default");
  s.mutable_metadata()->set_uid(name + "1");
  s.mutable_metadata()->set_generation(1);
  s.mutable_spec()->set_replicas(1);
  v1::Container& c = *s.mutable_spec()->add_containers();
  c.set_name(name);
  c.set_image("app:1");
  return object;
}

TEST_F(SchedulerTest, WhenApplied_RunsAndHealsByEvents) {
  Apply("web", 3);
  ASSERT_TRUE(AwaitRunning("web", 3));
  ASSERT_TRUE(
      Await([&] { return Running("web")[0].status().containers_size() == 1; }));
  const std::string uid = Running("web")[0].metadata().uid();
  ASSERT_OK(engine_.Exit(ContainerOf(Running("web")[0]), 1));
  EXPECT_TRUE(Await([&] {
    auto running = Running("web");
    return running.size() == 3 && running[0].metadata().uid() != uid;
  }));
  EXPECT_EQ(engine_.start_count(), 4);
}

TEST_F(SchedulerTest, WhenTheImageIsHere_RevisionAndReplicasAreOneCommit) {
  ASSERT_OK(images_.Pull({.reference = "app:1"}, nullptr));
  auto watcher = store_.Watch(store_.CurrentRevision(), store::Filter{});
  ASSERT_OK(watcher);
  Apply("web", 2);
  ASSERT_TRUE(AwaitRunning("web", 2));
  std::set<uint64_t> commits;
  int created = 0;
  while (true) {
    auto changes = (*watcher)->Next(absl::ZeroDuration());
    ASSERT_OK(changes);
    if (changes->empty()) break;
    for (const store::Change& change : *changes) {
      if (!change.created ||
          (change.key.kind != "revision" && change.key.kind != "replica")) {
        continue;
      }
      commits.insert(change.revision);
      ++created;
    }
  }
  EXPECT_EQ(created, 3);
  EXPECT_THAT(commits, SizeIs(1));
}

// Its plan is seen early, and may be lost with the machine.
TEST_F(SchedulerTest, WhileThePlanIsNotOnTheDisk_OnlyTheSandboxIsMade) {
  SetSecret("password", 1, "hunter2");
  store_.SetDurable(absl::UnavailableError("the disk failed"));
  v1::Object object = OneReplica("web");
  v1::Container& c =
      *object.mutable_service()->mutable_spec()->mutable_containers(0);
  c.add_secrets()->set_name("password");
  c.mutable_secrets(0)->set_path("/run/secrets/password");
  c.add_volumes()->set_volume("data");
  c.mutable_volumes(0)->set_path("/data");
  Put(object);
  ASSERT_TRUE(Await([&] { return network_.ListSandboxes().size() == 1; }));
  ASSERT_TRUE(Await([&] {
    const auto replicas = ListReplicas(store_, "default", "web");
    return replicas.ok() && !replicas->empty() &&
           (*replicas)[0].status().message() == "the disk failed";
  }));
  EXPECT_THAT(engine_.List(), IsEmpty());
  EXPECT_FALSE(store_.Get(store::ObjectKey("volume", "default", "data")).ok());
  store_.SetDurable(absl::OkStatus());
  EXPECT_TRUE(AwaitRunning("web", 1));
  EXPECT_TRUE(AnyHas("web", "password", "hunter2"));
}

TEST_F(SchedulerTest, UntilItsNetworkIsConnected_AContainerDoesNotBegin) {
  absl::Mutex mu;
  int asked = 0;
  bool ran_before = false;
  network_.SetConnectHook([&](absl::string_view) -> absl::Status {
    const bool ran = !engine_.List().empty();
    absl::MutexLock lock(&mu);
    ran_before |= ran;
    if (++asked == 1) return absl::UnavailableError("no more links");
    return absl::OkStatus();
  });
  Apply("web", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  network_.SetConnectHook(nullptr);
  absl::MutexLock lock(&mu);
  EXPECT_EQ(asked, 2);
  EXPECT_FALSE(ran_before);
  EXPECT_THAT(network_.ListSandboxes(), SizeIs(1));
}

// What sets the network's settings must find all of it; other starts go on.
TEST_F(SchedulerTest, WhenAContainerHasSysctls_ItsNetworkIsConnectedFirst) {
  // Of either the first connection fails.
  absl::Mutex mu;
  std::set<std::string> failed;
  network_.SetConnectHook([&](absl::string_view id) -> absl::Status {
    absl::MutexLock lock(&mu);
    return failed.insert(std::string(id)).second
               ? absl::UnavailableError("no more links")
               : absl::OkStatus();
  });
  v1::Object object = OneReplica("web");
  v1::Container& c =
      *object.mutable_service()->mutable_spec()->mutable_containers(0);
  v1::Sysctl& sysctl = *c.add_sysctls();
  sysctl.set_name("net.ipv4.conf.eth0.rp_filter");
  sysctl.set_value("0");
  Put(object);
  EXPECT_TRUE(AwaitRunning("web", 1));
  EXPECT_EQ(engine_.tried_count(), 1);  // when it was connected
  Apply("other", 1);
  EXPECT_TRUE(AwaitRunning("other", 1));
  EXPECT_EQ(engine_.tried_count(), 3);
  network_.SetConnectHook(nullptr);
}

TEST_F(SchedulerTest, WhenAReplicaIsStopped_ThePlanIsNotSeenEarly) {
  ASSERT_OK(images_.Pull({.reference = "app:1"}, nullptr));
  absl::Mutex mu;
  std::vector<std::pair<bool, bool>> plans;  // stops a replica, seen early
  store_.SetFault([&](const store::Batch& batch) {
    bool service = false, replica = false, stops = false;
    for (const store::Batch::Item& item : batch.items()) {
      v1::Object object;
      if (!object.ParseFromString(item.value)) continue;
      service |= object.has_service();
      replica |= object.has_replica();
      stops |= object.replica().spec().goal() == v1::ReplicaSpec::STOP;
    }
    absl::MutexLock lock(&mu);
    if (service && replica) plans.emplace_back(stops, batch.seen_early());
    return absl::OkStatus();
  });
  Apply("web", 2);
  ASSERT_TRUE(AwaitRunning("web", 2));
  auto object =
      store::GetObject(store_, store::ObjectKey("service", "default", "web"));
  ASSERT_OK(object);
  object->mutable_service()->mutable_spec()->set_replicas(1);
  Put(*object);
  ASSERT_TRUE(AwaitRunning("web", 1));
  store_.SetFault(nullptr);
  bool started = false, stopped = false;
  for (const auto& [stops, early] : plans) {
    EXPECT_EQ(early, !stops);
    (stops ? stopped : started) = true;
  }
  EXPECT_TRUE(started);
  EXPECT_TRUE(stopped);
}

TEST_F(SchedulerTest, WhenTheCommandIsNoProgram_TheStatusSaysWhatAShellWould) {
  engine_.SetStartHook([](const engine::ContainerSpec&) {
    return engine::WithProgramError(absl::InvalidArgumentError("no such file"),
                                    engine::kProgramNotFound);
  });
  Apply("web", 1, "", v1::Restart::NEVER);
  std::vector<v1::Replica> replicas;
  ASSERT_TRUE(Await([&] {
    replicas = ListReplicas(store_, "default", "web").value();
    return !replicas.empty() &&
           replicas[0].status().state() == v1::ReplicaStatus::FAILED;
  }));
  const v1::ReplicaStatus& status = replicas[0].status();
  EXPECT_EQ(status.reason(), "LaunchFailed");
  ASSERT_THAT(status.containers(), SizeIs(1));
  EXPECT_EQ(status.containers(0).exit_code(), 127);
  EXPECT_EQ(status.containers(0).message(),
            "start container web: no such file");
  EXPECT_FALSE(status.containers(0).has_start_time());
  // The engine has nothing of that name, whose log could be asked for.
  EXPECT_EQ(status.containers(0).id(), "");
}

TEST_F(SchedulerTest, WhenStartedAgain_AdoptsWhatRunsAndReplacesWhatEnded) {
  Apply("web", 2);
  ASSERT_TRUE(AwaitRunning("web", 2));
  ASSERT_TRUE(
      Await([&] { return Running("web")[1].status().containers_size() == 1; }));
  const std::string victim = ContainerOf(Running("web")[1]);
  End();
  ASSERT_OK(engine_.Exit(victim, 1));
  Begin();
  ASSERT_TRUE(Await([&] { return engine_.start_count() == 3; }));
  EXPECT_TRUE(AwaitRunning("web", 2));
}

TEST_F(SchedulerTest, WhenTheHostGoesDown_DependentsEndFirst) {
  Apply("db", 1);
  Apply("web", 2, "db");
  ASSERT_TRUE(AwaitRunning("db", 1));
  ASSERT_TRUE(AwaitRunning("web", 2));
  std::atomic<bool> wrong_order{false};
  engine_
      .Recover([&](absl::string_view id) {
        if (std::string(id).find("-db") != std::string::npos &&
            !Running("web").empty()) {
          wrong_order = true;
        }
        scheduler_->OnEngineEvent(id);
      })
      .IgnoreError();
  ASSERT_OK_AND_ASSIGN(auto killed, scheduler_->ShutdownAll(absl::Seconds(20)));
  EXPECT_THAT(killed, IsEmpty());
  EXPECT_FALSE(wrong_order);
  EXPECT_THAT(Running("db"), IsEmpty());
  // Nothing comes back before the next start, and then everything does.
  EXPECT_EQ(engine_.start_count(), 3);
  End();
  Begin();
  EXPECT_TRUE(AwaitRunning("db", 1));
  EXPECT_TRUE(AwaitRunning("web", 2));
}

TEST_F(SchedulerTest, WhenAServiceDoesNotEndInTime_ItIsKilledAndNamed) {
  Apply("web", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  engine_.SetExitOnTerm(false);
  ASSERT_OK_AND_ASSIGN(auto killed,
                       scheduler_->ShutdownAll(absl::Milliseconds(300)));
  EXPECT_THAT(killed, ElementsAre("default/web"));
  for (const engine::ContainerInfo& c : engine_.List()) {
    EXPECT_EQ(c.state, engine::ContainerState::kExited) << c.id;
  }
  engine_.SetExitOnTerm(true);
}

// Of five addresses.
TEST_F(SchedulerTest, WhenReplicasEndedForGood_OthersGetTheirAddresses) {
  v1::Object network;
  network.mutable_network()->mutable_metadata()->set_name("default");
  network.mutable_network()->mutable_metadata()->set_project("default");
  network.mutable_network()->mutable_metadata()->set_uid("net0");
  network.mutable_network()->mutable_status()->set_subnet("10.210.0.0/29");
  Put(network);
  for (int i = 0; i < 5; ++i) {
    const std::string name = absl::StrCat("once", i);
    Apply(name, 1, "", v1::Restart::NEVER);
    ASSERT_TRUE(AwaitRunning(name, 1));
    ASSERT_TRUE(Await(
        [&] { return Running(name)[0].status().containers_size() == 1; }));
    ASSERT_OK(engine_.Exit(ContainerOf(Running(name)[0]), 0));
    ASSERT_TRUE(AwaitRunning(name, 0));
  }
  Apply("web", 5);
  EXPECT_TRUE(AwaitRunning("web", 5));
  // Their records are still there.
  EXPECT_THAT(*ListReplicas(store_, "default", "once0"), SizeIs(1));
  Apply("late", 1);
  EXPECT_TRUE(Await([&] {
    return ConditionOf(store_, "late", "AddressesAssigned")
               .find("all are in use") != std::string::npos;
  }));
  ASSERT_OK(store_.Commit(
      store::Batch().Delete(store::ObjectKey("service", "default", "web"))));
  EXPECT_TRUE(AwaitRunning("late", 1));
  EXPECT_TRUE(Await([&] {
    return ConditionOf(store_, "late", "AddressesAssigned") ==
           "every replica has an address";
  }));
}

TEST_F(SchedulerTest, WhenTheStoreIsEmptyButContainersRun_SaysDegraded) {
  EXPECT_EQ(scheduler_->degraded(), "");
  End();
  engine::ContainerSpec spec;
  spec.id = "0123456789abcdef-web";
  spec.args = {"/app"};
  spec.labels = {{"bulwark.replica", "0123456789abcdef"}};
  ASSERT_OK(engine_.Start(spec));
  EXPECT_THAT(CheckStoreKnows(store_, engine_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("Was the store lost?")));
  Begin();
  EXPECT_THAT(scheduler_->degraded(), HasSubstr("the store holds no service"));
  EXPECT_OK(engine_.Inspect(spec.id));
}

TEST_F(SchedulerTest, WhenTheStoreAskedForWhatRuns_ItMayTakeOver) {
  EXPECT_OK(CheckStoreKnows(store_, engine_));
  Apply("web", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  EXPECT_OK(CheckStoreKnows(store_, engine_));
}

TEST_F(SchedulerTest, WhenASecretIsMissing_WaitsUntilItIsThere) {
  Apply("web", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  Read("web", "db", v1::ChangePolicy::ROLL);
  EXPECT_TRUE(Await([&] { return Status("web", "WaitingForInputs"); }));
  // What ran before goes on meanwhile.
  EXPECT_EQ(Running("web").size(), 1u);
  SetSecret("db", 1, "hunter2");
  EXPECT_TRUE(Await([&] { return AnyHas("web", "db", "hunter2"); }));
}

TEST_F(SchedulerTest, WhenASecretChanges_SwapsOrRollsAsDeclared) {
  SetSecret("db", 1, "one");
  Apply("swaps", 1);
  Read("swaps", "db", v1::ChangePolicy::SWAP);
  Apply("rolls", 1);
  Read("rolls", "db", v1::ChangePolicy::ROLL);
  ASSERT_TRUE(Await([&] {
    return AnyHas("swaps", "db", "one") && AnyHas("rolls", "db", "one");
  }));
  const size_t revisions = Revisions("swaps");
  const size_t rolled = Revisions("rolls");
  SetSecret("db", 2, "two");
  EXPECT_TRUE(Await([&] {
    return AnyHas("swaps", "db", "two") && AnyHas("rolls", "db", "two");
  }));
  EXPECT_FALSE(AnyHas("swaps", "db", "one"));
  EXPECT_EQ(Revisions("swaps"), revisions);
  EXPECT_EQ(Revisions("rolls"), rolled + 1);
}

TEST_F(SchedulerTest, WhenSealed_StartsGoOnAfterUnsealing) {
  SetSecret("db", 1, "one");
  vault_.LoseKeyFile();
  Apply("web", 1);
  Read("web", "db", v1::ChangePolicy::ROLL);
  EXPECT_TRUE(Await([&] { return Status("web", "Sealed"); }));
  vault_.LoseKeyFile(false);
  EXPECT_FALSE(vault_.Load("keyring 1", true).has_value());
  scheduler_->OnUnsealed();
  EXPECT_TRUE(Await([&] { return AnyHas("web", "db", "one"); }));
}

TEST_F(SchedulerTest, WhenAReplicaEnds_NothingOfItsSecretsStays) {
  SetSecret("db", 1, "one");
  Apply("web", 1);
  Read("web", "db", v1::ChangePolicy::ROLL);
  ASSERT_TRUE(Await([&] { return AnyHas("web", "db", "one"); }));
  auto object =
      store::GetObject(store_, store::ObjectKey("service", "default", "web"));
  ASSERT_OK(object);
  object->mutable_service()->mutable_spec()->set_stopped(true);
  Put(*object);
  EXPECT_TRUE(Await([&] { return delivery_.List().empty(); }));
}

TEST_F(SchedulerTest, WhenADaemonDiedBeforeAStart_ItsFilesAreTakenAway) {
  Apply("web", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  End();
  secrets::DeliveredFile file;
  file.path = "/run/configs/a";
  EXPECT_OK(delivery_.Deliver({"nobody-web", {file}}));
  Begin();
  EXPECT_THAT(delivery_.List(), IsEmpty());
}

}  // namespace
}  // namespace bulwark::scheduler
