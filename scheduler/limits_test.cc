// Limits that change while containers run, and what a service says of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"
#include "scheduler/conditions.h"
#include "scheduler/testing/scheduler_fixture.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

using ::testing::ElementsAre;

class LimitsTest : public SchedulerTest {
 protected:
  // Declares another limit of memory, as the API does it.
  void Limit(int64_t bytes) {
    auto object = Get();
    v1::Service& service = *object.mutable_service();
    service.mutable_metadata()->set_generation(service.metadata().generation() +
                                               1);
    service.mutable_spec()
        ->mutable_containers(0)
        ->mutable_resources()
        ->mutable_memory()
        ->set_limit(bytes);
    Put(object);
  }
  // The container takes that much memory.
  void Use(int64_t bytes) {
    engine::ContainerStats stats;
    stats.memory_bytes = bytes;
    EXPECT_OK(engine_.SetStats(ContainerOf(Running("web")[0]), stats));
  }
  v1::Object Get() {
    auto object =
        store::GetObject(store_, store::ObjectKey("service", "default", "web"));
    EXPECT_OK(object);
    return object.value_or(v1::Object());
  }
  // "Applying", "LimitsRefused", "Applied" or nothing.
  static std::string Reason(const v1::Object& object) {
    const v1::Condition* limits =
        FindCondition(object.service().status().conditions(), "LimitsApplied");
    return limits == nullptr ? "" : limits->reason();
  }
  // What each status about the declaration `generation` said in its turn, once
  // the last of them says `end`.
  std::vector<std::string> Said(store::Watcher& watcher, int64_t generation,
                                const std::string& end) {
    std::vector<std::string> said;
    EXPECT_TRUE(testing::Await([&] {
      auto changes = watcher.Next(absl::ZeroDuration());
      EXPECT_OK(changes);
      for (const store::Change& change : *changes) {
        if (change.key.kind != "service") continue;
        auto object = store::Decode(change.key, change.value, change.revision);
        EXPECT_OK(object);
        if (object->service().status().observed_generation() != generation) {
          continue;
        }
        const std::string reason = Reason(*object);
        if (said.empty() || said.back() != reason) said.push_back(reason);
      }
      return !said.empty() && said.back() == end;
    })) << absl::StrCat("the last is ", said.empty() ? "none" : said.back());
    return said;
  }
};

TEST_F(LimitsTest, UntilTheyWereTried_NoStatusOfTheDeclarationTakesThemForSet) {
  Apply("web", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  ASSERT_TRUE(testing::Await(
      [&] { return Running("web")[0].status().containers_size() == 1; }));
  Use(100 << 20);
  auto watcher = store_.Watch(store_.CurrentRevision(), store::Filter{});
  ASSERT_OK(watcher);

  Limit(50 << 20);
  EXPECT_THAT(Said(**watcher, 2, "LimitsRefused"),
              ElementsAre("Applying", "LimitsRefused"));
  // Others are tried at once, not when these would be tried again.
  const absl::Time begin = clock_.Now();
  Limit(60 << 20);
  EXPECT_THAT(Said(**watcher, 3, "LimitsRefused"),
              ElementsAre("Applying", "LimitsRefused"));
  Limit(200 << 20);
  EXPECT_THAT(Said(**watcher, 4, "Applied"),
              ElementsAre("Applying", "Applied"));
  EXPECT_LT(clock_.Now() - begin, absl::Seconds(8));
}

TEST_F(LimitsTest, WhenAReplicaBeginsWithThem_NothingIsSaid) {
  Apply("web", 1);
  ASSERT_TRUE(AwaitRunning("web", 1));
  Limit(50 << 20);
  ASSERT_TRUE(testing::Await([&] { return Reason(Get()) == "Applied"; }));
  auto watcher = store_.Watch(store_.CurrentRevision(), store::Filter{});
  ASSERT_OK(watcher);
  const std::string uid = Running("web")[0].metadata().uid();
  ASSERT_OK(engine_.Exit(ContainerOf(Running("web")[0]), 1));
  ASSERT_TRUE(testing::Await([&] {
    const std::vector<v1::Replica> running = Running("web");
    return running.size() == 1 && running[0].metadata().uid() != uid;
  }));
  EXPECT_THAT(Said(**watcher, 2, "Applied"), ElementsAre("Applied"));
}

}  // namespace
}  // namespace bulwark::scheduler
