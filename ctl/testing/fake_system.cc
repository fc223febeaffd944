#include <sodium.h>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "ctl/testing/fake_state.h"
#include "proto/bulwark/v1/api.grpc.pb.h"

namespace bulwark::ctl::testing {
namespace {

using grpc::ServerContext;
using grpc::Status;

class System final : public v1::System::Service {
 public:
  explicit System(FakeState& state) : state_(state) {}

  Status Version(ServerContext*, const v1::VersionRequest*,
                 v1::VersionResponse* response) override {
    if (Status s = state_.Take("Version"); !s.ok()) return s;
    response->set_version("1.2.3");
    response->set_instance("bulwark");
    response->set_pid(42);
    return Status::OK;
  }

  Status Doctor(ServerContext*, const v1::DoctorRequest*,
                v1::DoctorResponse* response) override {
    if (Status s = state_.Take("Doctor"); !s.ok()) return s;
    absl::MutexLock lock(&state_.mu);
    *response = state_.doctor;
    return Status::OK;
  }

  Status DiskUsage(ServerContext*, const v1::DiskUsageRequest*,
                   v1::DiskUsageResponse* response) override {
    if (Status s = state_.Take("DiskUsage"); !s.ok()) return s;
    absl::MutexLock lock(&state_.mu);
    *response = state_.disk_usage;
    return Status::OK;
  }

  Status Prune(ServerContext*, const v1::PruneRequest* request,
               v1::PruneResponse* response) override {
    state_.Note(absl::StrCat("Prune ", request->ShortDebugString()));
    if (Status s = state_.Take("Prune"); !s.ok()) return s;
    response->add_removed("image docker.io/library/old:1");
    response->set_freed_bytes(5200000);
    return Status::OK;
  }

  // The archive in two parts; a failure comes between them.
  Status Backup(ServerContext*, const v1::BackupStateRequest* request,
                grpc::ServerWriter<v1::BackupStateResponse>* writer) override {
    state_.Note(absl::StrCat("Backup ", Opened(request->sealed_password())));
    std::string archive;
    {
      absl::MutexLock lock(&state_.mu);
      archive = state_.archive;
    }
    v1::BackupStateResponse response;
    response.set_data(archive.substr(0, archive.size() / 2));
    writer->Write(response);
    if (Status s = state_.Take("Backup"); !s.ok()) return s;
    response.set_data(archive.substr(archive.size() / 2));
    writer->Write(response);
    return Status::OK;
  }

  Status Restore(ServerContext*,
                 grpc::ServerReader<v1::RestoreStateRequest>* reader,
                 v1::RestoreStateResponse* response) override {
    v1::RestoreStateRequest message;
    reader->Read(&message);
    const v1::RestoreStateOptions options = message.options();
    state_.Note(absl::StrCat("Restore ", Opened(options.sealed_password()),
                             options.replace() ? " replace" : "",
                             options.validate_only() ? " dry" : ""));
    if (Status s = state_.Take("Restore"); !s.ok()) return s;
    std::string archive;
    while (reader->Read(&message)) archive += message.data();
    absl::MutexLock lock(&state_.mu);
    state_.uploaded = archive;
    response->set_objects(2);
    response->mutable_results()->Assign(state_.restored.begin(),
                                        state_.restored.end());
    response->mutable_backup_time()->set_seconds(1893456000);
    return Status::OK;
  }

  // Two records, whatever is asked for.
  Status Audit(ServerContext*, const v1::AuditRequest* request,
               grpc::ServerWriter<v1::AuditRecord>* writer) override {
    state_.Note(absl::StrCat("Audit", request->has_tail()
                                          ? absl::StrCat(" ", request->tail())
                                          : ""));
    if (Status s = state_.Take("Audit"); !s.ok()) return s;
    v1::AuditRecord record;
    record.mutable_actor()->set_name("alice");
    for (const char* method : {"/bulwark.v1.Secrets/Set", "audit/rotate"}) {
      record.set_sequence(record.sequence() + 1);
      record.set_method(method);
      record.set_detail("two\nlines \"quoted\"");
      writer->Write(record);
    }
    return Status::OK;
  }

  Status VerifyAudit(ServerContext*, const v1::VerifyAuditRequest*,
                     v1::VerifyAuditResponse* response) override {
    if (Status s = state_.Take("VerifyAudit"); !s.ok()) return s;
    response->set_records(2);
    response->set_last_hash("\xab\xcd");
    return Status::OK;
  }

  Status Shutdown(ServerContext*, const v1::ShutdownRequest* request,
                  v1::ShutdownResponse* response) override {
    state_.Note(absl::StrCat("Shutdown ", request->timeout().seconds(), "s"));
    if (Status s = state_.Take("Shutdown"); !s.ok()) return s;
    response->add_killed("default/stubborn");
    return Status::OK;
  }

 private:
  std::string Opened(const std::string& sealed) {
    absl::MutexLock lock(&state_.mu);
    return state_.keys.Open(sealed);
  }

  FakeState& state_;
};

class Secrets final : public v1::Secrets::Service {
 public:
  explicit Secrets(FakeState& state) : state_(state) {}

  grpc::Status Status(ServerContext*, const v1::SecretsStatusRequest*,
                      v1::SecretsStatusResponse* response) override {
    if (grpc::Status s = state_.Take("SecretsStatus"); !s.ok()) return s;
    absl::MutexLock lock(&state_.mu);
    response->set_public_key(state_.keys.public_key);
    return grpc::Status::OK;
  }

 private:
  FakeState& state_;
};

class Volumes final : public v1::Volumes::Service {
 public:
  explicit Volumes(FakeState& state) : state_(state) {}

  Status ListBackups(ServerContext*, const v1::ListBackupsRequest*,
                     v1::ListBackupsResponse* response) override {
    if (Status s = state_.Take("ListBackups"); !s.ok()) return s;
    v1::VolumeBackup& backup = *response->add_backups();
    backup.set_id("5f3a");
    backup.set_size_bytes(5200000);
    backup.mutable_create_time()->set_seconds(1893456000);
    return Status::OK;
  }

 private:
  FakeState& state_;
};

}  // namespace

SealingKeys::SealingKeys()
    : public_key(crypto_box_PUBLICKEYBYTES, '\0'),
      secret_key(crypto_box_SECRETKEYBYTES, '\0') {
  CHECK(sodium_init() >= 0);
  crypto_box_keypair(reinterpret_cast<unsigned char*>(public_key.data()),
                     reinterpret_cast<unsigned char*>(secret_key.data()));
}

std::string SealingKeys::Open(const std::string& sealed) const {
  if (sealed.size() < crypto_box_SEALBYTES) return "not sealed";
  std::string value(sealed.size() - crypto_box_SEALBYTES, '\0');
  const auto bytes = [](const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  };
  const int bad = crypto_box_seal_open(
      reinterpret_cast<unsigned char*>(value.data()), bytes(sealed),
      sealed.size(), bytes(public_key), bytes(secret_key));
  return bad == 0 ? value : "not sealed";
}

std::unique_ptr<grpc::Service> MakeFakeSystem(FakeState& state) {
  return std::make_unique<System>(state);
}

std::unique_ptr<grpc::Service> MakeFakeSecrets(FakeState& state) {
  return std::make_unique<Secrets>(state);
}

std::unique_ptr<grpc::Service> MakeFakeVolumes(FakeState& state) {
  return std::make_unique<Volumes>(state);
}

}  // namespace bulwark::ctl::testing
