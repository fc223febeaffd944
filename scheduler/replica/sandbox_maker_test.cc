// Which sandbox a replica gets.
#include "scheduler/replica/sandbox_maker.h"

#include <gtest/gtest.h>

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
  absl::StatusOr<netmesh::Sandbox> Prepare(const netmesh::SandboxSpec& spec) {
    return maker_->Prepare(replica_, spec);
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
  ASSERT_OK(Prepare(Spec("a", "red", 2)));
  ASSERT_OK_AND_ASSIGN(netmesh::Sandbox made, Prepare(Spec("b", "red", 3)));
  EXPECT_EQ(made.spec.ids, Range(1));
  ASSERT_OK(network_.DeleteSandbox("a"));
  // Though a lower range is free now.
  ASSERT_OK_AND_ASSIGN(made, Prepare(Spec("b", "red", 3)));
  EXPECT_EQ(made.spec.ids, Range(1));
  EXPECT_EQ(network_.ListSandboxes().size(), 1u);
}

TEST_F(SandboxMakerTest, WhenTheSlotsIsOfAnotherNetwork_ItIsReplaced) {
  ASSERT_OK(Prepare(Spec("a", "red", 2)));
  ASSERT_OK_AND_ASSIGN(const netmesh::Sandbox made,
                       Prepare(Spec("a", "blue", 2)));
  EXPECT_EQ(made.spec.ids, Range(0));
  const std::vector<netmesh::Sandbox> all = network_.ListSandboxes();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].spec.network, "blue");
  EXPECT_EQ(all[0].spec.address, "10.210.1.2");
}

TEST_F(SandboxMakerTest, WhenTheOldOneCannotBeRemoved_PrepareSaysSo) {
  ASSERT_OK(Prepare(Spec("a", "red", 2)));
  network_.FailNext(absl::InternalError("stuck"));
  EXPECT_THAT(Prepare(Spec("a", "blue", 2)).status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("stuck")));
  EXPECT_EQ(network_.ListSandboxes()[0].spec.network, "red");
  EXPECT_OK(Prepare(Spec("a", "blue", 2)));
}

TEST_F(SandboxMakerTest, WhenThePoolChanges_WhoeverLivesInOneKeepsItsIds) {
  ASSERT_OK(Prepare(Spec("a", "red", 2)));
  engine::ContainerSpec container;
  container.id = "c";
  container.args = {"/bin/true"};
  container.labels = {{std::string(kReplicaLabel), "uid-1"}};
  ASSERT_OK(engine_.Start(container));
  Make({});
  ASSERT_OK_AND_ASSIGN(netmesh::Sandbox made, Prepare(Spec("a", "red", 2)));
  EXPECT_EQ(made.spec.ids, Range(0));
  ASSERT_OK(engine_.Kill("c"));
  ASSERT_OK(engine_.Remove("c"));
  ASSERT_OK_AND_ASSIGN(made, Prepare(Spec("a", "red", 2)));
  EXPECT_EQ(made.spec.ids, netmesh::IdRange{});
  EXPECT_EQ(network_.ListSandboxes()[0].spec.ids, netmesh::IdRange{});
}

TEST_F(SandboxMakerTest, WhenManyArePreparedAtOnce_NoTwoShareIds) {
  std::vector<uint32_t> firsts(kPool.ranges);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kPool.ranges; ++i) {
    threads.emplace_back([&, i] {
      const auto made = Prepare(Spec(absl::StrCat("s", i), "red", 2 + i));
      ASSERT_OK(made);
      firsts[i] = made->spec.ids.first;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<uint32_t>(firsts.begin(), firsts.end()).size(),
            kPool.ranges);
  EXPECT_THAT(Prepare(Spec("more", "red", 99)).status(),
              StatusIs(absl::StatusCode::kUnavailable));
  // Nor is a slot held for whom there were no ids.
  ASSERT_OK(network_.DeleteSandbox("s0"));
  EXPECT_OK(Prepare(Spec("more", "red", 99)));
}

TEST_F(SandboxMakerTest, WhenItCannotBePrepared_ItsIdsAreFree) {
  for (uint32_t i = 0; i <= kPool.ranges; ++i) {
    network_.FailNext(absl::ResourceExhaustedError("no more namespaces"));
    EXPECT_THAT(
        Prepare(Spec("a", "red", 2)).status(),
        StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no more")));
  }
  EXPECT_THAT(Prepare({"a", "green", "10.210.2.2", "", {}}).status(),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(network_.ListSandboxes().empty());
  ASSERT_OK_AND_ASSIGN(const netmesh::Sandbox made,
                       Prepare(Spec("a", "red", 2)));
  EXPECT_EQ(made.spec.ids, Range(0));
}

TEST_F(SandboxMakerTest, WhileItIsPrepared_ItsSlotIsHeldAndNoOther) {
  SetOpen(false);
  std::thread start([this] { EXPECT_OK(Prepare(Spec("a", "red", 2))); });
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
  start.join();
  EXPECT_TRUE(was_made);
}

}  // namespace
}  // namespace bulwark::scheduler
