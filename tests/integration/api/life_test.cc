// Attach, files and commits over the socket: what they do, and what they
// refuse.
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "tests/integration/api/roles_fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr auto kEnded = absl::StatusCode::kFailedPrecondition;
constexpr uid_t kAlice = 31001;  // an operator of shop
constexpr uid_t kBob = 31002;    // a viewer of shop
constexpr uid_t kCarol = 31003;  // an operator of crm
constexpr uid_t kDave = 31004;   // a viewer of shop who may run commands

// Files of a FakeEngine's containers: each has "hello", and keeps what comes.
class FakeFiles final : public engine::ContainerFiles {
 public:
  explicit FakeFiles(engine::Engine& engine) : engine_(engine) {}

  absl::Status CopyFrom(absl::string_view id, const std::string& path, bool,
                        const engine::TarSink& sink) override {
    RETURN_IF_ERROR(Find(id, false).status());
    ++copies_;
    if (path != "/hello") return absl::NotFoundError("No such file");
    return sink("archive");
  }
  absl::StatusOr<int64_t> CopyTo(absl::string_view id, const std::string&, bool,
                                 const engine::TarSource& source) override {
    RETURN_IF_ERROR(Find(id, true).status());
    ++copies_;
    while (true) {
      ASSIGN_OR_RETURN(const std::string piece, source());
      if (piece.empty()) return static_cast<int64_t>(received_.size());
      received_ += piece;
    }
  }
  absl::Status Export(absl::string_view id,
                      const engine::TarSink& sink) override {
    RETURN_IF_ERROR(Find(id, false).status());
    return sink("root");
  }
  absl::StatusOr<std::vector<engine::FileChange>> Diff(
      absl::string_view id) override {
    RETURN_IF_ERROR(Find(id, false).status());
    return std::vector<engine::FileChange>();
  }
  absl::StatusOr<std::string> WritableLayer(absl::string_view id) override {
    RETURN_IF_ERROR(Find(id, false).status());
    return absl::StrCat("/upper/", id);
  }

  const std::string& received() const { return received_; }
  int copies() const { return copies_; }

 private:
  absl::StatusOr<engine::ContainerInfo> Find(absl::string_view id,
                                             bool running) {
    ASSIGN_OR_RETURN(engine::ContainerInfo info, engine_.Inspect(id));
    if (running && info.state != engine::ContainerState::kRunning) {
      return absl::FailedPreconditionError(
          absl::StrCat("reach files of container ", id, ": it has exited"));
    }
    return info;
  }

  engine::Engine& engine_;
  std::string received_;
  int copies_ = 0;
};

// Notes whether the container stood still.
class FakeCommits final : public engine::ImageCommits {
 public:
  explicit FakeCommits(engine::Engine& engine) : engine_(engine) {}

  absl::StatusOr<engine::Image> Commit(
      const engine::CommitRequest& request) override {
    uppers.push_back(request.upper_dir);
    paused.push_back(engine_.Inspect("c0")->paused);
    if (!result.ok()) return result;
    engine::Image image;
    image.digest = "sha256:1";
    return image;
  }

  absl::Status result;
  std::vector<std::string> uppers;
  std::vector<bool> paused;

 private:
  engine::Engine& engine_;
};

class LifeTest : public RolesFixture {
 protected:
  void SetUp() override {
    engine_pointer_ = &access_;
    files_ = &fake_files_;
    commits_ = &fake_commits_;
    RolesFixture::SetUp();
    if (IsSkipped()) return;
    Project("shop",
            {User(kAlice, v1::Member::OPERATOR), User(kBob, v1::Member::VIEWER),
             User(kDave, v1::Member::VIEWER, {v1::Member::EXEC})});
    Project("crm", {User(kCarol, v1::Member::OPERATOR)});
    ASSERT_OK(Apply({ServiceIn("shop", "web")}));
    engine::ContainerSpec spec;
    spec.id = "c0";
    spec.args = {"cat"};
    spec.open_stdin = true;
    ASSERT_OK(access_.Start(spec));
    v1::Object replica = Replica("web", 0, true, "c0");
    replica.mutable_replica()->mutable_metadata()->set_project("shop");
    Put(replica);
  }

  static void Limit(grpc::ClientContext& context) {
    context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                      gpr_time_from_seconds(20, GPR_TIMESPAN)));
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

  static v1::AttachRequest StartOf(const std::string& target = "web") {
    v1::AttachRequest request;
    request.mutable_start()->set_project("shop");
    request.mutable_start()->set_target(target);
    return request;
  }
  using Stream =
      grpc::ClientReaderWriter<v1::AttachRequest, v1::AttachResponse>;
  struct Attached {
    std::string output;
    int exit_code = -1;
    absl::Status status;
  };
  static Attached Collect(Stream& stream) {
    Attached result;
    v1::AttachResponse response;
    while (stream.Read(&response)) {
      result.output += response.output();
      if (response.has_exit()) result.exit_code = response.exit().exit_code();
    }
    result.status = FromGrpc(stream.Finish());
    return result;
  }
  // The answer to one message of a caller.
  absl::Status AttachBy(uid_t uid, const v1::AttachRequest& request) {
    grpc::ClientContext context;
    Limit(context);
    auto stub = v1::Containers::NewStub(As(uid));
    auto stream = stub->Attach(&context);
    stream->Write(request);
    return Collect(*stream).status;
  }
  absl::Status CopyFromBy(uid_t uid, const std::string& target = "web",
                          const std::string& path = "/hello") {
    v1::CopyFromRequest request;
    request.set_project("shop");
    request.set_target(target);
    request.set_path(path);
    grpc::ClientContext context;
    Limit(context);
    auto stub = v1::Containers::NewStub(As(uid));
    auto reader = stub->CopyFrom(&context, request);
    v1::CopyFromResponse response;
    while (reader->Read(&response)) {
    }
    return FromGrpc(reader->Finish());
  }
  absl::Status CopyToBy(uid_t uid, const std::string& target = "web",
                        bool start = true) {
    grpc::ClientContext context;
    Limit(context);
    auto stub = v1::Containers::NewStub(As(uid));
    v1::CopyToResponse response;
    auto writer = stub->CopyTo(&context, &response);
    v1::CopyToRequest request;
    if (start) {
      request.mutable_start()->set_project("shop");
      request.mutable_start()->set_target(target);
      request.mutable_start()->set_path("/");
      writer->Write(request);
    }
    request.set_data("bytes");
    writer->Write(request);
    writer->WritesDone();
    return FromGrpc(writer->Finish());
  }
  absl::Status CommitBy(uid_t uid, const std::string& target = "web",
                        bool no_pause = false) {
    v1::CommitRequest request;
    request.set_project("shop");
    request.set_target(target);
    request.set_no_pause(no_pause);
    grpc::ClientContext context;
    Limit(context);
    v1::CommitResponse response;
    return FromGrpc(
        v1::Containers::NewStub(As(uid))->Commit(&context, request, &response));
  }

  FakeFiles fake_files_{access_};
  FakeCommits fake_commits_{access_};
};

TEST_F(LifeTest, WhenAttached_InputOutputAndStatusPass) {
  grpc::ClientContext context;
  Limit(context);
  auto stub = v1::Containers::NewStub(As(kAlice));
  auto stream = stub->Attach(&context);
  ASSERT_TRUE(stream->Write(StartOf()));
  v1::AttachResponse ready;
  ASSERT_TRUE(stream->Read(&ready));
  EXPECT_EQ(ready.ready().replica(), "web-0-aaaaa");
  EXPECT_TRUE(ready.ready().stdin());
  EXPECT_FALSE(ready.ready().terminal());
  v1::AttachRequest request;
  request.set_input("in");
  stream->Write(request);
  request.set_close_input(true);
  stream->Write(request);
  const auto streams = access_.StreamsOf("c0");
  ASSERT_TRUE(Eventually([&] { return streams->input_closed(); }));
  EXPECT_EQ(streams->input(), "in");
  streams->Print("out", false);
  ASSERT_OK(access_.Exit("c0", 7));
  const Attached result = Collect(*stream);
  EXPECT_OK(result.status);
  EXPECT_EQ(result.output, "out");
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_TRUE(Eventually([&] { return streams->attached() == 0; }));
}

TEST_F(LifeTest, WhenManyAttach_EachSeesAllAndNoneIsLeft) {
  constexpr int kReaders = 20;
  std::vector<Attached> results(kReaders);
  std::vector<std::thread> threads;
  for (int i = 0; i < kReaders; ++i) {
    threads.emplace_back([&, i] {
      grpc::ClientContext context;
      Limit(context);
      auto stub = v1::Containers::NewStub(channel_);
      auto stream = stub->Attach(&context);
      v1::AttachRequest start = StartOf();
      start.mutable_start()->set_no_input(i % 2 == 0);
      stream->Write(start);
      results[static_cast<size_t>(i)] = Collect(*stream);
    });
  }
  const auto streams = access_.StreamsOf("c0");
  EXPECT_TRUE(Eventually([&] { return streams->attached() == kReaders; }));
  streams->Print("all", false);
  EXPECT_OK(access_.Exit("c0", 0));
  for (std::thread& thread : threads) thread.join();
  for (const Attached& result : results) {
    EXPECT_OK(result.status);
    EXPECT_EQ(result.output, "all");
    EXPECT_EQ(result.exit_code, 0);
  }
  EXPECT_TRUE(Eventually([&] { return streams->attached() == 0; }));
}

TEST_F(LifeTest, WhenTheClientGoes_OnlyItsOwnersInputEnds) {
  const auto streams = access_.StreamsOf("c0");
  for (const bool owner : {false, true}) {
    grpc::ClientContext context;
    Limit(context);
    auto stub = v1::Containers::NewStub(channel_);
    auto stream = stub->Attach(&context);
    v1::AttachRequest start = StartOf();
    start.mutable_start()->set_owner(owner);
    stream->Write(start);
    v1::AttachResponse ready;
    ASSERT_TRUE(stream->Read(&ready));
    context.TryCancel();
    EXPECT_THAT(Collect(*stream).status,
                StatusIs(absl::StatusCode::kCancelled));
    ASSERT_TRUE(Eventually([&] { return streams->attached() == 0; }));
    EXPECT_EQ(streams->input_closed(), owner);
  }
}

TEST_F(LifeTest, WhenTheFirstMessageIsWrong_AttachSaysSo) {
  v1::AttachRequest input;
  input.set_input("x");
  EXPECT_THAT(AttachBy(0, input), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("first message")));
  EXPECT_THAT(AttachBy(0, StartOf("nobody")), StatusIs(kNotFound));
  EXPECT_THAT(AttachBy(0, StartOf("job/web")), StatusIs(kNotFound));
  v1::AttachRequest other = StartOf();
  other.mutable_start()->set_container("sidecar");
  EXPECT_THAT(AttachBy(0, other), StatusIs(kNotFound));
}

TEST_F(LifeTest, WhenACallerLacksTheRight_NothingIsTouched) {
  for (const uid_t uid : {kBob, kCarol}) {
    EXPECT_THAT(AttachBy(uid, StartOf()), StatusIs(kDenied));
    EXPECT_THAT(CopyFromBy(uid), StatusIs(kDenied));
    EXPECT_THAT(CopyToBy(uid), StatusIs(kDenied));
    EXPECT_THAT(CommitBy(uid), StatusIs(kDenied));
    // Nor is told what there is.
    EXPECT_THAT(AttachBy(uid, StartOf("nobody")), StatusIs(kDenied));
    EXPECT_THAT(CopyToBy(uid, "nobody"), StatusIs(kDenied));
  }
  // An image's name may be everybody's.
  EXPECT_THAT(CommitBy(kDave), StatusIs(kDenied, HasSubstr("\"images\"")));
  EXPECT_EQ(fake_files_.copies(), 0);
  EXPECT_TRUE(fake_commits_.uppers.empty());
  EXPECT_OK(CommitBy(kAlice));
  EXPECT_OK(CopyFromBy(kDave));
  EXPECT_OK(CopyToBy(kAlice));
  EXPECT_EQ(fake_files_.received(), "bytes");
}

TEST_F(LifeTest, WhenThereIsNoSuchContainer_FilesAndCommitsSaySo) {
  EXPECT_THAT(CopyFromBy(0, "nobody"), StatusIs(kNotFound));
  EXPECT_THAT(CopyFromBy(0, "web", "/none"), StatusIs(kNotFound));
  EXPECT_THAT(CopyToBy(0, "nobody"), StatusIs(kNotFound));
  EXPECT_THAT(CopyToBy(0, "web", false),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CommitBy(0, "nobody"), StatusIs(kNotFound));
  EXPECT_EQ(fake_files_.received(), "");
}

TEST_F(LifeTest, WhenItHasExited_FilesGoOutButNotIn) {
  ASSERT_OK(access_.Exit("c0", 1));
  EXPECT_THAT(AttachBy(0, StartOf()), StatusIs(kEnded));
  EXPECT_THAT(CopyToBy(0),
              StatusIs(kEnded, HasSubstr("container web of web-0-aaaaa")));
  EXPECT_OK(CopyFromBy(0));
  EXPECT_OK(CommitBy(0));
  EXPECT_THAT(fake_commits_.uppers, ElementsAre("/upper/c0"));
}

TEST_F(LifeTest, WhenCommitted_ItStandsStillAndGoesOnWhateverHappens) {
  const auto paused = [&] { return access_.Inspect("c0")->paused; };
  EXPECT_OK(CommitBy(0));
  EXPECT_FALSE(paused());
  fake_commits_.result = absl::ResourceExhaustedError("disk full");
  EXPECT_THAT(CommitBy(0), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_FALSE(paused());
  fake_commits_.result = absl::OkStatus();
  EXPECT_OK(CommitBy(0, "web", true));
  // Who has paused it, lets it go on.
  ASSERT_OK(access_.SetPaused("c0", true));
  EXPECT_OK(CommitBy(0));
  EXPECT_TRUE(paused());
  EXPECT_THAT(fake_commits_.paused, ElementsAre(true, true, false, true));
}

}  // namespace
}  // namespace bulwark::api
