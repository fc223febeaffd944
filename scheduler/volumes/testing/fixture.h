// A volume controller over a store and drivers in memory, for tests.
#ifndef SCHEDULER_VOLUMES_TESTING_FIXTURE_H_
#define SCHEDULER_VOLUMES_TESTING_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "scheduler/conditions.h"
#include "scheduler/volumes/actions.h"
#include "scheduler/volumes/controller.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"
#include "volumes/fake/fake_backups.h"
#include "volumes/fake/fake_volumes.h"

namespace bulwark::scheduler {

class VolumeControllerTest : public ::testing::Test {
 protected:
  void SetUp() override { Restart(); }

  // The daemon dies, and another looks at the same store and disk.
  void Restart() {
    VolumePorts ports{
        store_,
        volumes_,
        backups_,
        clock_,
        entropy_,
        events_,
        [this](const std::string& s) { woken_.insert(s); },
        [this](const std::string& j) { woken_.insert("job/" + j); },
        [](const std::string&, const std::string& name,
           const v1::Identity&) -> absl::StatusOr<SecretText> {
          if (name == "pw") return SecretText("secret");
          return absl::NotFoundError("get secret " + name);
        }};
    actions_.reset();
    controller_ = std::make_unique<VolumeController>(ports);
    actions_ = std::make_unique<VolumeActions>(ports, *controller_);
  }

  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  void PutVolume(const std::string& name,
                 v1::VolumeSpec::Driver driver = v1::VolumeSpec::LOCAL) {
    v1::Object object;
    v1::Volume& volume = *object.mutable_volume();
    volume.mutable_metadata()->set_name(name);
    volume.mutable_metadata()->set_project("default");
    volume.mutable_metadata()->set_uid("uid-" + name);
    volume.mutable_spec()->set_driver(driver);
    if (driver == v1::VolumeSpec::IMAGE) volume.mutable_spec()->set_size(1000);
    Put(object);
  }
  void MarkDeleted(const std::string& name) {
    v1::Object object;
    *object.mutable_volume() = Get(name);
    v1::Metadata& metadata = *object.mutable_volume()->mutable_metadata();
    metadata.mutable_delete_time()->set_seconds(1);
    Put(object);
  }
  // A service with one live replica that mounts the volume.
  void PutUser(const std::string& volume,
               v1::ReplicaStatus::State state = v1::ReplicaStatus::RUNNING) {
    v1::Object service;
    service.mutable_service()->mutable_metadata()->set_name("web");
    service.mutable_service()->mutable_metadata()->set_project("default");
    v1::VolumeMount& mount = *service.mutable_service()
                                  ->mutable_spec()
                                  ->add_containers()
                                  ->add_volumes();
    mount.set_volume(volume);
    Put(service);
    v1::Object revision;
    revision.mutable_revision()->mutable_metadata()->set_name("web-1");
    revision.mutable_revision()->mutable_metadata()->set_project("default");
    *revision.mutable_revision()->mutable_template_()->add_containers() =
        service.service().spec().containers(0);
    Put(revision);
    v1::Object replica;
    replica.mutable_replica()->mutable_metadata()->set_name("web-0-a");
    replica.mutable_replica()->mutable_metadata()->set_project("default");
    replica.mutable_replica()->mutable_spec()->set_service("web");
    replica.mutable_replica()->mutable_spec()->set_revision(1);
    replica.mutable_replica()->mutable_status()->set_state(state);
    Put(replica);
  }
  // A job with one execution that mounts the volume.
  void PutJob(const std::string& volume,
              v1::ReplicaStatus::State state = v1::ReplicaStatus::RUNNING) {
    v1::Object job;
    job.mutable_job()->mutable_metadata()->set_name("import");
    job.mutable_job()->mutable_metadata()->set_project("default");
    v1::Container& c = *job.mutable_job()->mutable_spec()->add_containers();
    c.add_volumes()->set_volume(volume);
    Put(job);
    v1::Object revision;
    revision.mutable_revision()->mutable_metadata()->set_name("job.import-1");
    revision.mutable_revision()->mutable_metadata()->set_project("default");
    *revision.mutable_revision()->mutable_template_()->add_containers() = c;
    Put(revision);
    v1::Object replica;
    replica.mutable_replica()->mutable_metadata()->set_name("import-0-a");
    replica.mutable_replica()->mutable_metadata()->set_project("default");
    replica.mutable_replica()->mutable_spec()->set_job("import");
    replica.mutable_replica()->mutable_spec()->set_revision(1);
    replica.mutable_replica()->mutable_status()->set_state(state);
    Put(replica);
  }
  v1::Volume Get(const std::string& name) {
    auto object =
        store::GetObject(store_, store::ObjectKey("volume", "default", name));
    EXPECT_OK(object);
    return object.ok() ? object->volume() : v1::Volume();
  }
  bool Exists(const std::string& name) {
    return store_.Get(store::ObjectKey("volume", "default", name)).ok();
  }
  std::optional<StoredWork> GetWork(const std::string& name) {
    auto work = FindWork(store_, WorkKey("default", name));
    EXPECT_OK(work);
    return work.ok() ? *work : std::nullopt;
  }
  void Look(const std::string& name) {
    ASSERT_OK(controller_->Reconcile("default/" + name));
  }
  std::string ConditionOf(const std::string& name, const std::string& type) {
    const v1::Volume volume = Get(name);
    const v1::Condition* c = FindCondition(volume.status().conditions(), type);
    return c == nullptr ? "none" : c->reason();
  }
  // Work as Restore() records it.
  void BeginRestore(const std::string& name, const std::string& snapshot) {
    StoredWork work;
    work.key = WorkKey("default", name);
    work.work.set_token("token");
    work.work.set_volume_uid("uid-" + name);
    work.work.set_snapshot(snapshot);
    ASSERT_OK(controller_->Begin(std::move(work)));
  }
  void SnapshotAndDamage() {
    PutVolume("data");
    Look("data");
    volumes_.Write("uid-data", "good");
    ASSERT_OK(volumes_.Snapshot("uid-data", "s", nullptr));
    volumes_.Write("uid-data", "damaged");
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_{1};
  store::MemStore store_{clock_};
  volumes::FakeVolumes volumes_;
  volumes::FakeBackups backups_;
  EventRecorder events_{store_, clock_, entropy_};
  std::set<std::string> woken_;
  v1::Identity caller_;
  std::unique_ptr<VolumeController> controller_;
  std::unique_ptr<VolumeActions> actions_;
};

// Runs a call that waits for the controller, which this thread drives.
template <typename F>
auto Drive(VolumeController& controller, testing::FakeClock& clock,
           const std::string& key, F call) {
  std::optional<decltype(call())> result;
  absl::Mutex mu;
  std::thread thread([&] {
    auto r = call();
    absl::MutexLock lock(&mu);
    result.emplace(std::move(r));
  });
  for (int i = 0; i < 10000; ++i) {
    {
      absl::MutexLock lock(&mu);
      if (result.has_value()) break;
    }
    EXPECT_OK(controller.Reconcile(key));
    clock.Advance(absl::Milliseconds(100));
    std::this_thread::yield();
  }
  thread.join();
  return *std::move(result);
}

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_VOLUMES_TESTING_FIXTURE_H_
