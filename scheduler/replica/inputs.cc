#include "scheduler/replica/inputs.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "scheduler/services/inputs.h"
#include "store/values.h"

namespace bulwark::scheduler {
namespace {

bool ReadsAny(const v1::Container& container) {
  return !container.secrets().empty() || !container.configs().empty();
}

// "config/app@2 secret/db@3".
std::string NoteOf(const InputVersions& versions) {
  std::string note;
  for (const auto& [input, version] : versions) {
    absl::StrAppend(&note, note.empty() ? "" : " ", input.first, "/",
                    input.second, "@", version);
  }
  return note;
}

// What is missing or sealed now may be there later; a row that was changed
// stays so, and is the replica's failure, with its reason.
absl::Status Later(const absl::Status& status) {
  if (!absl::IsFailedPrecondition(status)) return status;
  return absl::UnavailableError(status.message());
}

}  // namespace

absl::StatusOr<InputVersions> InputFiles::VersionsOf(
    const InputReader& reader) {
  const std::vector<v1::InputVersion> inputs = InputsOf(reader.container);
  const v1::Template& t = reader.revision.template_();
  ASSIGN_OR_RETURN(
      const InputVersions current,
      ReadInputs(store_, reader.replica.metadata().project(), inputs));
  InputVersions versions;
  for (const v1::InputVersion& input : inputs) {
    const int64_t version = VersionFor(t, input.kind(), input.name(), current);
    if (version == 0) {
      return absl::UnavailableError(absl::StrCat(
          "start container ", reader.container.name(), ": there is no ",
          input.kind(), " ", input.name(), "; `ctl ", input.kind(), " create ",
          input.name(), "` makes it"));
    }
    versions[{input.kind(), input.name()}] = version;
  }
  return versions;
}

absl::StatusOr<secrets::DeliveredFile> InputFiles::FileOf(
    const InputReader& reader, const std::string& kind, const std::string& name,
    int64_t version) {
  const std::string& project = reader.replica.metadata().project();
  const auto read = [&](const char* row) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(
        std::optional<store::Record> record,
        store::Find(store_, store::ValueKey(row, project, name, version)));
    if (record.has_value()) return std::move(record->value);
    return absl::NotFoundError(absl::StrCat(
        "start container ", reader.container.name(), ": version ", version,
        " of ", kind, " ", name, " is not kept any more"));
  };
  secrets::DeliveredFile file;
  if (kind == "config") {
    ASSIGN_OR_RETURN(file.content, read(store::kConfigValueKind));
    return file;
  }
  file.binding = secrets::Binding{"secret", project, name, version};
  ASSIGN_OR_RETURN(file.rows.value, read(store::kSecretValueKind));
  ASSIGN_OR_RETURN(file.rows.key, read(store::kSecretKeyKind));
  return file;
}

absl::StatusOr<std::vector<secrets::DeliveredMount>> InputFiles::Write(
    const InputReader& reader, const InputVersions& versions) {
  secrets::DeliveryOrder order;
  order.container_id = reader.id;
  const auto add = [&](const std::string& kind,
                       const auto& mounts) -> absl::Status {
    for (const auto& mount : mounts) {
      ASSIGN_OR_RETURN(secrets::DeliveredFile file,
                       FileOf(reader, kind, mount.name(),
                              versions.at({kind, mount.name()})));
      file.path = mount.path();
      if (mount.mode() != 0) file.mode = mount.mode();
      order.files.push_back(std::move(file));
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(add("secret", reader.container.secrets()));
  RETURN_IF_ERROR(add("config", reader.container.configs()));
  order.before_write = [&] { return Record(reader, versions); };
  absl::StatusOr<std::vector<secrets::DeliveredMount>> mounts =
      delivery_.Deliver(order);
  if (mounts.ok()) return mounts;
  return Annotate(Later(mounts.status()),
                  absl::StrCat("start container ", reader.container.name()));
}

absl::Status InputFiles::Record(const InputReader& reader,
                                const InputVersions& versions) {
  secrets::SecretReads reads;
  for (const auto& [input, version] : versions) {
    if (input.first == "secret")
      reads.secrets.push_back({input.second, version});
  }
  if (reads.secrets.empty()) return absl::OkStatus();
  const std::string note = NoteOf(versions);
  {
    absl::MutexLock lock(&mu_);
    const auto known = recorded_.find(reader.id);
    if (known != recorded_.end() && known->second == note) {
      return absl::OkStatus();
    }
  }
  const v1::ReplicaSpec& spec = reader.replica.spec();
  reads.project = reader.replica.metadata().project();
  reads.owner_kind = spec.job().empty() ? "service" : "job";
  reads.owner = spec.job().empty() ? spec.service() : spec.job();
  reads.slot = spec.slot();
  reads.replica = reader.replica.metadata().name();
  reads.container = reader.container.name();
  if (absl::Status status = record_(reads); !status.ok()) {
    // May pass, whatever it is.
    return absl::UnavailableError(absl::StrCat(
        "record in the audit log that it reads secrets: ", status.message()));
  }
  absl::MutexLock lock(&mu_);
  recorded_[reader.id] = note;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<engine::Mount>> InputFiles::Deliver(
    const InputReader& reader) {
  std::vector<engine::Mount> result;
  if (!ReadsAny(reader.container)) return result;
  ASSIGN_OR_RETURN(const InputVersions versions, VersionsOf(reader));
  ASSIGN_OR_RETURN(const std::vector<secrets::DeliveredMount> mounts,
                   Write(reader, versions));
  RETURN_IF_ERROR(delivery_.SetNote(reader.id, NoteOf(versions)));
  for (const secrets::DeliveredMount& delivered : mounts) {
    engine::Mount mount;
    mount.source = delivered.source;
    mount.destination = delivered.destination;
    mount.read_only = true;
    mount.owned_by_user = true;
    result.push_back(std::move(mount));
  }
  return result;
}

absl::StatusOr<bool> InputFiles::Swap(const InputReader& reader) {
  if (!ReadsAny(reader.container)) return false;
  ASSIGN_OR_RETURN(const InputVersions versions, VersionsOf(reader));
  if (delivery_.NoteOf(reader.id) == NoteOf(versions)) return false;
  RETURN_IF_ERROR(Write(reader, versions).status());
  return true;
}

absl::Status InputFiles::Acknowledge(const InputReader& reader) {
  ASSIGN_OR_RETURN(const InputVersions versions, VersionsOf(reader));
  return delivery_.SetNote(reader.id, NoteOf(versions));
}

absl::Status InputFiles::Withdraw(absl::string_view container_id) {
  {
    absl::MutexLock lock(&mu_);
    const auto known = recorded_.find(container_id);
    if (known != recorded_.end()) recorded_.erase(known);
  }
  return delivery_.Withdraw(container_id);
}

}  // namespace bulwark::scheduler
