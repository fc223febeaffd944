#include "scheduler/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::testing::SizeIs;

class EventRecorderTest : public ::testing::Test {
 protected:
  EventRecorderTest() : entropy_(1), store_(clock_) {
    web_.set_kind("service");
    web_.set_project("shop");
    web_.set_name("web");
    web_.set_uid("u");
  }
  std::vector<v1::Event> All() {
    std::vector<v1::Event> events;
    auto listing = store::ListObjects(store_, "event", "shop");
    for (const v1::Object& o : listing->objects) events.push_back(o.event());
    return events;
  }

  testing::FakeClock clock_;
  SeededEntropy entropy_;
  store::MemStore store_;
  v1::ObjectReference web_;
};

TEST_F(EventRecorderTest, WhenItRepeats_IsCountedAlsoByTheNextProcess) {
  EventRecorder(store_, clock_, entropy_).Record(web_, "Failed", "x");
  clock_.Advance(absl::Minutes(1));
  EventRecorder(store_, clock_, entropy_).Record(web_, "Failed", "x");
  ASSERT_THAT(All(), SizeIs(1));
  EXPECT_EQ(All()[0].count(), 2);
  EXPECT_EQ(All()[0].actor().name(), "system");
  EXPECT_LT(All()[0].first_time().seconds(), All()[0].last_time().seconds());
}

TEST_F(EventRecorderTest, WhenItRepeatsMuchLater_IsNew) {
  EventRecorder recorder(store_, clock_, entropy_);
  recorder.Record(web_, "Failed", "x");
  clock_.Advance(absl::Hours(2));
  recorder.Record(web_, "Failed", "x");
  EXPECT_THAT(All(), SizeIs(2));
}

TEST_F(EventRecorderTest, WhenThereAreTooMany_TheOldestGo) {
  EventRecorder recorder(store_, clock_, entropy_, 10);
  for (int i = 0; i < 35; ++i) {
    clock_.Advance(absl::Seconds(1));
    recorder.Record(web_, "Failed", absl::StrCat(i));
  }
  const auto events = All();
  ASSERT_THAT(events, SizeIs(10));
  EXPECT_EQ(events.front().message(), "25");
  EXPECT_EQ(events.back().message(), "34");
}

TEST_F(EventRecorderTest, WhenSeveralAreTold_TheyAreOneCommit) {
  EventRecorder recorder(store_, clock_, entropy_, 3);
  recorder.RecordAll(web_, {});
  EXPECT_EQ(store_.CurrentRevision(), 0u);
  const uint64_t before = store_.CurrentRevision();
  // The first goes as the fourth comes; the last two are one, twice.
  recorder.RecordAll(
      web_, {{"A", "a"}, {"B", "b"}, {"C", "c"}, {"D", "d"}, {"D", "d"}});
  EXPECT_EQ(store_.CurrentRevision(), before + 1);
  const auto events = All();
  ASSERT_THAT(events, SizeIs(3));
  for (const v1::Event& event : events) {
    EXPECT_NE(event.reason(), "A");
    EXPECT_EQ(event.count(), event.reason() == "D" ? 2 : 1);
  }
}

TEST_F(EventRecorderTest, WhenABatchIsNotCommitted_ItsEventsWereNot) {
  EventRecorder recorder(store_, clock_, entropy_);
  recorder.Record(web_, "Failed", "x");
  {
    store::Batch batch;
    const EventRecorder::Staged lost =
        recorder.Stage(web_, {{"Failed", "x"}}, batch);
    EXPECT_FALSE(batch.empty());
  }
  store::Batch batch;
  EventRecorder::Staged told = recorder.Stage(web_, {{"Failed", "x"}}, batch);
  ASSERT_OK(store_.Commit(batch));
  told.Committed();
  ASSERT_THAT(All(), SizeIs(1));
  EXPECT_EQ(All()[0].count(), 2);
}

TEST_F(EventRecorderTest, WhenTheStoreFails_NothingElseDoes) {
  EventRecorder recorder(store_, clock_, entropy_);
  store_.SetFault([](const store::Batch&) {
    return absl::ResourceExhaustedError("disk full");
  });
  recorder.Record(web_, "Failed", "x");
  store_.SetFault(nullptr);
  recorder.Record(web_, "Failed", "y");
  EXPECT_THAT(All(), SizeIs(1));
}

}  // namespace
}  // namespace bulwark::scheduler
