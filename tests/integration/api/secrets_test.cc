// Secrets, configs and log-ins over the real API.
#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "api/credentials.h"
#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "store/objects.h"
#include "store/values.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::StatusIs;
using Mode = v1::SetSecretRequest;

class SecretsTest : public ApiTest {
 protected:
  absl::StatusOr<v1::SetSecretResponse> Set(
      const std::string& name, const std::string& value,
      Mode::Mode mode = Mode::CREATE_OR_UPDATE) {
    v1::SetSecretRequest request;
    request.set_name(name);
    request.set_sealed_value(secrets::FakeVault::Seal(value));
    request.set_mode(mode);
    grpc::ClientContext context;
    v1::SetSecretResponse response;
    const absl::Status status = FromGrpc(
        v1::Secrets::NewStub(channel_)->Set(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<v1::Object> Rollback(const std::string& kind,
                                      const std::string& name,
                                      std::optional<int64_t> to = {}) {
    v1::RollbackValueRequest request;
    request.set_kind(kind);
    request.set_name(name);
    if (to.has_value()) request.set_to_version(*to);
    grpc::ClientContext context;
    v1::RollbackValueResponse response;
    const absl::Status status = FromGrpc(
        v1::Secrets::NewStub(channel_)->Rollback(&context, request, &response));
    if (!status.ok()) return status;
    return response.object();
  }
  v1::SecretsStatusResponse Status() {
    grpc::ClientContext context;
    v1::SecretsStatusResponse response;
    EXPECT_OK(FromGrpc(v1::Secrets::NewStub(channel_)->Status(
        &context, v1::SecretsStatusRequest(), &response)));
    return response;
  }
  absl::StatusOr<v1::RotateKeyResponse> Rotate() {
    grpc::ClientContext context;
    v1::RotateKeyResponse response;
    const absl::Status status =
        FromGrpc(v1::Secrets::NewStub(channel_)->RotateKey(
            &context, v1::RotateKeyRequest(), &response));
    if (!status.ok()) return status;
    return response;
  }
  absl::Status Unseal() {
    grpc::ClientContext context;
    v1::UnsealResponse response;
    return FromGrpc(v1::Secrets::NewStub(channel_)->Unseal(
        &context, v1::UnsealRequest(), &response));
  }
  absl::Status Login(const std::string& registry, const std::string& password,
                     bool no_check = false) {
    v1::LoginRequest request;
    request.set_registry(registry);
    request.set_username("me");
    request.set_sealed_password(secrets::FakeVault::Seal(password));
    request.set_no_check(no_check);
    grpc::ClientContext context;
    v1::LoginResponse response;
    return FromGrpc(
        v1::Images::NewStub(channel_)->Login(&context, request, &response));
  }
  // The plaintext of a stored version.
  std::string Stored(const std::string& name, int64_t version) {
    const auto row = [&](const char* kind) {
      auto record = store_.Get(store::ValueKey(kind, "default", name, version));
      return record.ok() ? record->value : "none";
    };
    auto opened =
        vault_.Open({"secret", "default", name, version},
                    {row(store::kSecretValueKind), row(store::kSecretKeyKind)});
    return opened.ok() ? std::string(opened->Reveal())
                       : opened.status().ToString();
  }
  size_t Rows(const std::string& kind) {
    store::Filter filter;
    filter.kind = kind;
    return store_.List(filter)->records.size();
  }
  std::vector<int64_t> Versions(const std::string& kind,
                                const std::string& name) {
    const v1::Object object = *Get(kind, name);
    std::vector<int64_t> versions;
    for (const v1::ValueVersion& v :
         object.has_secret() ? object.secret().status().versions()
                             : object.config().status().versions()) {
      versions.push_back(v.version());
    }
    return versions;
  }
  static v1::Object Config(const std::string& name, const std::string& value) {
    v1::Object object;
    object.mutable_config()->mutable_metadata()->set_name(name);
    object.mutable_config()->mutable_spec()->set_value(value);
    return object;
  }
  static v1::Object Reader(const std::string& name, const std::string& secret) {
    v1::Object object = Service(name);
    object.mutable_service()
        ->mutable_spec()
        ->mutable_containers(0)
        ->add_secrets()
        ->set_name(secret);
    return object;
  }
};

TEST_F(SecretsTest, WhenSet_IsStoredEncryptedAndNeverReturned) {
  ASSERT_OK_AND_ASSIGN(const auto made, Set("db", "hunter2", Mode::CREATE));
  EXPECT_TRUE(made.changed());
  EXPECT_EQ(made.secret().status().version(), 1);
  EXPECT_EQ(made.secret().status().versions(0).size_bytes(), 7);
  EXPECT_FALSE(made.secret().metadata().resource_version().empty());
  EXPECT_THAT(made.secret().spec().sealed_value(), IsEmpty());
  EXPECT_EQ(Stored("db", 1), "hunter2");
  ASSERT_OK_AND_ASSIGN(const v1::Object object, Get("secret", "db"));
  EXPECT_THAT(object.ShortDebugString(), Not(HasSubstr("hunter2")));
  EXPECT_THAT(object.secret().spec().sealed_value(), IsEmpty());
  v1::ListRequest list;
  list.set_kind("event");
  ASSERT_OK_AND_ASSIGN(const v1::ListResponse events, List(list));
  EXPECT_THAT(events.ShortDebugString(), HasSubstr("SecretCreated"));
  EXPECT_THAT(events.ShortDebugString(), Not(HasSubstr("hunter2")));
}

TEST_F(SecretsTest, WhenModesDisagree_SaysWhatToDo) {
  EXPECT_THAT(Set("db", "x", Mode::UPDATE).status(),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(Set("db", "x", Mode::CREATE));
  const absl::Status again = Set("db", "y", Mode::CREATE).status();
  EXPECT_THAT(again, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(DetailOf(again)->remedy(), HasSubstr("ctl secret set db"));
  EXPECT_THAT(Set("db", "y", Mode::MODE_UNSPECIFIED).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Set("Bad_Name", "y").status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(Stored("db", 1), "x");
}

TEST_F(SecretsTest, WhenTheValueIsTheSame_NothingChanges) {
  ASSERT_OK(Set("db", "x"));
  ASSERT_OK_AND_ASSIGN(const auto again, Set("db", "x"));
  EXPECT_FALSE(again.changed());
  EXPECT_EQ(again.secret().status().version(), 1);
  ASSERT_OK_AND_ASSIGN(const auto other, Set("db", "y"));
  EXPECT_TRUE(other.changed());
  EXPECT_EQ(other.secret().status().version(), 2);
  EXPECT_EQ(other.secret().metadata().generation(), 2);
}

TEST_F(SecretsTest, WhenManyVersions_KeepsTenAndWhatRevisionsPin) {
  v1::Object revision;
  revision.mutable_revision()->mutable_metadata()->set_name("web-1");
  revision.mutable_revision()->mutable_metadata()->set_project("default");
  v1::InputVersion& input =
      *revision.mutable_revision()->mutable_template_()->add_inputs();
  input.set_kind("secret");
  input.set_name("db");
  input.set_version(2);
  Put(revision);
  for (int i = 1; i <= 14; ++i) ASSERT_OK(Set("db", absl::StrCat("v", i)));
  EXPECT_THAT(Versions("secret", "db"),
              ElementsAre(2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14));
  EXPECT_EQ(Rows(store::kSecretValueKind), 11u);
  EXPECT_EQ(Rows(store::kSecretKeyKind), 11u);
  EXPECT_EQ(Stored("db", 2), "v2");
  EXPECT_EQ(Stored("db", 14), "v14");
}

TEST_F(SecretsTest, WhenRolledBack_TheOldValueIsTheNewestVersion) {
  ASSERT_OK(Set("db", "old"));
  EXPECT_THAT(Rollback("secret", "db").status(),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(Set("db", "bad"));
  ASSERT_OK_AND_ASSIGN(const v1::Object back, Rollback("secret", "db"));
  EXPECT_EQ(back.secret().status().version(), 3);
  EXPECT_EQ(back.secret().status().versions(2).rolled_back_to(), 1);
  EXPECT_EQ(Stored("db", 3), "old");
  EXPECT_THAT(Rollback("secret", "db", 9).status(),
              StatusIs(absl::StatusCode::kNotFound));
  for (const int64_t none : {0, -1}) {
    EXPECT_THAT(Rollback("secret", "db", none).status(),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("is not a version: they count from 1")));
  }
  EXPECT_THAT(Rollback("volume", "db").status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
  const absl::Status none = Rollback("config", "db").status();
  EXPECT_THAT(none, StatusIs(absl::StatusCode::kNotFound,
                             "roll back config db: there is none in project "
                             "default"));
  EXPECT_THAT(DetailOf(none)->remedy(), HasSubstr("ctl config list"));
  // As before: setting it again changes nothing.
  ASSERT_OK_AND_ASSIGN(const auto again, Set("db", "old"));
  EXPECT_FALSE(again.changed());
}

TEST_F(SecretsTest, WhenAppliedAsAnObject_WorksAsSetDoes) {
  v1::Object object;
  object.mutable_secret()->mutable_metadata()->set_name("db");
  const absl::Status none = Apply({object}).status();
  EXPECT_THAT(none, StatusIs(absl::StatusCode::kInvalidArgument,
                             HasSubstr("sealedValue")));
  object.mutable_secret()->mutable_spec()->set_sealed_value(
      secrets::FakeVault::Seal("x"));
  ASSERT_OK(Apply({object}, true));  // validate only
  EXPECT_THAT(Get("secret", "db").status(),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK_AND_ASSIGN(const auto applied, Apply({object}));
  EXPECT_EQ(applied.results(0).action(), v1::ApplyResult::CREATED);
  EXPECT_THAT(applied.results(0).object().secret().spec().sealed_value(),
              IsEmpty());
  EXPECT_EQ(Stored("db", 1), "x");
  // Without a value the value stays, and labels change.
  object.mutable_secret()->mutable_spec()->clear_sealed_value();
  (*object.mutable_secret()->mutable_metadata()->mutable_labels())["a"] = "b";
  ASSERT_OK_AND_ASSIGN(const auto labelled, Apply({object}));
  EXPECT_EQ(labelled.results(0).action(), v1::ApplyResult::CONFIGURED);
  EXPECT_EQ(labelled.results(0).object().secret().status().version(), 1);
  object.mutable_secret()->mutable_spec()->set_sealed_value("not sealed");
  EXPECT_THAT(Apply({object}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SecretsTest, WhenConfigsChange_EachHasItsVersions) {
  ASSERT_OK(Apply({Config("app", "a=1")}));
  ASSERT_OK_AND_ASSIGN(const auto same, Apply({Config("app", "a=1")}));
  EXPECT_EQ(same.results(0).action(), v1::ApplyResult::UNCHANGED);
  ASSERT_OK_AND_ASSIGN(const auto changed, Apply({Config("app", "a=2")}));
  EXPECT_EQ(changed.results(0).object().config().status().version(), 2);
  ASSERT_OK_AND_ASSIGN(const v1::Object back, Rollback("config", "app"));
  EXPECT_EQ(back.config().spec().value(), "a=1");
  EXPECT_THAT(Versions("config", "app"), ElementsAre(1, 2, 3));
  EXPECT_EQ(
      store_.Get(store::ValueKey(store::kConfigValueKind, "default", "app", 3))
          ->value,
      "a=1");
  EXPECT_THAT(
      Apply({Config("big", std::string(500 * 1024 + 1, 'x'))}).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("500 KiB")));
  EXPECT_OK(Apply({Config("large", std::string(500 * 1024, 'x'))}));
}

TEST_F(SecretsTest, WhenInUse_IsNotDeletedAndItsUsersAreNamed) {
  ASSERT_OK(Set("db", "x"));
  ASSERT_OK(Apply({Reader("web", "db")}));
  EXPECT_THAT(Delete("secret", "db"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("service web")));
  ASSERT_OK(Apply({Service("web")}));
  EXPECT_OK(Delete("secret", "db"));
  EXPECT_THAT(Get("secret", "db").status(),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Rows(store::kSecretValueKind), 0u);
  EXPECT_EQ(Rows(store::kSecretKeyKind), 0u);
  ASSERT_OK_AND_ASSIGN(const auto anew, Set("db", "y"));
  EXPECT_EQ(anew.secret().status().version(), 1);
}

TEST_F(SecretsTest, WhenAServiceReadsWhatIsMissing_IsWarnedOfIt) {
  ASSERT_OK_AND_ASSIGN(const auto applied, Apply({Reader("web", "db")}));
  std::string warnings;
  for (const std::string& w : applied.results(0).warnings()) warnings += w;
  EXPECT_THAT(warnings, HasSubstr("ctl secret create db"));
  ASSERT_OK(Set("db", "x"));
  ASSERT_OK_AND_ASSIGN(const auto again, Apply({Reader("web2", "db")}));
  for (const std::string& w : again.results(0).warnings()) {
    EXPECT_THAT(w, Not(HasSubstr("does not exist")));
  }
}

TEST_F(SecretsTest, WhenSealed_SaysSoAndGoesOnAfterUnsealing) {
  ASSERT_OK(Set("db", "x"));
  vault_.LoseKeyFile();
  const v1::SecretsStatusResponse sealed = Status();
  EXPECT_TRUE(sealed.sealed());
  EXPECT_THAT(sealed.message(), HasSubstr("ctl secret unseal"));
  EXPECT_EQ(sealed.values(), 1);
  EXPECT_THAT(
      Set("db", "y").status(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("sealed")));
  EXPECT_THAT(Rotate().status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Rollback("secret", "db").status(), Not(testing::IsOk()));
  // What needs no secret goes on.
  EXPECT_OK(Apply({Service("web")}));
  EXPECT_OK(Apply({Config("app", "a=1")}));
  const absl::Status still = Unseal();
  EXPECT_THAT(still, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(DetailOf(still)->remedy(), HasSubstr("put it back"));
  EXPECT_EQ(unsealed_, 0);
  vault_.LoseKeyFile(false);
  EXPECT_OK(Unseal());
  EXPECT_EQ(unsealed_, 1);
  EXPECT_EQ(Stored("db", 1), "x");
  EXPECT_OK(Set("db", "y"));
}

TEST_F(SecretsTest, WhenTheKeyFileIsLostWhileOpen_UnsealingSaysSo) {
  ASSERT_OK(Set("db", "x"));
  vault_.LoseKeyFileWhileOpen();
  const absl::Status lost = Unseal();
  EXPECT_THAT(lost, StatusIs(absl::StatusCode::kFailedPrecondition,
                             AllOf(HasSubstr("stay open"),
                                   HasSubstr("the key file is gone"))));
  EXPECT_THAT(DetailOf(lost)->remedy(), HasSubstr("put it back"));
  EXPECT_EQ(unsealed_, 1);
  const v1::SecretsStatusResponse status = Status();
  EXPECT_FALSE(status.sealed());
  EXPECT_THAT(status.message(), HasSubstr("the key file is gone; put it back"));
  EXPECT_EQ(status.key_version(), 1);
  EXPECT_OK(Set("db", "y"));
}

TEST_F(SecretsTest, WhenRotated_EveryKeyIsWrappedAnew) {
  ASSERT_OK(Set("a", "1"));
  ASSERT_OK(Set("a", "2"));
  ASSERT_OK(Set("b", "3"));
  ASSERT_OK(Login("registry.local:5000", "right"));
  ASSERT_OK_AND_ASSIGN(const v1::RotateKeyResponse rotated, Rotate());
  EXPECT_EQ(rotated.key_version(), 2);
  EXPECT_EQ(rotated.rewrapped(), 4);
  const v1::SecretsStatusResponse status = Status();
  EXPECT_EQ(status.key_version(), 2);
  EXPECT_EQ(status.values(), 4);
  EXPECT_EQ(status.values_of_older_keys(), 0);
  EXPECT_EQ(Stored("a", 1), "1");
  EXPECT_EQ(Stored("b", 1), "3");
  ASSERT_OK_AND_ASSIGN(const auto kept,
                       FindCredential(store_, vault_, "registry.local:5000"));
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->password.Reveal(), "right");
}

TEST_F(SecretsTest, WhenLoggedIn_TheRegistryIsAskedFirst) {
  EXPECT_THAT(Login("registry.local:5000", "wrong"),
              StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(Rows(store::kRegistryKind), 0u);
  EXPECT_OK(Login("registry.local:5000", "wrong", true));
  EXPECT_OK(Login("registry.local:5000", "right"));
  EXPECT_EQ(Rows(store::kRegistryKind), 1u);
  EXPECT_THAT(Login("https://x/y", "right"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  v1::LogoutRequest request;
  request.set_registry("registry.local:5000");
  const auto logout = [&] {
    grpc::ClientContext context;
    v1::LogoutResponse response;
    return FromGrpc(
        v1::Images::NewStub(channel_)->Logout(&context, request, &response));
  };
  EXPECT_OK(logout());
  EXPECT_THAT(logout(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Rows(store::kRegistryKind), 0u);
}

TEST_F(SecretsTest, WhenARowIsTamperedWith_RotationNamesItAndChangesNothing) {
  ASSERT_OK(Set("a", "1"));
  ASSERT_OK(Set("b", "2"));
  const auto a =
      store_.Get(store::ValueKey(store::kSecretKeyKind, "default", "a", 1));
  ASSERT_OK(store_.Commit(store::Batch().Put(
      store::ValueKey(store::kSecretKeyKind, "default", "b", 1), a->value)));
  EXPECT_THAT(Rotate().status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("b")));
  EXPECT_EQ(Status().key_version(), 1);
  EXPECT_EQ(Stored("a", 1), "1");
}

TEST_F(SecretsTest, WhenUndoneToARevisionOfAnotherSecret_SaysHowToGoBack) {
  ASSERT_OK(Set("db", "1"));
  ASSERT_OK_AND_ASSIGN(const auto applied, Apply({Reader("web", "db")}));
  ASSERT_OK(Set("db", "2"));
  v1::Object object;
  v1::Revision& revision = *object.mutable_revision();
  revision.mutable_metadata()->set_name("web-1");
  revision.mutable_metadata()->set_project("default");
  revision.set_service("web");
  revision.set_number(1);
  revision.set_good(true);
  const v1::ServiceSpec& spec = applied.results(0).object().service().spec();
  *revision.mutable_template_()->mutable_containers() = spec.containers();
  *revision.mutable_template_()->mutable_stop() = spec.stop();
  revision.mutable_template_()->set_network(spec.network());
  v1::InputVersion& input = *revision.mutable_template_()->add_inputs();
  input.set_kind("secret");
  input.set_name("db");
  input.set_version(1);
  Put(object);
  v1::UndoRequest request;
  request.set_service("web");
  request.set_to_revision(1);
  grpc::ClientContext context;
  v1::UndoResponse response;
  const absl::Status undone = FromGrpc(
      v1::Services::NewStub(channel_)->Undo(&context, request, &response));
  EXPECT_THAT(undone, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(DetailOf(undone)->remedy(),
              HasSubstr("`ctl secret rollback db --to 1` brings that value"));

  // With other containers it is done, and says what does not come back.
  revision.mutable_template_()->mutable_containers(0)->set_image("app:0");
  Put(object);
  grpc::ClientContext again;
  ASSERT_OK(FromGrpc(
      v1::Services::NewStub(channel_)->Undo(&again, request, &response)));
  EXPECT_EQ(response.service().spec().containers(0).image(), "app:0");
  const auto& metadata = again.GetServerInitialMetadata();
  const auto warning = metadata.find("bulwark-warning-bin");
  ASSERT_NE(warning, metadata.end());
  EXPECT_EQ(
      std::string(warning->second.data(), warning->second.size()),
      "revision 1 read version 1 of secret db; containers go back, values "
      "do not: `ctl secret rollback db --to 1` brings that value back");
}

}  // namespace
}  // namespace bulwark::api
