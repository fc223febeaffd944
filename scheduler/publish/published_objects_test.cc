#include "scheduler/publish/published_objects.h"

#include <gmock/gmock.h>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PublishedObjectsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto watcher = store_.Watch(store_.CurrentRevision(), store::Filter{});
    ASSERT_OK(watcher);
    watcher_ = *std::move(watcher);
  }
  void Put(const std::string& service, const std::string& address = "") {
    v1::Object object;
    object.mutable_service()->mutable_metadata()->set_name(service);
    object.mutable_service()->mutable_status()->set_virtual_address(address);
    Put(object);
  }
  void Put(const v1::Object& object) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::KeyOf(object), store::Encode(object))));
  }
  void PutBad(const std::string& service) {
    ASSERT_OK(store_.Commit(
        store::Batch().Put(store::ObjectKey("service", "default", service),
                           std::string("\xff\xff not a record"))));
  }
  void Delete(const std::string& service) {
    ASSERT_OK(store_.Commit(store::Batch().Delete(
        store::ObjectKey("service", "default", service))));
  }
  Urgency Urgent() {
    auto changes = watcher_->Next(absl::ZeroDuration());
    EXPECT_OK(changes);
    return objects_.Take(*changes);
  }
  bool Take() { return Urgent() != Urgency::kNone; }
  std::vector<std::string> Services() const {
    std::vector<std::string> all;
    for (const v1::Service& s : view_.services) {
      all.push_back(s.metadata().name() + s.status().virtual_address());
    }
    return all;
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  std::unique_ptr<store::Watcher> watcher_;
  PublishView view_;
  PublishedObjects objects_{view_};
};

TEST_F(PublishedObjectsTest, WhenChangesAreTaken_HoldsWhatAListingWould) {
  Put("b");
  ASSERT_OK(objects_.Read(store_));
  Put("c");
  Put("a");
  Put("b", "@2");
  EXPECT_TRUE(Take());
  EXPECT_THAT(Services(), ElementsAre("a", "b@2", "c"));
  Delete("b");
  Put("c", "@3");
  EXPECT_TRUE(Take());
  EXPECT_THAT(Services(), ElementsAre("a", "c@3"));
  PublishView fresh;
  ASSERT_OK(PublishedObjects(fresh).Read(store_));
  EXPECT_EQ(BuildSnapshot(view_).SerializeAsString(),
            BuildSnapshot(fresh).SerializeAsString());
}

TEST_F(PublishedObjectsTest, WhenItWasReadAlready_AnOlderChangeIsPassedOver) {
  Put("a", "@1");
  Put("b");
  Put("a", "@2");
  Delete("b");
  ASSERT_OK(objects_.Read(store_));
  EXPECT_FALSE(Take());
  EXPECT_THAT(Services(), ElementsAre("a@2"));
}

TEST_F(PublishedObjectsTest, WhenOtherKindsChange_ItConcernsNobody) {
  ASSERT_OK(objects_.Read(store_));
  v1::Object event;
  event.mutable_event()->mutable_metadata()->set_name("e");
  ASSERT_OK(store_.Commit(
      store::Batch().Put(store::KeyOf(event), store::Encode(event))));
  EXPECT_FALSE(Take());
}

TEST_F(PublishedObjectsTest, WhenOnlyAStatusChanges_ItConcernsNobody) {
  v1::Object object;
  v1::Service& service = *object.mutable_service();
  service.mutable_metadata()->set_name("a");
  Put(object);
  ASSERT_OK(objects_.Read(store_));
  service.mutable_status()->set_ready_replicas(1);
  Put(object);
  EXPECT_FALSE(Take());
  EXPECT_EQ(view_.services[0].status().ready_replicas(), 1);
  service.mutable_spec()->add_ports()->set_name("http");
  Put(object);
  EXPECT_TRUE(Take());
  service.mutable_metadata()->mutable_delete_time()->set_seconds(1);
  Put(object);
  EXPECT_TRUE(Take());
}

TEST_F(PublishedObjectsTest, WhenAReplicaDoesNotRunYet_ItConcernsNobody) {
  ASSERT_OK(objects_.Read(store_));
  v1::Object object;
  v1::Replica& replica = *object.mutable_replica();
  replica.mutable_metadata()->set_name("a-0-x");
  for (const auto state :
       {v1::ReplicaStatus::PENDING, v1::ReplicaStatus::STARTING}) {
    replica.mutable_status()->set_state(state);
    Put(object);
    EXPECT_FALSE(Take());
  }
  replica.mutable_status()->set_state(v1::ReplicaStatus::RUNNING);
  Put(object);
  EXPECT_TRUE(Take());
  replica.mutable_status()->set_message("news");
  Put(object);
  EXPECT_FALSE(Take());
  replica.mutable_status()->set_ready(true);
  Put(object);
  EXPECT_TRUE(Take());
  replica.mutable_spec()->set_goal(v1::ReplicaSpec::STOP);
  Put(object);
  EXPECT_TRUE(Take());
  ASSERT_OK(store_.Commit(store::Batch().Delete(store::KeyOf(object))));
  EXPECT_TRUE(Take());
  EXPECT_THAT(view_.replicas, IsEmpty());
}

TEST_F(PublishedObjectsTest, WhenARecordGoesBad_ItIsNamedUntilItIsGoodOrGone) {
  Put("a");
  Put("b");
  ASSERT_OK(objects_.Read(store_));
  PutBad("a");
  PutBad("b");
  EXPECT_TRUE(Take());
  EXPECT_THAT(Services(), IsEmpty());
  EXPECT_THAT(view_.unreadable, ElementsAre("default/a", "default/b"));
  Put("a", "@9");
  Delete("b");
  EXPECT_TRUE(Take());
  EXPECT_THAT(Services(), ElementsAre("a@9"));
  EXPECT_THAT(view_.unreadable, IsEmpty());
}

}  // namespace
}  // namespace bulwark::scheduler
