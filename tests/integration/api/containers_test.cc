// Logs and Exec over the socket.
#include <csignal>
#include <cstdlib>

#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ContainersTest : public ApiTest {
 protected:
  void SetUp() override {
    StartServer();
    ASSERT_OK(Apply({Service("web")}));
    Put(Replica("web", 0, true, "c0"));
    Put(Replica("web", 1, true, "c1"));
    Put(Replica("other", 0, true, "x0"));
    stub_ = v1::Containers::NewStub(channel_);
  }

  void Line(const std::string& id, int second, const std::string& text) {
    engine_.Write(id,
                  {absl::FromUnixSeconds(1000 + second), false, text, false});
  }

  template <typename Condition>
  bool Eventually(Condition condition) {
    const absl::Duration deadline = clock_.Steady() + absl::Seconds(15);
    while (!condition()) {
      if (clock_.Steady() > deadline) return false;
      clock_.Sleep(absl::Milliseconds(5));
    }
    return true;
  }

  static void Limit(grpc::ClientContext& context) {
    context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                      gpr_time_from_seconds(20, GPR_TIMESPAN)));
  }

  // "web-0-aaaaa one".
  static std::string Text(const v1::LogLine& line) {
    return absl::StrCat(line.replica(), " ", line.line());
  }

  // Every line until the end.
  absl::StatusOr<std::vector<std::string>> Logs(
      const v1::LogsRequest& request) {
    grpc::ClientContext context;
    Limit(context);
    auto reader = stub_->Logs(&context, request);
    std::vector<std::string> lines;
    v1::LogLine line;
    while (reader->Read(&line)) lines.push_back(Text(line));
    const absl::Status status = FromGrpc(reader->Finish());
    if (!status.ok()) return status;
    return lines;
  }

  struct ExecResult {
    std::string output, error;
    int exit_code = -1;
    absl::Status status;
  };

  using ExecStream =
      grpc::ClientReaderWriter<v1::ExecRequest, v1::ExecResponse>;

  static v1::ExecRequest StartOf(const std::vector<std::string>& command,
                                 const std::string& target = "web") {
    v1::ExecRequest request;
    request.mutable_start()->set_target(target);
    for (const std::string& word : command) {
      request.mutable_start()->add_command(word);
    }
    return request;
  }

  static ExecResult Collect(ExecStream& stream) {
    ExecResult result;
    v1::ExecResponse response;
    while (stream.Read(&response)) {
      result.output += response.output();
      result.error += response.error();
      if (response.response_case() == v1::ExecResponse::kExitCode) {
        result.exit_code = response.exit_code();
      }
    }
    result.status = FromGrpc(stream.Finish());
    return result;
  }

  // Runs it, and sends `input` and its end if there is any.
  ExecResult Exec(const v1::ExecRequest& start, const std::string& input = "") {
    grpc::ClientContext context;
    Limit(context);
    auto stream = stub_->Exec(&context);
    stream->Write(start);
    if (!input.empty()) {
      v1::ExecRequest request;
      request.set_input(input);
      stream->Write(request);
      request.set_close_input(true);
      stream->Write(request);
    }
    return Collect(*stream);
  }

  std::unique_ptr<v1::Containers::Stub> stub_;
};

TEST_F(ContainersTest, WhenReplicasLog_LinesComeInTheOrderOfTime) {
  Line("c0", 1, "one");
  Line("c1", 2, "two");
  Line("c0", 3, "three");
  Line("x0", 1, "not ours");
  v1::LogsRequest request;
  request.set_service("web");

  EXPECT_THAT(*Logs(request), ElementsAre("web-0-aaaaa one", "web-1-aaaaa two",
                                          "web-0-aaaaa three"));

  request.set_tail(1);
  EXPECT_THAT(*Logs(request),
              ElementsAre("web-1-aaaaa two", "web-0-aaaaa three"));
  request.clear_tail();
  request.mutable_since()->set_seconds(1002);
  EXPECT_THAT(*Logs(request),
              ElementsAre("web-1-aaaaa two", "web-0-aaaaa three"));
  request.clear_service();
  request.set_replica("web-1-aaaaa");
  EXPECT_THAT(*Logs(request), ElementsAre("web-1-aaaaa two"));
  EXPECT_EQ(engine_.open_readers(), 0);
}

TEST_F(ContainersTest, WhenNothingIsNamedSo_LogsSayWhatThereIs) {
  v1::LogsRequest request;
  EXPECT_THAT(Logs(request), StatusIs(absl::StatusCode::kInvalidArgument));
  request.set_service("nobody");
  EXPECT_THAT(Logs(request), StatusIs(absl::StatusCode::kNotFound));
  request.set_service("web");
  request.set_container("sidecar");
  const auto logs = Logs(request);
  EXPECT_THAT(logs, StatusIs(absl::StatusCode::kNotFound,
                             HasSubstr("container sidecar")));
  EXPECT_THAT(DetailOf(logs.status())->remedy(), HasSubstr("it has: web"));
}

TEST_F(ContainersTest, WhenSidecarsLog_OnlyMainContainersAreShown) {
  v1::Object replica = Replica("web", 0, true, "c0");
  v1::ContainerStatus& sidecar =
      *replica.mutable_replica()->mutable_status()->add_containers();
  sidecar.set_name("proxy");
  sidecar.set_id("s0");
  Put(replica);
  Line("c0", 1, "main");
  Line("s0", 2, "side");
  v1::LogsRequest request;
  request.set_service("web");

  EXPECT_THAT(*Logs(request), ElementsAre("web-0-aaaaa main"));
  request.set_container("proxy");
  EXPECT_THAT(*Logs(request), ElementsAre("web-0-aaaaa side"));
}

TEST_F(ContainersTest, WhenFollowed_NewLinesAndNewReplicasCome) {
  Line("c0", 1, "one");
  v1::LogsRequest request;
  request.set_service("web");
  request.set_follow(true);
  grpc::ClientContext context;
  Limit(context);
  auto reader = stub_->Logs(&context, request);
  v1::LogLine line;
  ASSERT_TRUE(reader->Read(&line));
  EXPECT_EQ(Text(line), "web-0-aaaaa one");

  Line("c0", 2, "two");
  ASSERT_TRUE(reader->Read(&line));
  EXPECT_EQ(Text(line), "web-0-aaaaa two");

  Line("c2", 3, "three");
  Put(Replica("web", 2, false, "c2"));
  ASSERT_TRUE(reader->Read(&line));
  EXPECT_EQ(Text(line), "web-2-aaaaa three");

  context.TryCancel();
  EXPECT_FALSE(reader->Read(&line));
  EXPECT_TRUE(Eventually([&] { return engine_.open_readers() == 0; }));
}

TEST_F(ContainersTest, WhenTheFollowedReplicaEnds_TheStreamEnds) {
  Line("c0", 1, "last words");
  v1::LogsRequest request;
  request.set_replica("web-0-aaaaa");
  request.set_follow(true);
  engine_.Exit("c0");
  v1::Object replica = Replica("web", 0, false, "c0");
  replica.mutable_replica()->mutable_status()->set_state(
      v1::ReplicaStatus::FAILED);
  Put(replica);

  EXPECT_THAT(*Logs(request), ElementsAre("web-0-aaaaa last words"));
}

TEST_F(ContainersTest, WhenAnEndIsAsked_LinesFromThenOnAreLeftOut) {
  Line("c0", 1, "one");
  Line("c1", 2, "two");
  v1::LogsRequest request;
  request.set_service("web");
  request.mutable_until()->set_seconds(1002);
  EXPECT_THAT(*Logs(request), ElementsAre("web-0-aaaaa one"));
  // It has come already: the stream ends by itself.
  request.set_follow(true);
  EXPECT_THAT(*Logs(request), ElementsAre("web-0-aaaaa one"));
}

TEST_F(ContainersTest, WhenThePreviousIsAsked_TheLastEndedOfEachSlotIsRead) {
  v1::LogsRequest request;
  request.set_service("web");
  request.set_previous(true);
  EXPECT_THAT(Logs(request), StatusIs(absl::StatusCode::kNotFound,
                                      HasSubstr("no earlier replica is kept")));
  for (int i = 1; i <= 2; ++i) {
    const std::string id = absl::StrCat("old", i);
    Line(id, i, absl::StrCat("last words ", i));
    v1::Object object = Replica("web", 0, false, id);
    v1::Replica& replica = *object.mutable_replica();
    replica.mutable_metadata()->set_name(absl::StrCat("web-0-old", i));
    replica.mutable_metadata()->set_uid(id);
    replica.mutable_metadata()->mutable_create_time()->set_seconds(i);
    replica.mutable_status()->set_state(v1::ReplicaStatus::FAILED);
    Put(object);
  }
  EXPECT_THAT(*Logs(request), ElementsAre("web-0-old2 last words 2"));
  request.set_replica("web-0-old2");
  EXPECT_THAT(*Logs(request), ElementsAre("web-0-old1 last words 1"));
  request.set_follow(true);
  EXPECT_THAT(Logs(request), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ContainersTest, WhenTheFollowedServiceGoes_TheStreamEnds) {
  Line("c0", 1, "one");
  engine_.Exit("c0");
  v1::LogsRequest request;
  request.set_service("web");
  request.set_follow(true);
  grpc::ClientContext context;
  Limit(context);
  auto reader = stub_->Logs(&context, request);
  v1::LogLine line;
  ASSERT_TRUE(reader->Read(&line));

  store::Batch batch;
  for (const char* name : {"web-0-aaaaa", "web-1-aaaaa"}) {
    batch.Delete(store::ObjectKey("replica", "", name));
  }
  batch.Delete(store::ObjectKey("service", "", "web"));
  ASSERT_OK(store_.Commit(batch));

  EXPECT_FALSE(reader->Read(&line));
  EXPECT_OK(FromGrpc(reader->Finish()));
}

TEST_F(ContainersTest, WhenACommandEnds_OutputAndExitCodeCome) {
  const ExecResult result =
      Exec(StartOf({"sh", "-c", "echo out; echo err >&2; exit 3"}));

  EXPECT_OK(result.status);
  EXPECT_EQ(result.output, "out\n");
  EXPECT_EQ(result.error, "err\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(Eventually([&] { return engine_.open_sessions() == 0; }));
}

TEST_F(ContainersTest, WhenACommandRan_TheAuditLogNamesItsService) {
  Exec(StartOf({"true"}));
  v1::AuditRecord record;
  ASSERT_TRUE(record.ParseFromString(
      store_.List({.kind = "audit"})->records.back().value));
  ASSERT_EQ(record.objects_size(), 2);
  EXPECT_EQ(record.objects(0).name(), "web");
  EXPECT_EQ(record.objects(1).kind(), "replica");
}

TEST_F(ContainersTest, WhenInputIsSent_TheCommandReadsItAll) {
  const std::string input(1 << 20, 'x');

  const ExecResult result = Exec(StartOf({"cat"}), input);

  EXPECT_OK(result.status);
  EXPECT_EQ(result.output.size(), input.size());
  EXPECT_EQ(result.exit_code, 0);
}

TEST_F(ContainersTest, WhenTheCommandReadsNoMore_InputIsDropped) {
  const ExecResult result = Exec(StartOf({"sh", "-c", "exec <&-; echo done"}),
                                 std::string(1 << 20, 'x'));

  EXPECT_OK(result.status);
  EXPECT_EQ(result.output, "done\n");
}

TEST_F(ContainersTest, WhenSignalled_TheExitCodeTells) {
  grpc::ClientContext context;
  Limit(context);
  auto stream = stub_->Exec(&context);
  stream->Write(StartOf({"sh", "-c", "echo ready; exec sleep 60"}));
  v1::ExecResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.output(), "ready\n");
  v1::ExecRequest request;
  request.mutable_resize()->set_rows(40);
  request.mutable_resize()->set_columns(100);
  stream->Write(request);
  // Input that nobody reads is not in the signal's way.
  request.set_input(std::string(512 << 10, 'x'));
  stream->Write(request);
  request.set_signal(SIGTERM);
  stream->Write(request);

  const ExecResult result = Collect(*stream);

  EXPECT_OK(result.status);
  EXPECT_EQ(result.exit_code, 128 + SIGTERM);
  EXPECT_THAT(engine_.signals(), ElementsAre(SIGTERM));
  EXPECT_EQ(engine_.last_size(), std::make_pair(40, 100));
}

TEST_F(ContainersTest, WhenTheClientGoes_TheProcessIsKilled) {
  {
    grpc::ClientContext context;
    Limit(context);
    auto stream = stub_->Exec(&context);
    // Without output: only the end of the call tells.
    stream->Write(StartOf({"sh", "-c", "exec >&- 2>&-; exec sleep 60"}));
    ASSERT_TRUE(Eventually([&] { return engine_.open_sessions() == 1; }));
    context.TryCancel();
  }
  EXPECT_TRUE(Eventually([&] { return engine_.open_sessions() == 0; }));
}

TEST_F(ContainersTest, WhenAChildKeepsTheOutput_TheCallEndsWithTheCommand) {
  const absl::Duration start = clock_.Steady();

  const ExecResult result = Exec(StartOf({"sh", "-c", "sleep 30 & echo $!"}));

  EXPECT_OK(result.status);
  const int child = std::atoi(result.output.c_str());
  ASSERT_GT(child, 1);
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_LT(clock_.Steady() - start, absl::Seconds(20));
}

TEST_F(ContainersTest, WhenSessionsCanOnlyWait_TheExitCodeStillComes) {
  engine_.can_wait_for = false;
  EXPECT_EQ(Exec(StartOf({"sh", "-c", "exit 4"})).exit_code, 4);
}

TEST_F(ContainersTest, WhenTheServerStops_TheCommandIsKilled) {
  grpc::ClientContext context;
  Limit(context);
  auto stream = stub_->Exec(&context);
  stream->Write(StartOf({"sleep", "60"}));
  ASSERT_TRUE(Eventually([&] { return engine_.open_sessions() == 1; }));

  server_->Stop(absl::Seconds(10));

  EXPECT_EQ(engine_.open_sessions(), 0);
  EXPECT_THAT(Collect(*stream).status,
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(ContainersTest, WhenStartedWrongly_ExecSaysWhy) {
  v1::ExecRequest request;
  request.set_signal(1);
  EXPECT_THAT(Exec(request).status,
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Exec(StartOf({})).status,
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Exec(StartOf({"true"}, "nobody")).status,
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Exec(StartOf({"/no/such/program"})).status,
              StatusIs(absl::StatusCode::kNotFound));
  request = StartOf({"true"});
  request.mutable_start()->add_env("NOVALUE");
  EXPECT_THAT(Exec(request).status,
              StatusIs(absl::StatusCode::kInvalidArgument));
  request = StartOf({"true"});
  request.mutable_start()->set_container("sidecar");
  EXPECT_THAT(Exec(request).status, StatusIs(absl::StatusCode::kNotFound));
  Put(Replica("web", 0, false, "c0"));
  Put(Replica("web", 1, false, "c1"));
  EXPECT_THAT(Exec(StartOf({"true"})).status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no replica of it is ready")));
  // By its own name it can be entered all the same.
  EXPECT_EQ(Exec(StartOf({"true"}, "web-1-aaaaa")).exit_code, 0);
}

TEST_F(ContainersTest, WhenTheOnlyOneIsPaused_ExecSaysSo) {
  v1::Object paused = Replica("web", 1, false, "c1");
  paused.mutable_replica()->mutable_status()->mutable_containers(0)->set_paused(
      true);
  Put(Replica("web", 0, false, "c0"));
  Put(paused);
  EXPECT_THAT(Exec(StartOf({"true"})).status,
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("container web of web-1-aaaaa is paused")));
  // Others are as good as ever.
  Put(Replica("web", 0, true, "c0"));
  EXPECT_EQ(Exec(StartOf({"true"})).exit_code, 0);
}

TEST_F(ContainersTest, WhenDetached_TheCallEndsOnceItRuns) {
  v1::ExecRequest request = StartOf({"true"});
  request.mutable_start()->set_detach(true);
  const ExecResult result = Exec(request);
  EXPECT_OK(result.status);
  EXPECT_TRUE(engine_.last_exec().detach);
  request.mutable_start()->set_terminal(true);
  EXPECT_THAT(Exec(request).status, StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("has no terminal")));
}

TEST_F(ContainersTest, WhenStarted_TheSpecIsPassedOn) {
  v1::ExecRequest request = StartOf({"true", "x"});
  request.mutable_start()->add_env("A=b");
  request.mutable_start()->set_user("nobody");
  request.mutable_start()->set_working_dir("/tmp");

  EXPECT_EQ(Exec(request).exit_code, 0);

  const engine::ExecSpec spec = engine_.last_exec();
  EXPECT_THAT(spec.args, ElementsAre("true", "x"));
  EXPECT_THAT(spec.env, ElementsAre("A=b"));
  EXPECT_EQ(spec.user, "nobody");
  EXPECT_EQ(spec.cwd, "/tmp");
}

}  // namespace
}  // namespace bulwark::api
