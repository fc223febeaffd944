// Roles over the content of requests, and over what is shown.
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "api/errors.h"
#include "tests/integration/api/roles_fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kDenied = absl::StatusCode::kPermissionDenied;
constexpr uid_t kAlice = 31001;  // in shop
constexpr uid_t kBob = 31002;    // in crm

class RolesTest : public RolesFixture {
 protected:
  static absl::StatusOr<v1::ApplyResponse> ApplyBy(
      const std::shared_ptr<grpc::Channel>& channel,
      const std::vector<v1::Object>& objects, bool validate_only = false) {
    v1::ApplyRequest request;
    for (const v1::Object& object : objects) *request.add_objects() = object;
    request.set_validate_only(validate_only);
    grpc::ClientContext context;
    v1::ApplyResponse response;
    const absl::Status status = FromGrpc(
        v1::Resources::NewStub(channel)->Apply(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  static absl::StatusOr<std::vector<std::string>> ListBy(
      const std::shared_ptr<grpc::Channel>& channel, const std::string& kind,
      const std::string& project) {
    v1::ListRequest request;
    request.set_kind(kind);
    request.set_project(project);
    grpc::ClientContext context;
    v1::ListResponse response;
    const absl::Status status = FromGrpc(
        v1::Resources::NewStub(channel)->List(&context, request, &response));
    if (!status.ok()) return status;
    std::vector<std::string> names;
    for (const v1::Object& object : response.objects()) {
      names.push_back(store::MetadataOf(object).project() + "/" +
                      store::MetadataOf(object).name());
    }
    return names;
  }

  static v1::Object WithHostMount(const std::string& name,
                                  const std::string& image = "nginx:1.27") {
    v1::Object object = ServiceIn("shop", name, image);
    v1::VolumeMount& mount = *object.mutable_service()
                                  ->mutable_spec()
                                  ->mutable_containers(0)
                                  ->add_volumes();
    mount.set_host_path("/etc");
    mount.set_path("/host");
    return object;
  }
};

TEST_F(RolesTest, WhenSomebodyHasNoRole_ConnectingBringsNothing) {
  ASSERT_OK(Apply({ServiceIn("default", "web")}));
  const auto bob = As(kBob);
  const absl::Status status = ListBy(bob, "service", "*").status();
  EXPECT_THAT(status, StatusIs(kDenied, HasSubstr("lacks the right \"view\" in "
                                                  "every project")));
  EXPECT_THAT(DetailOf(status)->remedy(), HasSubstr("role: viewer"));
}

TEST_F(RolesTest, WhenEverythingIsListed_OnlyOwnProjectsAreShown) {
  Project("shop", {User(kAlice, v1::Member::VIEWER)});
  Project("crm", {User(kBob, v1::Member::VIEWER)});
  ASSERT_OK(Apply({ServiceIn("shop", "web"), ServiceIn("crm", "db"),
                   ServiceIn("default", "sys")}));
  const auto alice = As(kAlice);
  EXPECT_THAT(*ListBy(alice, "service", "*"), ElementsAre("shop/web"));
  EXPECT_THAT(*ListBy(alice, "project", ""), ElementsAre("default/shop"));
  EXPECT_THAT(ListBy(alice, "service", "crm"), StatusIs(kDenied));
  EXPECT_THAT(ListBy(alice, "event", "default"), StatusIs(kDenied));
  EXPECT_THAT(*ListBy(alice, "node", ""), IsEmpty());
}

TEST_F(RolesTest, WhenTheContentNeedsARight_TheRoleIsNotEnough) {
  Project("shop", {User(kAlice, v1::Member::DEPLOYER),
                   User(kBob, v1::Member::DEPLOYER, {v1::Member::HOST_PATHS})});
  const auto alice = As(kAlice), bob = As(kBob);
  const auto before = Rows();
  EXPECT_THAT(ApplyBy(alice, {ServiceIn("shop", "web"), WithHostMount("a")}),
              StatusIs(kDenied, HasSubstr("mount the host's /etc in container "
                                          "a: ")));
  EXPECT_THAT(ApplyBy(alice, {WithHostMount("a")}, true), StatusIs(kDenied));
  v1::Object privileged = ServiceIn("shop", "b");
  privileged.mutable_service()
      ->mutable_spec()
      ->mutable_containers(0)
      ->set_profile(v1::Container::PRIVILEGED);
  EXPECT_THAT(ApplyBy(bob, {privileged}),
              StatusIs(kDenied, HasSubstr("\"privileged\"")));
  EXPECT_EQ(Rows(), before);

  ASSERT_OK(ApplyBy(bob, {WithHostMount("a")}));
  // Alice may change the service, but not what runs beside the mount.
  v1::Object more = WithHostMount("a");
  more.mutable_service()->mutable_spec()->set_replicas(3);
  EXPECT_OK(ApplyBy(alice, {more}));
  EXPECT_THAT(ApplyBy(alice, {WithHostMount("a", "evil:1")}),
              StatusIs(kDenied));
  EXPECT_OK(ApplyBy(alice, {ServiceIn("shop", "a", "evil:1")}));
}

TEST_F(RolesTest, WhenABuildWantsMoreThanItsEngineGives_TheRightIsNeeded) {
  using Member = v1::Member;
  Project("shop", {User(kAlice, Member::DEPLOYER),
                   User(kBob, Member::DEPLOYER, {Member::PRIVILEGED})});
  const auto build = [](const std::shared_ptr<grpc::Channel>& channel,
                        const std::function<void(v1::BuildOptions&)>& ask) {
    v1::BuildImageRequest request;
    request.mutable_options()->add_tags("app:1");
    ask(*request.mutable_options());
    grpc::ClientContext context;
    auto stream = v1::Images::NewStub(channel)->Build(&context);
    stream->Write(request);
    stream->WritesDone();
    v1::ImageProgress message;
    while (stream->Read(&message)) continue;
    return FromGrpc(stream->Finish());
  };
  const auto alice = As(kAlice), bob = As(kBob);
  const auto insecure = [](v1::BuildOptions& o) { o.set_allow_insecure(true); };
  const auto network = [](v1::BuildOptions& o) {
    o.set_allow_host_network(true);
  };
  EXPECT_OK(build(alice, [](v1::BuildOptions&) {}));
  EXPECT_THAT(build(alice, insecure),
              StatusIs(kDenied, HasSubstr("security.insecure")));
  EXPECT_THAT(build(alice, network),
              StatusIs(kDenied, HasSubstr("the host's network")));
  EXPECT_OK(build(bob, insecure));
  EXPECT_OK(build(bob, network));
}

TEST_F(RolesTest, WhenUndone_AnOlderRevisionBringsNoRightBack) {
  Project("shop", {User(kAlice, v1::Member::DEPLOYER)});
  ASSERT_OK(Apply({WithHostMount("a")}));
  ASSERT_OK_AND_ASSIGN(const v1::Object old,
                       store::GetObject(store_, {"service", "shop", "a"}));
  v1::Object object;
  v1::Revision& revision = *object.mutable_revision();
  revision.mutable_metadata()->set_project("shop");
  revision.mutable_metadata()->set_name("a-1");
  revision.set_service("a");
  revision.set_number(1);
  revision.set_good(true);
  revision.set_failure("it was rolled back");
  *revision.mutable_template_()->mutable_containers() =
      old.service().spec().containers();
  *revision.mutable_template_()->mutable_stop() = old.service().spec().stop();
  revision.mutable_template_()->set_network("default");
  Put(object);
  ASSERT_OK(Apply({ServiceIn("shop", "a")}));
  const auto before = Rows();

  v1::UndoRequest request;
  request.set_project("shop");
  request.set_service("a");
  request.set_to_revision(1);
  grpc::ClientContext context;
  v1::UndoResponse response;
  EXPECT_THAT(FromGrpc(v1::Services::NewStub(As(kAlice))
                           ->Undo(&context, request, &response)),
              StatusIs(kDenied, HasSubstr("mount the host's /etc")));
  // Nor is the revision tried again.
  EXPECT_EQ(Rows(), before);

  grpc::ClientContext by_root;
  EXPECT_OK(FromGrpc(
      v1::Services::NewStub(channel_)->Undo(&by_root, request, &response)));
  EXPECT_NE(Rows(), before);
}

TEST_F(RolesTest, WhenMembersAreApplied_OnlyAdminsMay) {
  Project("shop", {User(kAlice, v1::Member::OPERATOR)});
  const auto alice = As(kAlice);
  const std::vector<v1::Member> all = {User(kAlice, v1::Member::ADMIN)};
  EXPECT_THAT(ApplyBy(alice, {ProjectObject("shop", all)}), StatusIs(kDenied));
  EXPECT_THAT(ApplyBy(alice, {ProjectObject("new", all)}), StatusIs(kDenied));
  Project("shop", all);
  EXPECT_OK(ApplyBy(alice,
                    {ProjectObject("shop", {User(kAlice, v1::Member::ADMIN),
                                            User(kBob, v1::Member::VIEWER)})}));
  EXPECT_THAT(ApplyBy(alice, {ProjectObject("new", all)}),
              StatusIs(kDenied, HasSubstr("project default")));
  EXPECT_THAT(ApplyBy(alice, {ProjectObject("default", all)}),
              StatusIs(kDenied));
  EXPECT_THAT(*ListBy(As(kBob), "service", "shop"), IsEmpty());
}

TEST_F(RolesTest, WhenMembersAreWrong_TheFieldsAreNamed) {
  v1::Member both = User(kAlice, v1::Member::VIEWER);
  both.set_group("g");
  const absl::Status status =
      Apply({ProjectObject("shop", {both, User(1, v1::Member::VIEWER),
                                    User(1, v1::Member::ADMIN),
                                    User(2, v1::Member::ROLE_UNSPECIFIED)})})
          .status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  std::vector<std::string> fields;
  const std::optional<v1::ErrorDetail> detail = DetailOf(status);
  for (const v1::Violation& violation : detail->violations()) {
    fields.push_back(violation.field());
  }
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("spec.members[0].user",
                                                      "spec.members[2]",
                                                      "spec.members[3].role"));
}

TEST_F(RolesTest, WhenARoleIsTakenAway_StreamsEnd) {
  Project("shop", {User(kAlice, v1::Member::VIEWER)});
  Project("crm", {});
  ASSERT_OK(Apply({ServiceIn("crm", "db"), ServiceIn("shop", "web")}));
  v1::WatchRequest request;
  request.set_kind("service");
  request.set_project("*");
  grpc::ClientContext context;
  const auto alice = As(kAlice);
  const auto stub = v1::Resources::NewStub(alice);
  const auto reader = stub->Watch(&context, request);
  v1::WatchEvent event;
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.object().service().metadata().name(), "web");
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.type(), v1::WatchEvent::SYNCED);
  ASSERT_OK(Apply({ServiceIn("crm", "db", "nginx:2")}));
  ASSERT_OK(Apply({ServiceIn("shop", "web", "nginx:2")}));
  ASSERT_TRUE(reader->Read(&event));
  EXPECT_EQ(event.object().service().metadata().name(), "web");

  Project("shop", {});
  EXPECT_FALSE(reader->Read(&event));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

}  // namespace
}  // namespace bulwark::api
