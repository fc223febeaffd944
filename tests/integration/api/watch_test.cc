// Watch over the socket.
#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using Type = v1::WatchEvent;

class WatchTest : public ApiTest {
 protected:
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::WatchEvent>> reader;
  };

  std::unique_ptr<Call> Watch(v1::WatchRequest request) {
    if (request.kind().empty()) request.set_kind("service");
    auto call = std::make_unique<Call>();
    call->context.set_deadline(gpr_time_add(
        gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(20, GPR_TIMESPAN)));
    call->reader =
        v1::Resources::NewStub(channel_)->Watch(&call->context, request);
    return call;
  }

  // "ADDED web", "SYNCED ".
  static std::string Next(Call& call) {
    v1::WatchEvent event;
    if (!call.reader->Read(&event)) {
      return call.reader->Finish().error_message();
    }
    const std::string name =
        event.has_object() ? store::MetadataOf(event.object()).name() : "";
    return absl::StrCat(Type::Type_Name(event.type()), " ", name);
  }

  static v1::Object Labelled(const std::string& name, const std::string& tier) {
    v1::Object object = Service(name);
    (*object.mutable_service()->mutable_metadata()->mutable_labels())["tier"] =
        tier;
    return object;
  }
};

TEST_F(WatchTest, WhenStarted_SendsWhatThereIsThenChanges) {
  ASSERT_OK(Apply({Service("a")}));
  auto call = Watch({});
  EXPECT_EQ(Next(*call), "ADDED a");
  EXPECT_EQ(Next(*call), "SYNCED ");

  ASSERT_OK(Apply({Service("b")}));
  ASSERT_OK(Apply({Service("a", "nginx:2")}));
  ASSERT_OK(
      store_.Commit(store::Batch().Delete(store::ObjectKey("service", "", "b")))
          .status());

  EXPECT_EQ(Next(*call), "ADDED b");
  EXPECT_EQ(Next(*call), "MODIFIED a");
  EXPECT_EQ(Next(*call), "DELETED b");
  call->context.TryCancel();
}

TEST_F(WatchTest, WhenARecordIsBad_TheStreamGoesOnWithoutIt) {
  ASSERT_OK(Apply({Service("a"), Service("b"), Service("c")}));
  const store::Key b = store::ObjectKey("service", "", "b");
  ASSERT_OK(store_.Commit(store::Batch().Put(b, "\xff\xff")));
  auto call = Watch({});
  EXPECT_EQ(Next(*call), "ADDED a");
  const auto& metadata = call->context.GetServerInitialMetadata();
  const auto warning = metadata.find("bulwark-warning-bin");
  ASSERT_NE(warning, metadata.end());
  EXPECT_THAT(std::string(warning->second.data(), warning->second.size()),
              ::testing::HasSubstr("service/default/b"));
  EXPECT_EQ(Next(*call), "ADDED c");
  EXPECT_EQ(Next(*call), "SYNCED ");

  // One that turns bad is gone for the client; one that never was good is none.
  ASSERT_OK(store_.Commit(
      store::Batch().Put(store::ObjectKey("service", "", "new"), "\xff\xff")));
  ASSERT_OK(store_.Commit(
      store::Batch().Put(store::ObjectKey("service", "", "a"), "\xff\xff")));
  ASSERT_OK(Apply({Service("d")}));
  EXPECT_EQ(Next(*call), "DELETED a");
  EXPECT_EQ(Next(*call), "ADDED d");
  call->context.TryCancel();
}

TEST_F(WatchTest, WhenResumed_SendsOnlyLaterChanges) {
  ASSERT_OK_AND_ASSIGN(auto first, Apply({Service("a")}));
  ASSERT_OK(Apply({Service("b")}));
  v1::WatchRequest request;
  request.set_from_revision(first.revision());

  auto call = Watch(request);

  EXPECT_EQ(Next(*call), "ADDED b");
  call->context.TryCancel();
}

TEST_F(WatchTest, WhenTheRevisionIsOfAnotherHistory_OutOfRange) {
  v1::WatchRequest request;
  request.set_from_revision(1000000);
  auto call = Watch(request);

  v1::WatchEvent event;
  EXPECT_FALSE(call->reader->Read(&event));
  EXPECT_THAT(FromGrpc(call->reader->Finish()),
              StatusIs(absl::StatusCode::kOutOfRange));
}

TEST_F(WatchTest, WhenALabelGoes_TheObjectLeavesTheWatch) {
  ASSERT_OK(Apply({Labelled("a", "web"), Labelled("b", "db")}));
  v1::WatchRequest request;
  (*request.mutable_labels())["tier"] = "web";
  auto call = Watch(request);
  EXPECT_EQ(Next(*call), "ADDED a");
  EXPECT_EQ(Next(*call), "SYNCED ");

  ASSERT_OK(Apply({Labelled("a", "db")}));
  ASSERT_OK(Apply({Labelled("b", "web")}));
  ASSERT_OK(Apply({Labelled("a", "web")}));

  EXPECT_EQ(Next(*call), "DELETED a");
  EXPECT_EQ(Next(*call), "ADDED b");
  EXPECT_EQ(Next(*call), "ADDED a");
  call->context.TryCancel();
}

TEST_F(WatchTest, WhenALabelWentBeforeTheResume_TheObjectIsDeletedOnce) {
  ASSERT_OK_AND_ASSIGN(auto first, Apply({Labelled("a", "web")}));
  ASSERT_OK(Apply({Labelled("a", "db")}));
  ASSERT_OK(Apply({Labelled("a", "cache")}));
  ASSERT_OK(Apply({Labelled("b", "web")}));
  v1::WatchRequest request;
  (*request.mutable_labels())["tier"] = "web";
  request.set_from_revision(first.revision());

  auto call = Watch(request);

  EXPECT_EQ(Next(*call), "DELETED a");
  EXPECT_EQ(Next(*call), "ADDED b");
  call->context.TryCancel();
}

TEST_F(WatchTest, WhenTheServerStops_TheStreamEndsUnavailable) {
  auto call = Watch({});
  EXPECT_EQ(Next(*call), "SYNCED ");

  server_->Stop(absl::Seconds(10));

  v1::WatchEvent event;
  EXPECT_FALSE(call->reader->Read(&event));
  EXPECT_THAT(FromGrpc(call->reader->Finish()),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace bulwark::api
