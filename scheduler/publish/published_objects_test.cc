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

v1::Object WithReplica(v1::ReplicaStatus::State state, bool ready,
                       v1::ReplicaSpec::Goal goal = v1::ReplicaSpec::RUN) {
  v1::Object object;
  v1::Replica& replica = *object.mutable_replica();
  replica.mutable_metadata()->set_name("a-0-x");
  replica.mutable_spec()->set_goal(goal);
  replica.mutable_status()->set_state(state);
  replica.mutable_status()->set_ready(ready);
  return object;
}

TEST_F(PublishedObjectsTest, OnlyWhatMovesConnectionsCannotWait) {
  using State = v1::ReplicaStatus;
  constexpr auto kStop = v1::ReplicaSpec::STOP;
  const v1::Object gone;  // there is none
  const v1::Object starting = WithReplica(State::STARTING, false);
  const v1::Object running = WithReplica(State::RUNNING, false);
  const v1::Object ready = WithReplica(State::RUNNING, true);
  const v1::Object told = WithReplica(State::RUNNING, true, kStop);
  const v1::Object unready_told = WithReplica(State::RUNNING, false, kStop);
  const v1::Object draining = WithReplica(State::DRAINING, false);
  const v1::Object stopped = WithReplica(State::STOPPED, false);
  const v1::Object failed = WithReplica(State::FAILED, false);
  const struct {
    const char* name;
    const v1::Object& from;
    const v1::Object& to;
    Urgency urgency;
  } kCases[] = {
      {"made", gone, starting, Urgency::kNone},
      {"gone before it ran", starting, gone, Urgency::kNone},
      {"the same again", ready, ready, Urgency::kNone},
      {"runs", starting, running, Urgency::kSoon},
      {"found running", gone, running, Urgency::kSoon},
      {"to stop, never ready", running, unready_told, Urgency::kSoon},
      {"gone, never ready", running, gone, Urgency::kSoon},
      {"starts anew, never ready", running, starting, Urgency::kSoon},
      {"ready", running, ready, Urgency::kNow},
      {"ready at once", starting, ready, Urgency::kNow},
      {"found ready", gone, ready, Urgency::kNow},
      {"not ready any more", ready, running, Urgency::kNow},
      {"to stop", ready, told, Urgency::kNow},
      {"drains", ready, draining, Urgency::kNow},
      {"drains, never ready", running, draining, Urgency::kNow},
      {"stopped", draining, stopped, Urgency::kNow},
      {"failed", ready, failed, Urgency::kNow},
      {"failed at once", starting, failed, Urgency::kNow},
      {"starts anew", ready, starting, Urgency::kNow},
      {"gone", ready, gone, Urgency::kNow},
      {"forgotten", stopped, gone, Urgency::kNow},
  };
  const store::Key key = store::KeyOf(ready);
  ASSERT_OK(objects_.Read(store_));
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    for (const v1::Object* object : {&c.from, &c.to}) {
      Urgent();  // before it
      if (object->has_replica()) {
        Put(*object);
      } else {
        ASSERT_OK(store_.Commit(store::Batch().Delete(key)));
      }
    }
    EXPECT_EQ(Urgent(), c.urgency);
  }
}

TEST_F(PublishedObjectsTest, WhenSeveralChange_TheMostUrgentCounts) {
  ASSERT_OK(objects_.Read(store_));
  Put("a");
  EXPECT_EQ(Urgent(), Urgency::kSoon);
  Put("a", "@1");
  EXPECT_EQ(Urgent(), Urgency::kSoon);
  v1::Object object;
  object.mutable_network()->mutable_metadata()->set_name("n");
  Put(object);
  EXPECT_EQ(Urgent(), Urgency::kSoon);
  Put(WithReplica(v1::ReplicaStatus::RUNNING, true));
  Put("a", "@2");
  Put("a", "@2");
  EXPECT_EQ(Urgent(), Urgency::kNow);
  Delete("a");
  EXPECT_EQ(Urgent(), Urgency::kSoon);
  // What was served of it is kept, and is to be served again.
  PutBad("a");
  EXPECT_EQ(Urgent(), Urgency::kNow);
  Put("a");
  EXPECT_EQ(Urgent(), Urgency::kNow);
  EXPECT_EQ(Urgent(), Urgency::kNone);
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
