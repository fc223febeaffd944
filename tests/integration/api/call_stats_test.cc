// What the server counts of its calls.
#include <gmock/gmock.h>

#include <map>

#include "base/testing/status_matchers.h"
#include "tests/integration/api/fixture.h"
#include "tests/integration/api/generic_call.h"

namespace bulwark::api {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class CallStatsTest : public ApiTest {
 protected:
  CallStats::Method Of(const std::string& name) {
    for (CallStats::Method& m : server_->GetStats()) {
      if (m.name == name) return m;
    }
    return {};
  }
  // The server counts a call's end a little after the client has its answer.
  template <typename F>
  bool Soon(F&& condition) {
    const absl::Duration deadline = clock_.Steady() + absl::Seconds(20);
    while (!condition()) {
      if (clock_.Steady() > deadline) return false;
      clock_.Sleep(absl::Milliseconds(5));
    }
    return true;
  }
};

TEST_F(CallStatsTest, WhenCalled_CountsByMethodAndCode) {
  ASSERT_OK(Apply({Service("web")}).status());
  EXPECT_OK(Get("service", "web").status());
  EXPECT_FALSE(Get("service", "none").ok());
  ASSERT_TRUE(Soon([&] { return Of("Resources/Get").by_code.size() == 2; }));
  const CallStats::Method get = Of("Resources/Get");
  EXPECT_THAT(get.by_code, ElementsAre(Pair("NOT_FOUND", 1), Pair("OK", 1)));
  EXPECT_EQ(get.in_flight, 0);
  EXPECT_EQ(get.durations.counts.back(), 2);
  EXPECT_GT(get.durations.sum, 0);
  EXPECT_TRUE(Soon([&] { return Of("Resources/Apply").in_flight == 0; }));
  EXPECT_THAT(Of("Resources/Apply").by_code, ElementsAre(Pair("OK", 1)));
}

TEST_F(CallStatsTest, WhenAStreamIsOpen_IsInFlightUntilItEnds) {
  auto stub = v1::Resources::NewStub(channel_);
  grpc::ClientContext context;
  v1::WatchRequest request;
  request.set_kind("service");
  auto stream = stub->Watch(&context, request);
  v1::WatchEvent event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(Of("Resources/Watch").in_flight, 1);
  context.TryCancel();
  while (stream->Read(&event)) {
  }
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_TRUE(Soon([&] { return Of("Resources/Watch").in_flight == 0; }));
  EXPECT_EQ(Of("Resources/Watch").durations.counts.back(), 0);
}

TEST_F(CallStatsTest, WhenAMethodIsUnknown_IsNotCounted) {
  EXPECT_EQ(GenericCall(channel_, "/bulwark.v1.Resources/Nothing").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_TRUE(server_->GetStats().empty());
}

}  // namespace
}  // namespace bulwark::api
