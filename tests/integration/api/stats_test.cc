// Stats over the socket.
#include <string>
#include <vector>

#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StatsTest : public ApiTest {
 protected:
  void SetUp() override {
    StartServer();
    ASSERT_OK(Apply({Service("web"), Service("db")}));
    absl::MutexLock lock(&stats_mu_);
    Add("default", "web", "web-0");
    Add("default", "web", "web-1");
    Add("default", "db", "db-0");
    Add("shop", "web", "web-7");
    stats_.mutable_node()->set_cpu_millicores(2000);
  }
  void Add(const std::string& project, const std::string& service,
           const std::string& replica)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(stats_mu_) {
    v1::ContainerUsage& usage = *stats_.add_containers();
    usage.set_project(project);
    usage.set_service(service);
    usage.set_replica(replica);
  }

  // The first `count` answers.
  absl::StatusOr<std::vector<v1::StatsResponse>> Call(
      const v1::StatsRequest& request, size_t count = 1) {
    grpc::ClientContext context;
    context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                      gpr_time_from_seconds(20, GPR_TIMESPAN)));
    auto reader = v1::Containers::NewStub(channel_)->Stats(&context, request);
    std::vector<v1::StatsResponse> answers;
    v1::StatsResponse answer;
    while (answers.size() < count && reader->Read(&answer)) {
      answers.push_back(answer);
    }
    if (request.has_period() && answers.size() == count) context.TryCancel();
    const absl::Status status = FromGrpc(reader->Finish());
    if (!status.ok() && !absl::IsCancelled(status)) return status;
    return answers;
  }
  std::vector<std::string> Replicas(const std::string& project,
                                    const std::string& service) {
    v1::StatsRequest request;
    request.set_project(project);
    request.set_service(service);
    auto answers = Call(request);
    EXPECT_OK(answers);
    std::vector<std::string> names;
    if (!answers.ok() || answers->empty()) return names;
    for (const v1::ContainerUsage& c : answers->at(0).containers()) {
      names.push_back(c.replica());
    }
    return names;
  }
};

TEST_F(StatsTest, TellsWhatIsAskedFor) {
  EXPECT_THAT(Replicas("", ""), ElementsAre("web-0", "web-1", "db-0"));
  EXPECT_THAT(Replicas("", "web"), ElementsAre("web-0", "web-1"));
  EXPECT_THAT(Replicas("shop", ""), ElementsAre("web-7"));
  EXPECT_THAT(Replicas("*", ""),
              ElementsAre("web-0", "web-1", "db-0", "web-7"));
  EXPECT_THAT(Replicas("none", ""), IsEmpty());
  ASSERT_OK_AND_ASSIGN(auto answers, Call({}));
  EXPECT_EQ(answers.at(0).node().cpu_millicores(), 2000);
}

TEST_F(StatsTest, WithAPeriod_GoesOnUntilCancelled) {
  v1::StatsRequest request;
  request.mutable_period()->set_nanos(200000000);
  ASSERT_OK_AND_ASSIGN(auto answers, Call(request, 3));
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_GT(answers[2].containers(0).cpu_usec(),
            answers[0].containers(0).cpu_usec());
}

TEST_F(StatsTest, WhenTheServerStops_TheStreamEnds) {
  v1::StatsRequest request;
  request.mutable_period()->set_seconds(3600);
  grpc::ClientContext context;
  auto reader = v1::Containers::NewStub(channel_)->Stats(&context, request);
  v1::StatsResponse answer;
  ASSERT_TRUE(reader->Read(&answer));
  server_->Stop(absl::Seconds(10));
  EXPECT_FALSE(reader->Read(&answer));
  EXPECT_THAT(FromGrpc(reader->Finish()),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(StatsTest, WhenTheRequestIsWrong_SaysSo) {
  v1::StatsRequest request;
  request.set_service("nobody");
  EXPECT_THAT(Call(request), StatusIs(absl::StatusCode::kNotFound,
                                      HasSubstr("service default/nobody")));
  request.set_service("job/none");
  EXPECT_THAT(Call(request), StatusIs(absl::StatusCode::kNotFound,
                                      HasSubstr("job default/none")));
  request.clear_service();
  request.mutable_period()->set_nanos(1000);
  EXPECT_THAT(Call(request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("200ms")));
}

}  // namespace
}  // namespace bulwark::api
