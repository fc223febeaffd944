#include "lb/picker.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace bulwark::lb {
namespace {

constexpr int64_t kNow = 1'000'000'000'000;

Backend Make(const std::string& id, uint32_t weight = 1,
             EndpointState state = EndpointState::kReady) {
  return {std::make_shared<Endpoint>(id, *SocketAddress::Parse("10.0.0.1", 80)),
          state, weight};
}

std::vector<Backend> MakeMany(int count) {
  std::vector<Backend> result;
  for (int i = 0; i < count; ++i) result.push_back(Make(absl::StrCat("e", i)));
  return result;
}

std::string PickId(Algorithm algorithm, const BackendSet& set,
                   PickRequest request) {
  request.now_ns = kNow;
  const Backend* b = Pick(algorithm, set, request);
  return b == nullptr ? "" : b->endpoint->id;
}

std::map<std::string, int> PickMany(Algorithm algorithm, const BackendSet& set,
                                    int times) {
  std::map<std::string, int> counts;
  for (int i = 0; i < times; ++i) {
    PickRequest request;
    request.random = Mix64(i);
    request.source_hash = Mix64(i + 1'000'000);
    request.turn = i;
    ++counts[PickId(algorithm, set, request)];
  }
  return counts;
}

const Algorithm kAll[] = {Algorithm::kLeastConnections, Algorithm::kRoundRobin,
                          Algorithm::kSourceHash};

TEST(PickerTest, WhenSetIsEmpty_PicksNone) {
  for (Algorithm a : kAll) EXPECT_EQ(PickId(a, BackendSet(), {}), "");
}

TEST(PickerTest, WhenNoneIsReady_PicksNone) {
  const BackendSet set({Make("a", 1, EndpointState::kDraining),
                        Make("b", 1, EndpointState::kClosed)});
  for (Algorithm a : kAll) EXPECT_EQ(PickId(a, set, {}), "");
}

TEST(PickerTest, WhenSomeAreNotReady_PicksOnlyReady) {
  const BackendSet set({Make("a", 1, EndpointState::kDraining), Make("b"),
                        Make("c", 1, EndpointState::kClosed)});
  for (Algorithm a : kAll) {
    EXPECT_EQ(PickMany(a, set, 50), (std::map<std::string, int>{{"b", 50}}));
  }
}

TEST(PickerTest, WhenOneWasTried_PicksAnother) {
  const BackendSet set(MakeMany(2));
  const Endpoint* tried[] = {set.all()[0].endpoint.get()};
  PickRequest request;
  request.tried = tried;
  for (Algorithm a : kAll) EXPECT_EQ(PickId(a, set, request), "e1");
}

TEST(PickerTest, WhenAllWereTried_PicksNone) {
  const BackendSet set(MakeMany(2));
  const Endpoint* tried[] = {set.all()[0].endpoint.get(),
                             set.all()[1].endpoint.get()};
  PickRequest request;
  request.tried = tried;
  for (Algorithm a : kAll) EXPECT_EQ(PickId(a, set, request), "");
}

TEST(PickerTest, WhenOneIsEjected_AvoidsIt) {
  const BackendSet set(MakeMany(3));
  set.all()[1].endpoint->target.Eject(kNow);
  for (Algorithm a : kAll) {
    EXPECT_EQ(PickMany(a, set, 100).count("e1"), 0u);
  }
}

TEST(PickerTest, WhenAllAreEjected_PicksAnyway) {
  const BackendSet set(MakeMany(2));
  for (const Backend& b : set.all()) b.endpoint->target.Eject(kNow);
  for (Algorithm a : kAll) EXPECT_NE(PickId(a, set, {}), "");
}

TEST(PickerTest, WhenLastAdmittedWasTried_DoesNotFallBackToEjected) {
  const BackendSet set(MakeMany(2));
  set.all()[1].endpoint->target.Eject(kNow);
  const Endpoint* tried[] = {set.all()[0].endpoint.get()};
  PickRequest request;
  request.tried = tried;
  EXPECT_EQ(PickId(Algorithm::kLeastConnections, set, request), "");
}

TEST(PickerTest, WhenTwoEndpointsDiffer_LeastConnectionsTakesTheIdle) {
  const BackendSet set(MakeMany(2));
  set.all()[0].endpoint->active = 3;
  EXPECT_EQ(PickMany(Algorithm::kLeastConnections, set, 50),
            (std::map<std::string, int>{{"e1", 50}}));
}

TEST(PickerTest, WhenManyAreIdle_LeastConnectionsSpreads) {
  const BackendSet set(MakeMany(8));
  const auto counts = PickMany(Algorithm::kLeastConnections, set, 8000);
  ASSERT_EQ(counts.size(), 8u);
  for (const auto& [id, n] : counts) EXPECT_NEAR(n, 1000, 200) << id;
}

TEST(PickerTest, WhenConnectionsStay_LeastConnectionsFollowsWeights) {
  const BackendSet set({Make("heavy", 3), Make("light", 1)});
  for (int i = 0; i < 400; ++i) {
    PickRequest request;
    request.random = Mix64(i);
    request.now_ns = kNow;
    Pick(Algorithm::kLeastConnections, set, request)->endpoint->active++;
  }
  EXPECT_NEAR(set.all()[0].endpoint->active.load(), 300, 3);
}

TEST(PickerTest, WhenWeightsAreEqual_RoundRobinGoesInTurn) {
  const BackendSet set(MakeMany(3));
  for (uint64_t turn = 0; turn < 9; ++turn) {
    PickRequest request;
    request.turn = turn;
    EXPECT_EQ(PickId(Algorithm::kRoundRobin, set, request),
              absl::StrCat("e", turn % 3));
  }
}

TEST(PickerTest, WhenWeightsDiffer_RoundRobinIsExactOverACycle) {
  const BackendSet set({Make("a", 5), Make("b", 2), Make("c", 1)});
  EXPECT_EQ(PickMany(Algorithm::kRoundRobin, set, 80),
            (std::map<std::string, int>{{"a", 50}, {"b", 20}, {"c", 10}}));
}

TEST(PickerTest, WhenWeightsDiffer_RoundRobinDoesNotBunch) {
  const BackendSet set({Make("a", 50), Make("b", 50)});
  int longest = 0, run = 0;
  std::string last;
  for (uint64_t turn = 0; turn < 100; ++turn) {
    PickRequest request;
    request.turn = turn;
    const std::string id = PickId(Algorithm::kRoundRobin, set, request);
    run = id == last ? run + 1 : 1;
    last = id;
    longest = std::max(longest, run);
  }
  EXPECT_LE(longest, 3);
}

TEST(PickerTest, WhenSourceIsTheSame_SourceHashIsStable) {
  const BackendSet set(MakeMany(5));
  for (uint64_t source = 0; source < 50; ++source) {
    PickRequest request;
    request.source_hash = Mix64(source);
    const std::string first = PickId(Algorithm::kSourceHash, set, request);
    request.random = 12345;
    request.turn = 7;
    EXPECT_EQ(PickId(Algorithm::kSourceHash, set, request), first);
  }
}

TEST(PickerTest, WhenAnEndpointLeaves_SourceHashMovesOnlyItsClients) {
  std::vector<Backend> backends = MakeMany(5);
  const BackendSet before(backends);
  backends.erase(backends.begin() + 2);
  const BackendSet after(backends);
  for (uint64_t source = 0; source < 500; ++source) {
    PickRequest request;
    request.source_hash = Mix64(source);
    const std::string old = PickId(Algorithm::kSourceHash, before, request);
    if (old == "e2") continue;
    EXPECT_EQ(PickId(Algorithm::kSourceHash, after, request), old);
  }
}

TEST(PickerTest, WhenSourcesAreMany_SourceHashFollowsWeights) {
  const BackendSet set({Make("a", 3), Make("b", 1)});
  EXPECT_NEAR(PickMany(Algorithm::kSourceHash, set, 4000)["a"], 3000, 150);
}

TEST(BackendSetTest, WhenLastEndpointFails_IsNotEjected) {
  const BackendSet set({Make("a"), Make("b", 1, EndpointState::kDraining)});
  Endpoint& a = *set.all()[0].endpoint;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(set.ReportFailure(a, kNow));
  EXPECT_EQ(a.connect_failures_total, 20u);
}

TEST(BackendSetTest, WhenBothFail_OnlyTheFirstIsEjected) {
  const BackendSet set(MakeMany(2));
  for (int i = 0; i < 20; ++i) {
    set.ReportFailure(*set.all()[0].endpoint, kNow);
    set.ReportFailure(*set.all()[1].endpoint, kNow);
  }
  EXPECT_TRUE(set.all()[0].endpoint->target.Ejected(kNow));
  EXPECT_FALSE(set.all()[1].endpoint->target.Ejected(kNow));
}

TEST(SocketAddressTest, WhenTextIsWrong_IsRefused) {
  for (const char* text : {"", "localhost", "10.0.0", "10.0.0.1:80", "::g"}) {
    EXPECT_FALSE(SocketAddress::Parse(text, 80).ok()) << text;
  }
  EXPECT_FALSE(SocketAddress::Parse("10.0.0.1", 0).ok());
  EXPECT_FALSE(SocketAddress::Parse("10.0.0.1", 65536).ok());
}

TEST(SocketAddressTest, WhenParsed_PrintsTheSame) {
  EXPECT_EQ(SocketAddress::Parse("10.0.0.1", 80)->ToString(), "10.0.0.1:80");
  EXPECT_EQ(SocketAddress::Parse("fd00::1", 80)->ToString(), "[fd00::1]:80");
}

}  // namespace
}  // namespace bulwark::lb
