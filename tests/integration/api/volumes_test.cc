// Snapshot, Restore, Clone, Backup: what the server hands on, and what it says.
#include <atomic>
#include <thread>

#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;

class VolumesTest : public ApiTest {
 protected:
  void SetUp() override {
    volumes_.snapshot = [](const v1::SnapshotVolumeRequest& request,
                           const v1::Identity& caller)
        -> absl::StatusOr<v1::SnapshotVolumeResponse> {
      if (request.volume() != "data") {
        return absl::NotFoundError("get volume: not found");
      }
      v1::SnapshotVolumeResponse response;
      response.mutable_snapshot()->set_name(request.snapshot());
      *response.mutable_snapshot()->mutable_actor() = caller;
      return response;
    };
    volumes_.restore = [this](const v1::RestoreVolumeRequest& request,
                              const v1::Identity&,
                              const VolumeActions::Progress& progress) {
      for (const char* status : {"preparing", "swapping"}) {
        v1::VolumeProgress message;
        message.set_status(status);
        progress(message);
        progress({});  // only asks
      }
      begun_ = true;
      while (wait_ && progress({})) clock_.Sleep(absl::Milliseconds(5));
      return request.snapshot() == "bad" ? absl::DataLossError("it is damaged")
                                         : absl::OkStatus();
    };
    ApiTest::SetUp();
  }

  absl::Status Restore(const std::string& snapshot,
                       std::vector<std::string>* statuses) {
    v1::RestoreVolumeRequest request;
    request.set_volume("data");
    request.set_snapshot(snapshot);
    grpc::ClientContext context;
    auto reader = v1::Volumes::NewStub(channel_)->Restore(&context, request);
    v1::VolumeProgress progress;
    while (reader->Read(&progress)) statuses->push_back(progress.status());
    return FromGrpc(reader->Finish());
  }

  std::atomic<bool> wait_ = false;
  std::atomic<bool> begun_ = false;
};

TEST_F(VolumesTest, HandsCallsOnWithWhoCalls) {
  v1::SnapshotVolumeRequest request;
  request.set_volume("data");
  request.set_snapshot("s");
  grpc::ClientContext context;
  v1::SnapshotVolumeResponse response;
  ASSERT_OK(FromGrpc(
      v1::Volumes::NewStub(channel_)->Snapshot(&context, request, &response)));
  EXPECT_EQ(response.snapshot().name(), "s");
  EXPECT_FALSE(response.snapshot().actor().name().empty());
  request.set_volume("none");
  grpc::ClientContext again;
  EXPECT_THAT(FromGrpc(v1::Volumes::NewStub(channel_)->Snapshot(&again, request,
                                                                &response)),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(VolumesTest, StreamsHowARestoreGoes) {
  std::vector<std::string> statuses;
  EXPECT_OK(Restore("good", &statuses));
  EXPECT_THAT(statuses, ElementsAre("preparing", "swapping"));
  EXPECT_THAT(Restore("bad", &statuses), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(VolumesTest, WhenTheServerStops_ARestoreIsNotWaitedFor) {
  wait_ = true;
  std::vector<std::string> statuses;
  absl::Status status;
  std::thread client([&] { status = Restore("good", &statuses); });
  while (!begun_) clock_.Sleep(absl::Milliseconds(1));
  server_->Stop(absl::Seconds(5));
  client.join();
  EXPECT_FALSE(absl::IsDeadlineExceeded(status)) << status;
}

TEST_F(VolumesTest, WhenACallIsNotServed_SaysSo) {
  v1::CloneVolumeRequest request;
  v1::CloneVolumeResponse response;
  grpc::ClientContext context;
  EXPECT_THAT(FromGrpc(v1::Volumes::NewStub(channel_)->Clone(&context, request,
                                                             &response)),
              StatusIs(absl::StatusCode::kUnimplemented));
}

}  // namespace
}  // namespace bulwark::api
