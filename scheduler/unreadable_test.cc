// Records whose bytes mean nothing: the controllers go on without them.
#include "absl/strings/str_cat.h"
#include "scheduler/testing/scheduler_fixture.h"

namespace bulwark::scheduler {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(SchedulerTest, WhenAServicesRecordIsBad_OnlyThatOneIsLeftAlone) {
  Apply("web", 2);
  Apply("bad", 1);
  ASSERT_TRUE(AwaitRunning("web", 2));
  ASSERT_TRUE(AwaitRunning("bad", 1));
  const store::Key key = store::ObjectKey("service", "default", "bad");
  ASSERT_OK(store_.Commit(store::Batch().Put(key, "\xff\xff")));
  // A restart is no cure, and no harm.
  End();
  Begin();
  EXPECT_TRUE(Await([&] {
    auto events = store::ListObjects(store_, "event", "default");
    if (!events.ok()) return false;
    for (const v1::Object& o : events->objects) {
      if (o.event().reason() == "RecordUnreadable" &&
          o.event().subject().name() == "bad") {
        return true;
      }
    }
    return false;
  }));
  Apply("later", 1);
  EXPECT_TRUE(AwaitRunning("later", 1));
  ASSERT_OK(engine_.Exit(ContainerOf(Running("web")[0]), 1));
  EXPECT_TRUE(Await([&] { return engine_.start_count() == 5; }));
  EXPECT_TRUE(AwaitRunning("web", 2));
  EXPECT_THAT(Running("bad"), SizeIs(1));
  ASSERT_OK_AND_ASSIGN(const store::Record record, store_.Get(key));
  EXPECT_EQ(record.value, "\xff\xff");
}

TEST_F(SchedulerTest, WhenAReplicasRecordIsBad_ItsServiceWaitsAndNoOther) {
  Apply("web", 1);
  Apply("web-2", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  ASSERT_TRUE(AwaitRunning("web-2", 1));
  v1::Object object;
  *object.mutable_replica() = Running("web")[0];
  const std::string container = ContainerOf(object.replica());
  const std::string address = object.replica().spec().address();
  const store::Key key = store::KeyOf(object);
  const std::string bad = "\xff\xff";
  ASSERT_OK(store_.Commit(store::Batch().Put(key, bad)));
  End();
  Begin();
  // Whose record it cannot read is neither removed nor started again.
  EXPECT_THAT(scheduler_->degraded(), HasSubstr(key.ToString()));
  Apply("later", 1);
  EXPECT_TRUE(AwaitRunning("later", 1));
  EXPECT_NE(Running("later")[0].spec().address(), address);
  ASSERT_OK(engine_.Exit(ContainerOf(Running("web-2")[0]), 1));
  EXPECT_TRUE(Await([&] { return engine_.start_count() == 4; }));
  EXPECT_TRUE(AwaitRunning("web-2", 1));
  ASSERT_OK_AND_ASSIGN(const engine::ContainerInfo info,
                       engine_.Inspect(container));
  EXPECT_EQ(info.state, engine::ContainerState::kRunning);
  ASSERT_OK_AND_ASSIGN(const store::Record record, store_.Get(key));
  EXPECT_EQ(record.value, bad);
}

TEST(OwnerInNameTest, WhenTheNameHasTheForm_ItsOwnerIsFound) {
  const struct {
    const char* kind;
    const char* name;
    const char* owner;
  } kCases[] = {
      {"replica", "web-0-x2x4z", "web"},
      {"replica", "web-api-12-x2x4z", "web-api"},
      {"replica", "web-x2x4z", ""},
      {"replica", "web", ""},
      {"replica", "web-0-", ""},
      {"replica", "", ""},
      {"revision", "web-3", "web"},
      {"revision", "web-0-3", "web-0"},
      {"revision", "job.import-1", "job.import"},
      {"revision", "web", ""},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(OwnerInName({c.kind, "default", c.name}), c.owner) << c.name;
  }
}

}  // namespace
}  // namespace bulwark::scheduler
