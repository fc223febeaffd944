// Scale, Stop, Start, Undo, Version, Shutdown.
#include <unistd.h>

#include <optional>

#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

class ServicesTest : public ApiTest {
 protected:
  absl::StatusOr<v1::Service> Scale(const std::string& name, int replicas) {
    v1::ScaleRequest request;
    request.set_service(name);
    request.set_replicas(replicas);
    grpc::ClientContext context;
    v1::ScaleResponse response;
    const absl::Status status = FromGrpc(
        v1::Services::NewStub(channel_)->Scale(&context, request, &response));
    if (!status.ok()) return status;
    return response.service();
  }

  absl::StatusOr<v1::Service> Undo(
      const std::string& name, std::optional<int64_t> revision = std::nullopt) {
    v1::UndoRequest request;
    request.set_service(name);
    if (revision.has_value()) request.set_to_revision(*revision);
    grpc::ClientContext context;
    v1::UndoResponse response;
    const absl::Status status = FromGrpc(
        v1::Services::NewStub(channel_)->Undo(&context, request, &response));
    if (!status.ok()) return status;
    return response.service();
  }

  // As the scheduler makes it of what was declared.
  void PutRevision(int64_t number, bool good, const std::string& image,
                   const std::string& failure = "") {
    const v1::ServiceSpec spec = Get("service", "web")->service().spec();
    v1::Object object;
    v1::Revision& revision = *object.mutable_revision();
    revision.mutable_metadata()->set_name(absl::StrCat("web-", number));
    revision.set_service("web");
    revision.set_number(number);
    revision.set_good(good);
    revision.set_failure(failure);
    v1::Template& from = *revision.mutable_template_();
    *from.mutable_containers() = spec.containers();
    from.mutable_containers(0)->set_image(image);
    *from.mutable_stop() = spec.stop();
    from.set_network(spec.network());
    Put(object);
  }
};

TEST_F(ServicesTest, WhenScaled_TheSpecAndAnEventSaySo) {
  ASSERT_OK(Apply({Service("web")}));

  ASSERT_OK_AND_ASSIGN(const v1::Service service, Scale("web", 5));

  EXPECT_EQ(service.spec().replicas(), 5);
  EXPECT_EQ(service.metadata().generation(), 2);
  EXPECT_EQ(Get("service", "web")->service().SerializeAsString(),
            service.SerializeAsString());
  v1::ListRequest request;
  request.set_kind("event");
  ASSERT_OK_AND_ASSIGN(const auto events, List(request));
  ASSERT_EQ(events.objects_size(), 2);
  const v1::Event& event = events.objects(1).event();
  EXPECT_EQ(event.reason(), "Scaled");
  EXPECT_THAT(event.message(), HasSubstr("5 replicas"));
  EXPECT_EQ(event.actor().uid(), getuid());
}

TEST_F(ServicesTest, WhenScaledWrongly_NothingChanges) {
  ASSERT_OK(Apply({Service("web")}));
  EXPECT_THAT(Scale("web", -1), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Scale("web", 5000), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Scale("nobody", 1), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Get("service", "web")->service().spec().replicas(), 1);
}

TEST_F(ServicesTest, WhenAutoscaled_ScaleIsRefusedWithTheReason) {
  v1::Object object = Service("web");
  object.mutable_service()
      ->mutable_spec()
      ->mutable_autoscale()
      ->set_max_replicas(9);
  Put(object);

  const auto scaled = Scale("web", 3);

  EXPECT_THAT(scaled, StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("autoscaler decides")));
  EXPECT_THAT(DetailOf(scaled.status())->remedy(), HasSubstr("autoscale"));
}

TEST_F(ServicesTest, WhenStoppedAndStarted_TheServiceStaysDeclared) {
  ASSERT_OK(Apply({Service("web")}));
  const auto stub = v1::Services::NewStub(channel_);
  {
    v1::StopRequest request;
    request.set_service("web");
    grpc::ClientContext context;
    v1::StopResponse response;
    ASSERT_OK(FromGrpc(stub->Stop(&context, request, &response)));
    EXPECT_TRUE(response.service().spec().stopped());
    EXPECT_EQ(response.service().spec().replicas(), 1);
  }
  v1::StartRequest request;
  request.set_service("web");
  grpc::ClientContext context;
  v1::StartResponse response;
  ASSERT_OK(FromGrpc(stub->Start(&context, request, &response)));
  EXPECT_FALSE(response.service().spec().stopped());
  EXPECT_EQ(response.service().metadata().generation(), 3);
}

TEST_F(ServicesTest, WhenUndone_TheLastGoodTemplateIsDeclaredAgain) {
  ASSERT_OK(Apply({Service("web", "nginx:5")}));
  PutRevision(1, true, "nginx:1");
  PutRevision(2, true, "nginx:2");
  PutRevision(3, false, "nginx:3");
  PutRevision(4, true, "nginx:4", "crash loop");
  PutRevision(5, true, "nginx:5");
  PutRevision(6, true, "nginx:6");

  ASSERT_OK_AND_ASSIGN(v1::Service service, Undo("web"));
  EXPECT_EQ(service.spec().containers(0).image(), "nginx:2");
  EXPECT_EQ(service.spec().replicas(), 1);

  ASSERT_OK_AND_ASSIGN(service, Undo("web"));
  EXPECT_EQ(service.spec().containers(0).image(), "nginx:1");
  EXPECT_THAT(Undo("web"), StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(service, Undo("web", 3));
  EXPECT_EQ(service.spec().containers(0).image(), "nginx:3");
  EXPECT_THAT(Undo("web", 9), StatusIs(absl::StatusCode::kNotFound));
  for (const int64_t none : {0, -1}) {
    EXPECT_THAT(Undo("web", none),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("is not a revision: they count from 1")));
  }
}

TEST_F(ServicesTest, WhenThereIsNothingToGoBackTo_UndoSaysSo) {
  ASSERT_OK(Apply({Service("web")}));
  EXPECT_THAT(Undo("web"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("undo service")));
}

TEST_F(ServicesTest, WhenAskedForTheVersion_TheNodeIsDescribed) {
  v1::Object node;
  node.mutable_node()->mutable_metadata()->set_name("local");
  node.mutable_node()->mutable_status()->add_conditions()->set_type("Degraded");
  Put(node);
  grpc::ClientContext context;
  v1::VersionResponse response;

  ASSERT_OK(FromGrpc(v1::System::NewStub(channel_)->Version(
      &context, v1::VersionRequest(), &response)));

  EXPECT_EQ(response.version(), "1.2.3");
  EXPECT_EQ(response.commit(), "abcdef");
  EXPECT_EQ(response.instance(), "test");
  EXPECT_EQ(response.pid(), getpid());
  ASSERT_EQ(response.conditions_size(), 1);
  EXPECT_EQ(response.conditions(0).type(), "Degraded");
}

TEST_F(ServicesTest, WhenShutDown_TheTimeoutIsPassedOn) {
  const auto shutdown = [&](v1::ShutdownRequest request) {
    grpc::ClientContext context;
    v1::ShutdownResponse response;
    const absl::Status status = FromGrpc(
        v1::System::NewStub(channel_)->Shutdown(&context, request, &response));
    return status.ok() ? response.killed(0) : status.ToString();
  };
  v1::ShutdownRequest request;
  EXPECT_EQ(shutdown(request), "1m30s");
  request.mutable_timeout()->set_seconds(7);
  EXPECT_EQ(shutdown(request), "7s");
  request.mutable_timeout()->set_seconds(-1);
  EXPECT_THAT(shutdown(request), HasSubstr("INVALID_ARGUMENT"));
}

}  // namespace
}  // namespace bulwark::api
