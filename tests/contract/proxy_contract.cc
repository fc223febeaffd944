#include "tests/contract/proxy_contract.h"

#include "base/testing/status_matchers.h"

namespace bulwark::lb {
namespace {

using bulwark::testing::IsOk;
using bulwark::testing::StatusIs;

TEST_P(ProxyContractTest, WhenStartedTwice_IsOk) {
  EXPECT_THAT(proxy_->Start(), IsOk());
  EXPECT_THAT(proxy_->Start(), IsOk());
}

TEST_P(ProxyContractTest, WhenNotStarted_IsUnavailable) {
  EXPECT_THAT(proxy_->Stats(absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_P(ProxyContractTest, WhenNothingWasApplied_VersionIsZero) {
  ASSERT_OK(proxy_->Start());
  ASSERT_OK_AND_ASSIGN(auto stats, proxy_->Stats(kTimeout));
  EXPECT_EQ(stats.version(), 0u);
  EXPECT_EQ(stats.pools_size(), 0);
}

TEST_P(ProxyContractTest, WhenApplied_AnswerAndStatsCarryTheVersion) {
  ASSERT_OK(proxy_->Start());
  snapshot_.Ready("a", 1).Ready("b", 2);
  ASSERT_OK_AND_ASSIGN(auto applied, Apply());
  EXPECT_EQ(applied.version(), 1u);
  EXPECT_EQ(applied.errors_size(), 0);
  ASSERT_OK_AND_ASSIGN(auto stats, proxy_->Stats(kTimeout));
  EXPECT_EQ(stats.version(), 1u);
  ASSERT_EQ(stats.pools_size(), 1);
  EXPECT_EQ(stats.pools(0).pool(), "p");
  ASSERT_EQ(stats.pools(0).endpoints_size(), 2);
  EXPECT_EQ(stats.pools(0).endpoints(0).id(), "a");
}

TEST_P(ProxyContractTest, WhenVersionIsNotAbove_IsRefusedAndNothingChanges) {
  ASSERT_OK(proxy_->Start());
  ASSERT_OK(Apply());
  ASSERT_OK(Apply());
  for (uint64_t version : {0, 1, 2}) {
    auto old = snapshot_.raw();
    old.set_version(version);
    old.clear_pools();
    old.clear_listeners();
    EXPECT_THAT(proxy_->Apply(old, kTimeout),
                StatusIs(absl::StatusCode::kFailedPrecondition))
        << version;
  }
  ASSERT_OK_AND_ASSIGN(auto stats, proxy_->Stats(kTimeout));
  EXPECT_EQ(stats.version(), 2u);
  EXPECT_EQ(stats.pools_size(), 1);
}

TEST_P(ProxyContractTest, WhenSnapshotIsMalformed_IsRefusedAndNothingChanges) {
  ASSERT_OK(proxy_->Start());
  ASSERT_OK(Apply());
  auto bad = snapshot_.raw();
  bad.set_version(9);
  bad.mutable_listeners(0)->set_pool("missing");
  EXPECT_THAT(proxy_->Apply(bad, kTimeout),
              StatusIs(absl::StatusCode::kInvalidArgument));
  ASSERT_OK_AND_ASSIGN(auto stats, proxy_->Stats(kTimeout));
  EXPECT_EQ(stats.version(), 1u);
}

TEST_P(ProxyContractTest, WhenApplied_LastAppliedIsIt) {
  ASSERT_OK(proxy_->Start());
  ASSERT_OK_AND_ASSIGN(auto none, proxy_->LastApplied());
  EXPECT_EQ(none.version(), 0u);
  snapshot_.Ready("a", 1);
  ASSERT_OK(Apply());
  ASSERT_OK(Apply());
  ASSERT_OK_AND_ASSIGN(auto last, proxy_->LastApplied());
  EXPECT_EQ(last.SerializeAsString(), snapshot_.raw().SerializeAsString());
  EXPECT_EQ(last.version(), 2u);
  auto bad = snapshot_.raw();
  bad.set_version(9);
  bad.mutable_listeners(0)->set_pool("missing");
  EXPECT_FALSE(proxy_->Apply(bad, kTimeout).ok());
  ASSERT_OK_AND_ASSIGN(last, proxy_->LastApplied());
  EXPECT_EQ(last.version(), 2u);
}

TEST_P(ProxyContractTest, WhenShutDown_StartsAgainFromNothing) {
  ASSERT_OK(proxy_->Start());
  ASSERT_OK(Apply());
  ASSERT_OK(proxy_->Shutdown());
  EXPECT_THAT(proxy_->Stats(absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_OK_AND_ASSIGN(auto last, proxy_->LastApplied());
  EXPECT_EQ(last.version(), 0u);
  ASSERT_OK(proxy_->Start());
  ASSERT_OK_AND_ASSIGN(auto stats, proxy_->Stats(kTimeout));
  EXPECT_EQ(stats.version(), 0u);
}

TEST_P(ProxyContractTest, WhenShutDownTwice_IsOk) {
  EXPECT_OK(proxy_->Shutdown());
  ASSERT_OK(proxy_->Start());
  EXPECT_OK(proxy_->Shutdown());
  EXPECT_OK(proxy_->Shutdown());
}

}  // namespace
}  // namespace bulwark::lb
