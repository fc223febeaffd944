#include "daemon/disk/disk.h"

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "daemon/disk/collector.h"
#include "engine/fake/fake_engine.h"
#include "engine/fake/images/fake_images.h"
#include "scheduler/names.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"
#include "volumes/fake/fake_volumes.h"

namespace bulwark::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

class DiskTest : public ::testing::Test {
 protected:
  void Put(const v1::Object& object) {
    store::Batch batch;
    batch.Put(store::KeyOf(object), store::Encode(object));
    ASSERT_OK(store_.Commit(batch).status());
  }
  // Empty if there is none of the type.
  static v1::DiskUsageItem ItemOf(const v1::DiskUsageResponse& response,
                                  const std::string& type) {
    for (const v1::DiskUsageItem& item : response.items()) {
      if (item.type() == type) return item;
    }
    return v1::DiskUsageItem();
  }
  void Spoil(const std::string& kind, const std::string& name) {
    ASSERT_OK(store_
                  .Commit(store::Batch().Put(
                      store::ObjectKey(kind, "default", name), "\xff\xff no"))
                  .status());
  }
  void PutReplica(const std::string& uid, v1::ReplicaStatus::State state) {
    v1::Object object;
    object.mutable_replica()->mutable_metadata()->set_name("r-" + uid);
    object.mutable_replica()->mutable_metadata()->set_uid(uid);
    object.mutable_replica()->mutable_status()->set_state(state);
    Put(object);
  }
  void StartContainer(const std::string& id, const std::string& owner) {
    engine::ContainerSpec spec;
    spec.id = id;
    spec.args = {"app"};
    if (!owner.empty()) spec.labels[scheduler::kReplicaLabel] = owner;
    ASSERT_OK(engine_.Start(spec).status());
  }
  // An image that is present; its digest.
  std::string Pull(const std::string& name) {
    const std::string digest = images_.Publish(name).digest;
    engine::PullRequest request;
    request.reference = name;
    EXPECT_OK(images_.Pull(request, nullptr).status());
    return digest;
  }
  std::vector<std::string> Prune(std::vector<std::string> types,
                                 bool all = false, bool dry_run = false) {
    v1::PruneRequest request;
    for (const std::string& type : types) request.add_types(type);
    request.set_all(all);
    request.set_validate_only(dry_run);
    const auto response = disk_.Prune(request);
    EXPECT_OK(response.status());
    if (!response.ok()) return {};
    if (dry_run) estimate_ = response->freed_bytes();
    return {response->removed().begin(), response->removed().end()};
  }

  testing::TempDir dir_;
  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  engine::FakeEngine engine_{clock_};
  engine::FakeImages images_;
  volumes::FakeVolumes volumes_;
  Disk disk_{dir_.path(), store_, engine_, images_, volumes_};
  int64_t estimate_ = 0;
};

TEST_F(DiskTest, CountsEveryType) {
  Pull("a");
  ASSERT_OK(volumes_.Ensure({.id = "v1"}).status());
  StartContainer("c1", "u1");
  ASSERT_OK_AND_ASSIGN(const v1::DiskUsageResponse usage, disk_.Usage());
  std::vector<std::string> counts;
  for (const v1::DiskUsageItem& item : usage.items()) {
    counts.push_back(absl::StrCat(item.type(), " ", item.count()));
  }
  EXPECT_THAT(counts,
              ElementsAre("images 1", "build-cache 0", "containers 1", "logs 1",
                          "volumes 1", "snapshots 0", "store 1"));
  EXPECT_GT(usage.disk_total_bytes(), 0);
}

TEST_F(DiskTest, WhenPruned_OnlyContainersOfEndedReplicasGo) {
  PutReplica("runs", v1::ReplicaStatus::RUNNING);
  PutReplica("failed", v1::ReplicaStatus::FAILED);
  StartContainer("runs-a", "runs");
  StartContainer("runs-sidecar", "runs");  // has ended; its replica has not
  StartContainer("failed-a", "failed");
  StartContainer("gone-a", "gone");  // its replica's record is gone
  StartContainer("gone-b", "gone");  // and runs on
  StartContainer("build", "");
  for (const char* id : {"runs-sidecar", "failed-a", "gone-a", "build"}) {
    ASSERT_OK(engine_.Exit(id, 1));
  }
  EXPECT_THAT(Prune({"containers"}, false, true),
              UnorderedElementsAre("container failed-a", "container gone-a"));
  EXPECT_EQ(engine_.List().size(), 6u);
  EXPECT_THAT(Prune({"containers"}),
              UnorderedElementsAre("container failed-a", "container gone-a"));
  EXPECT_EQ(engine_.List().size(), 4u);
  EXPECT_THAT(Prune({"containers"}), IsEmpty());
  EXPECT_OK(store::GetObject(store_,
                             store::ObjectKey("replica", "default", "r-failed"))
                .status());
}

TEST_F(DiskTest, WhenPruned_KeepsWhatRevisionsReplicasAndServicesNeed) {
  const std::string kept = Pull("of-revision");
  const std::string running = Pull("of-replica");
  Pull("declared");
  Pull("job");
  Pull("idle");
  v1::Object revision;
  revision.mutable_revision()->mutable_metadata()->set_name("web-1");
  (*revision.mutable_revision()->mutable_image_digests())["x"] = kept;
  Put(revision);
  v1::Object replica;
  replica.mutable_replica()->mutable_metadata()->set_name("web-0");
  replica.mutable_replica()
      ->mutable_status()
      ->add_containers()
      ->set_image_digest(running);
  Put(replica);
  v1::Object service;
  service.mutable_service()->mutable_metadata()->set_name("web");
  service.mutable_service()->mutable_spec()->add_sidecars()->set_image(
      "declared");
  Put(service);
  v1::Object cron;
  cron.mutable_cron_job()->mutable_metadata()->set_name("nightly");
  cron.mutable_cron_job()
      ->mutable_spec()
      ->mutable_job()
      ->add_containers()
      ->set_image("job");
  Put(cron);
  // By themselves images with a name stay.
  EXPECT_THAT(Prune({"images"}), IsEmpty());
  EXPECT_THAT(Prune({"images"}, true, true), ElementsAre("image idle"));
  EXPECT_EQ(estimate_, 1000);
  EXPECT_THAT(Prune({"images"}, true), ElementsAre("image idle"));
  EXPECT_EQ(images_.List().size(), 4u);
}

TEST_F(DiskTest, WhenAVolumeCannotBeMeasured_CountsWhatItHeldLast) {
  v1::Object object;
  object.mutable_volume()->mutable_metadata()->set_name("data");
  object.mutable_volume()->mutable_metadata()->set_uid("v1");
  object.mutable_volume()->mutable_status()->set_used_bytes(700);
  Put(object);
  ASSERT_OK(volumes_.Ensure({.id = "v1"}).status());
  ASSERT_OK(volumes_.Ensure({.id = "v2"}).status());
  volumes::Usage usage;
  usage.used_bytes = 50;
  volumes_.SetUsage("v2", usage);
  volumes_.FailUsage("v1", absl::FailedPreconditionError("not mounted"));
  ASSERT_OK_AND_ASSIGN(const v1::DiskUsageResponse response, disk_.Usage());
  const v1::DiskUsageItem volumes = ItemOf(response, "volumes");
  EXPECT_EQ(volumes.count(), 2);
  EXPECT_EQ(volumes.size_bytes(), 750);
}

TEST_F(DiskTest, CountsWhatVolumesTakeOfTheDisk_NotWhatIsInThem) {
  v1::Object object;
  object.mutable_volume()->mutable_metadata()->set_name("data");
  object.mutable_volume()->mutable_metadata()->set_uid("image");
  object.mutable_volume()->mutable_spec()->set_size(4000);
  Put(object);
  volumes::Usage usage;
  usage.used_bytes = 70;
  for (const auto& [id, driver] :
       {std::pair("image", volumes::Driver::kImage),
        std::pair("memory", volumes::Driver::kTmpfs),
        std::pair("local", volumes::Driver::kLocal)}) {
    ASSERT_OK(volumes_.Ensure({.id = id, .driver = driver, .size_bytes = 1})
                  .status());
    volumes_.SetUsage(id, usage);
  }
  ASSERT_OK_AND_ASSIGN(const v1::DiskUsageResponse response, disk_.Usage());
  const v1::DiskUsageItem volumes = ItemOf(response, "volumes");
  EXPECT_EQ(volumes.count(), 3);
  EXPECT_EQ(volumes.size_bytes(), 4070);
}

// One record that means nothing does not let the disk fill.
TEST_F(DiskTest, WhenARecordCannotBeRead_TheRestIsCountedAndRemoved) {
  for (const char* kind : {"service", "job", "cron-job", "volume"}) {
    Spoil(kind, "bad");
  }
  Pull("idle");
  ASSERT_OK(disk_.Usage().status());
  EXPECT_THAT(Prune({"images", "build-cache", "containers"}), IsEmpty());
  // What the bad ones need may be nowhere else.
  v1::PruneRequest request;
  request.add_types("images");
  request.set_all(true);
  EXPECT_THAT(disk_.Prune(request).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("--all")));
  EXPECT_EQ(images_.List().size(), 1u);
  // This can be pulled again.
  disk_.SetUsedPercent([] { return 99; });
  ASSERT_OK_AND_ASSIGN(const Collected collected, disk_.Collect({85, 80}));
  EXPECT_EQ(collected.removed.size(), 1u);
}

TEST_F(DiskTest, WhenAReplicaCannotBeRead_WhatItMayHaveStays) {
  StartContainer("gone-a", "gone");
  ASSERT_OK(engine_.Exit("gone-a", 1));
  const std::string kept = Pull("of-revision");
  v1::Object revision;
  revision.mutable_revision()->mutable_metadata()->set_name("web-1");
  (*revision.mutable_revision()->mutable_image_digests())["x"] = kept;
  Put(revision);
  Spoil("replica", "bad");
  ASSERT_OK(disk_.Usage().status());
  v1::PruneRequest request;
  request.add_types("containers");
  EXPECT_THAT(disk_.Prune(request).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("--type")));
  EXPECT_EQ(engine_.List().size(), 1u);
  disk_.SetUsedPercent([] { return 99; });
  Pull("idle");
  ASSERT_OK_AND_ASSIGN(const Collected collected, disk_.Collect({85, 80}));
  EXPECT_EQ(collected.removed.size(), 1u);
  EXPECT_EQ(images_.List().size(), 1u);
  // What runs may be known to nobody now.
  Spoil("revision", "web-1");
  ASSERT_OK(disk_.Usage().status());
  EXPECT_THAT(disk_.Collect({85, 80}).status(),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(images_.List().size(), 1u);
}

TEST_F(DiskTest, WhenARevisionCannotBeRead_NoImageWithANameGoesForGood) {
  Pull("of-revision");
  Spoil("revision", "web-1");
  v1::PruneRequest request;
  request.add_types("images");
  request.set_all(true);
  EXPECT_THAT(disk_.Prune(request).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("--all")));
  EXPECT_EQ(images_.List().size(), 1u);
  EXPECT_THAT(Prune({"images"}), IsEmpty());
}

TEST_F(DiskTest, WhenTheDiskIsNotTooFull_NothingIsCollected) {
  Pull("idle");
  disk_.SetUsedPercent([] { return 84; });
  ASSERT_OK_AND_ASSIGN(const Collected collected, disk_.Collect({85, 80}));
  EXPECT_THAT(collected.removed, IsEmpty());
  EXPECT_EQ(images_.List().size(), 1u);
}

TEST_F(DiskTest, WhenTheDiskIsTooFull_ImagesGoUntilItIsLessSo) {
  for (const char* name : {"a", "b", "c", "d"}) Pull(name);
  // Each image is five percent of it.
  disk_.SetUsedPercent(
      [this] { return 70 + 5 * static_cast<int>(images_.List().size()); });
  ASSERT_OK_AND_ASSIGN(const Collected collected, disk_.Collect({85, 80}));
  EXPECT_EQ(collected.removed.size(), 2u);
  EXPECT_EQ(collected.percent_before, 90);
  EXPECT_EQ(collected.percent_after, 80);
  EXPECT_EQ(images_.List().size(), 2u);
}

TEST_F(DiskTest, WhenTheDiskIsTooFull_TheBuildCacheGoesBeforeNamedImages) {
  engine::BuildRequest build;
  build.tags = {"built"};
  ASSERT_OK(images_.Build(build, nullptr).status());
  bool cached = true;
  disk_.SetUsedPercent([&] {
    const auto usage = images_.Usage({});
    cached = usage.ok() && usage->build_cache.count > 0;
    return cached ? 90 : 75;
  });
  ASSERT_OK_AND_ASSIGN(const Collected collected, disk_.Collect({85, 80}));
  EXPECT_THAT(collected.removed, ElementsAre("1 build step"));
  EXPECT_EQ(images_.List().size(), 1u);
}

TEST_F(DiskTest, WhenTheDiskIsTooFull_WhatIsNeededStaysAndItIsSaidOnce) {
  const std::string kept = Pull("of-revision");
  v1::Object revision;
  revision.mutable_revision()->mutable_metadata()->set_name("web-1");
  (*revision.mutable_revision()->mutable_image_digests())["x"] = kept;
  Put(revision);
  disk_.SetUsedPercent([] { return 99; });
  std::vector<std::string> told;
  ImageCollector collector(disk_, clock_, {},
                           [&](bool enough, const std::string& message) {
                             EXPECT_FALSE(enough);
                             told.push_back(message);
                           });
  ASSERT_OK(collector.RunOnce());
  ASSERT_OK(collector.RunOnce());
  EXPECT_EQ(told.size(), 1u);
  EXPECT_EQ(images_.List().size(), 1u);
}

TEST_F(DiskTest, WhenOnlyTheBuildCacheIsPruned_ImagesStay) {
  engine::BuildRequest build;
  build.tags = {"built"};
  ASSERT_OK(images_.Build(build, nullptr).status());
  EXPECT_THAT(Prune({"build-cache"}), ElementsAre("1 build step"));
  EXPECT_EQ(images_.List().size(), 1u);
}

}  // namespace
}  // namespace bulwark::daemon
