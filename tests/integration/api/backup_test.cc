// Backup and restore through the real server.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "api/errors.h"
#include "base/testing/status_matchers.h"
#include "secrets/fake/fake_vault.h"
#include "store/objects.h"
#include "store/values.h"
#include "tests/integration/api/fixture.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

// Once it is told to, wants what it loads written once more.
class UnsettledVault final : public secrets::FakeVault {
 public:
  std::optional<std::string> Load(const std::optional<std::string>& keyring,
                                  bool has_values) override {
    std::optional<std::string> next = FakeVault::Load(keyring, has_values);
    return unsettled ? keyring : next;
  }
  std::atomic<bool> unsettled = false;
};

class BackupTest : public ApiTest {
 protected:
  void SetUp() override {
    LoadVault(vault_, store_);
    vault_pointer_ = &vault_;
    StartServer();
  }

  static void LoadVault(secrets::FakeVault& vault,
                        store::MetadataStore& store) {
    const store::Key key{"keyring", "", "secrets"};
    const auto row = store.Get(key);
    const std::optional<std::string> made = vault.Load(
        row.ok() ? std::optional<std::string>(row->value) : std::nullopt,
        false);
    if (!made.has_value()) return;
    ASSERT_THAT(store.Commit(store::Batch().Put(key, *made)), testing::IsOk());
    vault.Load(made, false);
  }

  absl::StatusOr<std::string> Backup(const std::string& password = "pass") {
    v1::BackupStateRequest request;
    request.set_sealed_password(secrets::FakeVault::Seal(password));
    grpc::ClientContext context;
    const auto stub = v1::System::NewStub(channel_);
    const auto reader = stub->Backup(&context, request);
    std::string archive;
    v1::BackupStateResponse response;
    while (reader->Read(&response)) archive += response.data();
    const absl::Status status = FromGrpc(reader->Finish());
    if (!status.ok()) return status;
    return archive;
  }

  absl::StatusOr<v1::RestoreStateResponse> Restore(
      const std::string& archive, bool replace = false,
      const std::string& password = "pass", bool validate_only = false) {
    grpc::ClientContext context;
    v1::RestoreStateResponse response;
    const auto stub = v1::System::NewStub(channel_);
    const auto writer = stub->Restore(&context, &response);
    v1::RestoreStateRequest request;
    v1::RestoreStateOptions& options = *request.mutable_options();
    options.set_sealed_password(secrets::FakeVault::Seal(password));
    options.set_replace(replace);
    options.set_validate_only(validate_only);
    writer->Write(request);
    for (size_t at = 0; at < archive.size(); at += 1000) {
      request.set_data(archive.substr(at, 1000));
      if (!writer->Write(request)) break;
    }
    writer->WritesDone();
    const absl::Status status = FromGrpc(writer->Finish());
    if (!status.ok()) return status;
    return response;
  }

  UnsettledVault vault_;
};

TEST_F(BackupTest, WhenRestoredElsewhere_EverythingIsDeclaredAgain) {
  ASSERT_OK(Apply({Service("web"), Service("db")}));
  ASSERT_OK_AND_ASSIGN(const std::string archive, Backup());
  EXPECT_EQ(archive.find("nginx"), std::string::npos);

  // Another host.
  server_.reset();
  store::MemStore other(clock_);
  secrets::FakeVault vault;
  LoadVault(vault, other);
  const absl::Cleanup stop = [this] { server_.reset(); };
  ServerDependencies dependencies{other, engine_, images_, clock_, entropy_};
  dependencies.normalize = [](absl::string_view t) { return std::string(t); };
  dependencies.vault = &vault;
  ASSERT_OK_AND_ASSIGN(server_, Server::Start(options_, dependencies));
  channel_ = Connect();

  EXPECT_THAT(Restore(archive, false, "other"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("the password is wrong")));
  EXPECT_THAT(Restore(archive.substr(0, archive.size() - 7)),
              StatusIs(absl::StatusCode::kDataLoss));
  std::string changed = archive;
  changed[changed.size() / 2] ^= 1;
  EXPECT_FALSE(Restore(changed).ok());
  EXPECT_FALSE(Get("service", "web").ok());

  ASSERT_OK_AND_ASSIGN(const auto dry, Restore(archive, false, "pass", true));
  EXPECT_EQ(dry.objects(), 2);
  EXPECT_FALSE(Get("service", "web").ok());

  ASSERT_OK_AND_ASSIGN(const auto response, Restore(archive));
  EXPECT_EQ(response.objects(), 2);
  EXPECT_OK(Get("service", "web"));
  EXPECT_OK(Get("service", "db"));
}

TEST_F(BackupTest, WhenObjectsAreDeclared_ReplaceIsNeeded) {
  ASSERT_OK(Apply({Service("web")}));
  ASSERT_OK_AND_ASSIGN(const std::string archive, Backup());
  ASSERT_OK(Apply({Service("web", "nginx:2"), Service("new")}));
  EXPECT_THAT(Restore(archive),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("service new, service web are declared")));
  ASSERT_OK(Restore(archive, true));
  EXPECT_EQ(Get("service", "web")->service().spec().containers(0).image(),
            "nginx:1.27");
  EXPECT_TRUE(Get("service", "new")->service().metadata().has_delete_time());
}

TEST_F(BackupTest, WhenARecordCannotBeRead_ARestoreReplacesIt) {
  ASSERT_OK(Apply({Service("web"), Service("db")}));
  ASSERT_OK_AND_ASSIGN(const v1::Object before, Get("service", "db"));
  ASSERT_OK_AND_ASSIGN(const std::string archive, Backup());
  const auto spoil = [this](const std::string& name) {
    const store::Key key = store::ObjectKey("service", "default", name);
    ASSERT_OK(store_.Commit(store::Batch().Put(key, "\xff\xff")));
  };
  spoil("db");
  spoil("unknown");  // not in the backup: how to end it is not known

  ASSERT_OK(Restore(archive, true));

  ASSERT_OK_AND_ASSIGN(const v1::Object after, Get("service", "db"));
  EXPECT_EQ(after.service().metadata().uid(),
            before.service().metadata().uid());
  EXPECT_EQ(after.service().spec().SerializeAsString(),
            before.service().spec().SerializeAsString());
  EXPECT_THAT(Get("service", "unknown"), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(BackupTest, WhenTheWriteFails_NothingHasChanged) {
  ASSERT_OK(Apply({Service("web")}));
  ASSERT_OK_AND_ASSIGN(const std::string archive, Backup());
  ASSERT_OK(Apply({Service("web", "nginx:2")}));
  store_.SetFault([](const store::Batch& batch) {
    // The records around it can be written.
    return batch.items().size() > 2 ? absl::ResourceExhaustedError("full")
                                    : absl::OkStatus();
  });
  EXPECT_THAT(Restore(archive, true),
              StatusIs(absl::StatusCode::kResourceExhausted));
  store_.SetFault(nullptr);
  EXPECT_EQ(Get("service", "web")->service().spec().containers(0).image(),
            "nginx:2");
}

TEST_F(BackupTest, WhenTheKeyringCannotBeLoaded_SaysThatTheRestIsRestored) {
  ASSERT_OK(Apply({Service("web")}));
  ASSERT_OK_AND_ASSIGN(const std::string archive, Backup());
  ASSERT_OK(Apply({Service("web", "nginx:2")}));
  vault_.unsettled = true;
  store_.SetFault([](const store::Batch& batch) {
    const auto& items = batch.items();
    return items.size() == 1 && items[0].key == store::KeyringKey()
               ? absl::UnavailableError("disk trouble")
               : absl::OkStatus();
  });
  const absl::Status status = Restore(archive, true).status();
  ASSERT_THAT(status, StatusIs(absl::StatusCode::kInternal,
                               HasSubstr("everything is restored, but its "
                                         "keyring could not be loaded: disk "
                                         "trouble")));
  EXPECT_EQ(DetailOf(status)->remedy(),
            "restart bulwarkd before any secret is changed");
  store_.SetFault(nullptr);
  EXPECT_EQ(Get("service", "web")->service().spec().containers(0).image(),
            "nginx:1.27");
}

TEST_F(BackupTest, WhenTheDaemonIsSealed_ItSaysSo) {
  vault_.LoseKeyFile();
  EXPECT_THAT(Backup(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Restore("x"), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace bulwark::api
