#include "scheduler/control/pass.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using Op = store::Batch::Item::Op;
using ::bulwark::testing::StatusIs;

const store::Key kKey = store::ObjectKey("job", "default", "import");

v1::Object Job(int32_t active) {
  v1::Object object;
  object.mutable_job()->mutable_metadata()->set_name("import");
  object.mutable_job()->mutable_metadata()->set_project("default");
  object.mutable_job()->mutable_status()->set_active(active);
  return object;
}

TEST(AddChangeTest, WhenTheObjectChanged_WritesItOverWhatWasRead) {
  store::Batch batch;
  ASSERT_TRUE(AddChange({kKey, 7, Job(0), Job(1), true}, batch));
  ASSERT_EQ(batch.items().size(), 1u);
  EXPECT_EQ(batch.items()[0].op, Op::kPut);
  EXPECT_EQ(batch.items()[0].expected, 7u);
  EXPECT_TRUE(batch.durable());
  EXPECT_TRUE(batch.essential());
}

TEST(AddChangeTest, WhenOnlyItsStatusMoves_NeedNotOutliveTheHost) {
  store::Batch batch;
  ASSERT_TRUE(AddChange({kKey, 7, Job(0), Job(1), false}, batch));
  EXPECT_FALSE(batch.durable());
  EXPECT_TRUE(batch.essential());
}

TEST(AddChangeTest, WhenTheObjectStays_TheRestIsBoundToIt) {
  store::Batch batch;
  ASSERT_TRUE(AddChange({kKey, 7, Job(1), Job(1), true}, batch));
  ASSERT_EQ(batch.items().size(), 1u);
  EXPECT_EQ(batch.items()[0].op, Op::kRequire);
  EXPECT_EQ(batch.items()[0].expected, 7u);
}

TEST(AddChangeTest, WhenNothingChanges_NothingIsCommitted) {
  store::Batch batch;
  EXPECT_FALSE(AddChange({kKey, 7, Job(1), Job(1), false}, batch));
  EXPECT_TRUE(batch.empty());
}

TEST(StopOrphanTest, WhenItWasWrittenMeanwhile_IsLeftAlone) {
  testing::FakeClock clock;
  store::MemStore store(clock);
  v1::Object object;
  object.mutable_replica()->mutable_metadata()->set_name("import-0-a");
  object.mutable_replica()->mutable_metadata()->set_project("default");
  const store::Key key = store::KeyOf(object);
  ASSERT_OK(store.Commit(store::Batch().Put(key, store::Encode(object))));
  ASSERT_OK_AND_ASSIGN(const v1::Object read, store::GetObject(store, key));
  ASSERT_OK(StopOrphan(store, read.replica(), "JobGone"));
  ASSERT_OK_AND_ASSIGN(const v1::Object stopped, store::GetObject(store, key));
  EXPECT_EQ(stopped.replica().spec().goal(), v1::ReplicaSpec::STOP);
  EXPECT_EQ(stopped.replica().spec().reason(), "JobGone");
  EXPECT_THAT(StopOrphan(store, read.replica(), "JobGone"),
              StatusIs(absl::StatusCode::kAborted));
}

}  // namespace
}  // namespace bulwark::scheduler
