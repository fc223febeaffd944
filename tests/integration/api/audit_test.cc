// The audit log behind the real server.
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "api/credentials.h"
#include "api/errors.h"
#include "store/values.h"
#include "tests/integration/api/generic_call.h"
#include "tests/integration/api/roles_fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AuditTest : public RolesFixture {
 protected:
  // "who method: detail (code)" of each record.
  std::vector<std::string> Log(const v1::AuditRequest& request = {}) {
    grpc::ClientContext context;
    const auto stub = v1::System::NewStub(channel_);
    const auto reader = stub->Audit(&context, request);
    std::vector<std::string> lines;
    v1::AuditRecord record;
    while (reader->Read(&record)) {
      lines.push_back(absl::StrCat(
          record.actor().name(), " ", record.method().substr(12), ": ",
          record.detail(),
          record.code() == 0 ? "" : absl::StrCat(" (", record.code(), ")")));
    }
    EXPECT_TRUE(reader->Finish().ok());
    return lines;
  }

  absl::Status Verify() {
    grpc::ClientContext context;
    v1::VerifyAuditResponse response;
    return FromGrpc(
        v1::System::NewStub(channel_)->VerifyAudit(&context, {}, &response));
  }
};

TEST_F(AuditTest, WhenObjectsChange_TheRecordIsInTheSameWrite) {
  ASSERT_OK_AND_ASSIGN(const v1::ApplyResponse response,
                       Apply({Service("web"), Service("db")}));
  EXPECT_THAT(Log(), ElementsAre("root Resources/Apply: service web created, "
                                 "service db created"));
  const auto rows = store_.List({.kind = "audit"});
  ASSERT_EQ(rows->records.size(), 1);
  EXPECT_EQ(rows->records[0].revision, response.revision());

  // What changes nothing leaves none.
  ASSERT_OK(Apply({Service("web")}));
  ASSERT_OK(Apply({Service("new")}, true));
  EXPECT_FALSE(Apply({Service("bad", "no image")}).ok());
  EXPECT_FALSE(Get("service", "none").ok());
  EXPECT_EQ(Log().size(), 1);

  ASSERT_OK(Delete("service", "web"));
  v1::AuditRequest last;
  last.set_tail(1);
  EXPECT_THAT(Log(last), ElementsAre("root Resources/Delete: objects 1"));
  EXPECT_OK(Verify());
}

TEST_F(AuditTest, WhenKeysChange_TheRecordIsInTheSameWrite) {
  const auto secrets = v1::Secrets::NewStub(channel_);
  const auto images = v1::Images::NewStub(channel_);
  // The write that made the newest record, and the detail of that.
  const auto newest = [&]() -> std::pair<uint64_t, std::string> {
    const auto rows = store_.List({.kind = "audit"});
    if (!rows.ok() || rows->records.empty()) return {0, "none"};
    v1::AuditRecord record;
    EXPECT_TRUE(record.ParseFromString(rows->records.back().value));
    return {rows->records.back().revision,
            absl::StrCat(record.method(), " ", record.detail())};
  };
  v1::LoginRequest login;
  login.set_registry("docker.io");
  login.set_username("me");
  login.set_sealed_password(secrets::FakeVault::Seal("wrong"));
  const auto call = [&] {
    grpc::ClientContext context;
    v1::LoginResponse response;
    return FromGrpc(images->Login(&context, login, &response));
  };
  EXPECT_FALSE(call().ok());
  EXPECT_FALSE(store_.Get(CredentialKey("docker.io")).ok());
  login.set_sealed_password(secrets::FakeVault::Seal("right"));
  ASSERT_OK(call());
  const auto kept = store_.Get(CredentialKey("docker.io"));
  ASSERT_OK(kept);
  EXPECT_EQ(newest(), std::pair(kept->revision,
                                std::string("/bulwark.v1.Images/Login registry "
                                            "docker.io, username me")));
  grpc::ClientContext rotating;
  v1::RotateKeyResponse rotated;
  ASSERT_OK(FromGrpc(secrets->RotateKey(&rotating, {}, &rotated)));
  EXPECT_EQ(newest(),
            std::pair(store_.Get(store::KeyringKey())->revision,
                      std::string("/bulwark.v1.Secrets/RotateKey values 1")));
  v1::LogoutRequest logout;
  logout.set_registry("docker.io");
  grpc::ClientContext leaving, again;
  v1::LogoutResponse left;
  ASSERT_OK(FromGrpc(images->Logout(&leaving, logout, &left)));
  EXPECT_FALSE(store_.Get(CredentialKey("docker.io")).ok());
  EXPECT_EQ(newest(), std::pair(store_.CurrentRevision(),
                                std::string("/bulwark.v1.Images/Logout "
                                            "registry docker.io")));
  EXPECT_THAT(FromGrpc(images->Logout(&again, logout, &left)),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_OK(Verify());
}

TEST_F(AuditTest, WhenACallIsRefused_ItIsKept) {
  ASSERT_OK(Apply({Service("web")}));
  const auto nobody = As(32001);
  EXPECT_EQ(GenericCall(nobody, "/bulwark.v1.System/Shutdown").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  v1::AuditRequest request;
  request.set_actor("32001");
  EXPECT_THAT(Log(request), ElementsAre("uid:32001 System/Shutdown:  (7)"));
  // Reading the log is the host's admin's.
  EXPECT_EQ(GenericCall(nobody, "/bulwark.v1.System/Audit").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(AuditTest, WhenTheDiskIsFull_WhatCannotBeKeptIsNotDone) {
  ASSERT_OK(Apply({Service("web"), Service("db")}));
  store_.SetFault([](const store::Batch& batch) {
    return batch.essential() ? absl::OkStatus()
                             : absl::ResourceExhaustedError("disk is full");
  });
  v1::TagImageRequest tag;
  tag.set_source("a");
  tag.set_target("b");
  grpc::ClientContext context;
  v1::TagImageResponse response;
  const absl::Status status =
      FromGrpc(v1::Images::NewStub(channel_)->Tag(&context, tag, &response));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted,
                               HasSubstr("disk is full")));
  EXPECT_THAT(DetailOf(status)->remedy(), HasSubstr("nothing was done"));
  EXPECT_THAT(images_.List(), IsEmpty());
  EXPECT_THAT(Apply({Service("new")}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  // Stops and deletions go on, with their records.
  EXPECT_OK(Delete("service", "web"));
  EXPECT_TRUE(GenericCall(channel_, "/bulwark.v1.System/Shutdown").ok());
  store_.SetFault(nullptr);
  EXPECT_THAT(Log(), ElementsAre("root Resources/Apply: service web created, "
                                 "service db created",
                                 "root Resources/Delete: objects 1",
                                 "root System/Shutdown: begins",
                                 "root System/Shutdown: done"));
  EXPECT_OK(Verify());
}

TEST_F(AuditTest, WhenFollowed_NewRecordsCome) {
  ASSERT_OK(Apply({Service("web")}));
  v1::AuditRequest request;
  request.set_follow(true);
  grpc::ClientContext context;
  const auto stub = v1::System::NewStub(channel_);
  const auto reader = stub->Audit(&context, request);
  v1::AuditRecord record;
  ASSERT_TRUE(reader->Read(&record));
  EXPECT_EQ(record.sequence(), 1);
  ASSERT_OK(Apply({Service("db")}));
  ASSERT_TRUE(reader->Read(&record));
  EXPECT_EQ(record.sequence(), 2);
  EXPECT_EQ(record.objects(0).name(), "db");
  context.TryCancel();
  EXPECT_FALSE(reader->Read(&record));
}

TEST_F(AuditTest, WhenARecordIsChanged_VerifyNamesIt) {
  ASSERT_OK(Apply({Service("web")}));
  ASSERT_OK(Apply({Service("db")}));
  ASSERT_OK_AND_ASSIGN(const store::Listing rows,
                       store_.List({.kind = "audit"}));
  v1::AuditRecord record;
  ASSERT_TRUE(record.ParseFromString(rows.records[0].value));
  record.mutable_actor()->set_name("mallory");
  ASSERT_OK(store_.Commit(
      store::Batch().Put(rows.records[0].key, record.SerializeAsString())));
  EXPECT_THAT(Verify(), StatusIs(absl::StatusCode::kDataLoss,
                                 HasSubstr("record 1 was changed")));
}

}  // namespace
}  // namespace bulwark::api
