// Sandboxes that are made beside the rest of a start.
#include "scheduler/replica/sandbox_maker.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "engine/fake/fake_engine.h"
#include "netmesh/fake/fake_network.h"
#include "scheduler/names.h"
#include "scheduler/slot_guard.h"

namespace bulwark::scheduler {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr IdPool kPool = {1 << 20, 4};
// Long enough to be sure that somebody waits.
constexpr absl::Duration kWaits = absl::Milliseconds(100);

netmesh::IdRange Range(uint32_t n) {
  return {kPool.first + n * kIdsOfReplica, kIdsOfReplica};
}

class SandboxMakerTest : public ::testing::Test {
 protected:
  SandboxMakerTest() {
    replica_.mutable_metadata()->set_uid("uid-1");
    EXPECT_OK(network_.Recover());
    EXPECT_OK(network_.EnsureNetwork({"red", "10.210.0.0/24", ""}));
    EXPECT_OK(network_.EnsureNetwork({"blue", "10.210.1.0/24", ""}));
    network_.SetSandboxHook([this](const netmesh::SandboxSpec&) {
      absl::MutexLock lock(&mu_);
      ++asked_;
      mu_.Await(absl::Condition(this, &SandboxMakerTest::IsOpen));
    });
    Make(kPool);
  }
  ~SandboxMakerTest() override { SetOpen(true); }

  void Make(const IdPool& pool) {
    maker_.reset();
    maker_ = std::make_unique<SandboxMaker>(engine_, network_, slots_, pool);
  }
  // Whether the network makes what it is asked for, or lets that wait.
  void SetOpen(bool open) {
    absl::MutexLock lock(&mu_);
    open_ = open;
  }
  void AwaitAsked() {
    absl::MutexLock lock(&mu_);
    const auto asked = [this] { return asked_ > 0; };
    EXPECT_TRUE(
        mu_.AwaitWithTimeout(absl::Condition(&asked), absl::Seconds(20)));
  }

  static netmesh::SandboxSpec Spec(const std::string& slot,
                                   const std::string& network, int host) {
    const char* subnet = network == "red" ? "10.210.0." : "10.210.1.";
    return {slot, network, absl::StrCat(subnet, host), "", {}};
  }
  absl::StatusOr<ComingSandbox> Begin(const netmesh::SandboxSpec& spec) {
    return maker_->Begin(replica_, spec);
  }
  // Begins, and waits until it is made.
  absl::StatusOr<netmesh::Sandbox> Ensure(const netmesh::SandboxSpec& spec) {
    auto coming = Begin(spec);
    if (!coming.ok()) return coming.status();
    auto made = coming->made.get();
    if (made.ok()) {
      EXPECT_EQ(made->netns_path, coming->netns_path);
      EXPECT_EQ(made->spec.ids, coming->ids);
    }
    return made;
  }

  bool IsOpen() const { return open_; }

  absl::Mutex mu_;
  bool open_ = true;
  int asked_ = 0;

  testing::FakeClock clock_;
  engine::FakeEngine engine_{clock_};
  netmesh::FakeNetwork network_;
  SlotGuard slots_;
  v1::Replica replica_;
  std::unique_ptr<SandboxMaker> maker_;
};

TEST_F(SandboxMakerTest, WhenTheSlotHasOne_ItIsKeptWithItsIds) {
  ASSERT_OK(Ensure(Spec("a", "red", 2)));
  ASSERT_OK_AND_ASSIGN(netmesh::Sandbox made, Ensure(Spec("b", "red", 3)));
  EXPECT_EQ(made.spec.ids, Range(1));
  ASSERT_OK(network_.DeleteSandbox("a"));
  // Though a lower range is free now.
  ASSERT_OK_AND_ASSIGN(made, Ensure(Spec("b", "red", 3)));
  EXPECT_EQ(made.spec.ids, Range(1));
  EXPECT_EQ(network_.ListSandboxes().size(), 1u);
}

TEST_F(SandboxMakerTest, WhenTheSlotsIsOfAnotherNetwork_ItIsReplaced) {
  ASSERT_OK(Ensure(Spec("a", "red", 2)));
  ASSERT_OK_AND_ASSIGN(const netmesh::Sandbox made,
                       Ensure(Spec("a", "blue", 2)));
  EXPECT_EQ(made.spec.ids, Range(0));
  const std::vector<netmesh::Sandbox> all = network_.ListSandboxes();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].spec.network, "blue");
  EXPECT_EQ(all[0].spec.address, "10.210.1.2");
}

TEST_F(SandboxMakerTest, WhenTheOldOneCannotBeRemoved_BeginSaysSo) {
  ASSERT_OK(Ensure(Spec("a", "red", 2)));
  network_.FailNext(absl::InternalError("stuck"));
  EXPECT_THAT(Begin(Spec("a", "blue", 2)).status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("stuck")));
  EXPECT_EQ(network_.ListSandboxes()[0].spec.network, "red");
  EXPECT_OK(Ensure(Spec("a", "blue", 2)));
}

TEST_F(SandboxMakerTest, WhenThePoolChanges_WhoeverLivesInOneKeepsItsIds) {
  ASSERT_OK(Ensure(Spec("a", "red", 2)));
  engine::ContainerSpec container;
  container.id = "c";
  container.args = {"/bin/true"};
  container.labels = {{std::string(kReplicaLabel), "uid-1"}};
  ASSERT_OK(engine_.Start(container));
  Make({});
  ASSERT_OK_AND_ASSIGN(netmesh::Sandbox made, Ensure(Spec("a", "red", 2)));
  EXPECT_EQ(made.spec.ids, Range(0));
  ASSERT_OK(engine_.Kill("c"));
  ASSERT_OK(engine_.Remove("c"));
  ASSERT_OK_AND_ASSIGN(made, Ensure(Spec("a", "red", 2)));
  EXPECT_EQ(made.spec.ids, netmesh::IdRange{});
  EXPECT_EQ(network_.ListSandboxes()[0].spec.ids, netmesh::IdRange{});
}

TEST_F(SandboxMakerTest, WhenManyAreBegunAtOnce_NoTwoShareIds) {
  SetOpen(false);
  std::vector<ComingSandbox> coming(kPool.ranges);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kPool.ranges; ++i) {
    threads.emplace_back([&, i] {
      auto begun = Begin(Spec(absl::StrCat("s", i), "red", 2 + i));
      ASSERT_OK(begun);
      coming[i] = *begun;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(network_.ListSandboxes().empty());
  EXPECT_THAT(Begin(Spec("more", "red", 99)).status(),
              StatusIs(absl::StatusCode::kUnavailable));
  SetOpen(true);
  std::set<uint32_t> firsts;
  for (const ComingSandbox& one : coming) {
    firsts.insert(one.ids.first);
    ASSERT_OK(one.made.get());
    EXPECT_EQ(one.made.get()->spec.ids, one.ids);
  }
  EXPECT_EQ(firsts.size(), kPool.ranges);
  // Nor is a slot held for whom there were no ids.
  ASSERT_OK(network_.DeleteSandbox("s0"));
  EXPECT_OK(Ensure(Spec("more", "red", 99)));
}

TEST_F(SandboxMakerTest, WhenItCannotBeMade_MadeSaysWhyAndItsIdsAreFree) {
  for (uint32_t i = 0; i <= kPool.ranges; ++i) {
    network_.FailNext(absl::ResourceExhaustedError("no more links"));
    ASSERT_OK_AND_ASSIGN(const ComingSandbox coming,
                         Begin(Spec("a", "red", 2)));
    EXPECT_EQ(coming.ids, Range(0));
    EXPECT_THAT(
        coming.made.get().status(),
        StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no more")));
  }
  EXPECT_THAT(Ensure({"a", "green", "10.210.2.2", "", {}}).status(),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(network_.ListSandboxes().empty());
  EXPECT_OK(Ensure(Spec("a", "red", 2)));
}

TEST_F(SandboxMakerTest, WhileItIsMade_ItsSlotIsHeldAndNoOther) {
  SetOpen(false);
  ASSERT_OK_AND_ASSIGN(const ComingSandbox coming, Begin(Spec("a", "red", 2)));
  AwaitAsked();
  { const SlotGuard::Hold other(slots_, "b"); }
  bool held = false;
  bool was_made = false;
  std::thread sweeper([&] {
    const SlotGuard::Hold hold(slots_, "a");
    absl::MutexLock lock(&mu_);
    was_made = network_.ListSandboxes().size() == 1;
    held = true;
  });
  {
    absl::MutexLock lock(&mu_);
    EXPECT_FALSE(mu_.AwaitWithTimeout(absl::Condition(&held), kWaits));
  }
  SetOpen(true);
  sweeper.join();
  EXPECT_TRUE(was_made);
  EXPECT_OK(coming.made.get());
}

TEST_F(SandboxMakerTest, WhenItEnds_WhatWasBegunIsFinished) {
  SetOpen(false);
  std::vector<ComingSandbox> coming;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(ComingSandbox one,
                         Begin(Spec(absl::StrCat("s", i), "red", 2 + i)));
    coming.push_back(std::move(one));
  }
  AwaitAsked();
  bool ended = false;
  std::thread end([&] {
    maker_.reset();
    absl::MutexLock lock(&mu_);
    ended = true;
  });
  {
    absl::MutexLock lock(&mu_);
    EXPECT_FALSE(mu_.AwaitWithTimeout(absl::Condition(&ended), kWaits));
  }
  SetOpen(true);
  end.join();
  for (const ComingSandbox& one : coming) {
    ASSERT_EQ(one.made.wait_for(std::chrono::seconds(0)),
              std::future_status::ready);
    EXPECT_OK(one.made.get());
  }
  EXPECT_EQ(network_.ListSandboxes().size(), 3u);
}

}  // namespace
}  // namespace bulwark::scheduler
