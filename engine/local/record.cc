#include "engine/local/record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/child/frame.h"
#include "engine/child/wire.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

using child::FrameReader;

constexpr uint16_t kProcessRecordType = 64;
constexpr int64_t kMaxRecord = 16 << 20;

// Tags of our own records; part of the format.
enum OwnTag : uint16_t {
  kTagId = child::kTagFirstOfRecord,
  kTagLabel,  // repeated: name, NUL, value
  kTagUpperDir,
  kTagEnv,  // repeated
  kTagUser,
  kTagCwd,
  kTagProfile,
  kTagCpuLimit,
  kTagCpuRequest,
  kTagMemoryLimit,
  kTagPidsLimit,
  kTagFirstId = child::kTagFirstOfRecord + 32,
  kTagIdCount,
  kTagAddCapabilities,
  kTagDropCapabilities,
  kTagLogDriver = 89,
  kTagUlimit = 90,  // repeated: resource, soft, hard, 8 bytes each
  kTagLayer = child::kTagFirstOfRecord + 48,  // repeated, lowest first
};

// How profiles stand on disk, whatever their order in the program.
constexpr std::pair<SecurityProfile, uint64_t> kProfiles[] = {
    {SecurityProfile::kBaseline, 0},
    {SecurityProfile::kBuild, 1},
    {SecurityProfile::kPrivileged, 2},
    {SecurityProfile::kRestricted, 3},
};

uint64_t ProfileNumber(SecurityProfile profile) {
  for (const auto& [known, number] : kProfiles) {
    if (known == profile) return number;
  }
  return ~uint64_t{0};
}

absl::StatusOr<SecurityProfile> ProfileOf(uint64_t number) {
  for (const auto& [profile, known] : kProfiles) {
    if (known == number) return profile;
  }
  return absl::DataLossError("read process record: unknown profile");
}

// A frame of any size.
class Encoder {
 public:
  explicit Encoder(uint16_t type) : bytes_(child::kFrameHeader, '\0') {
    child::PutInt(At(4), child::kWireVersion, 2);
    child::PutInt(At(6), type, 2);
  }
  void Bytes(uint16_t tag, absl::string_view value) {
    const size_t at = bytes_.size();
    bytes_.append(child::kFieldHeader, '\0');
    child::PutInt(At(at), tag, 2);
    child::PutInt(At(at + 4), value.size(), 4);
    bytes_.append(value.data(), value.size());
  }
  void Int(uint16_t tag, uint64_t value) {
    char bytes[8];
    child::PutInt(reinterpret_cast<uint8_t*>(bytes), value, 8);
    Bytes(tag, absl::string_view(bytes, 8));
  }
  std::string Seal() {
    child::PutInt(At(0), bytes_.size() - 4, 4);
    const uint64_t sum = child::Checksum(At(0), bytes_.size());
    bytes_.append(8, '\0');
    child::PutInt(At(bytes_.size() - 8), sum, 8);
    return std::move(bytes_);
  }

 private:
  uint8_t* At(size_t offset) {
    return reinterpret_cast<uint8_t*>(bytes_.data()) + offset;
  }
  std::string bytes_;
};

absl::StatusOr<FrameReader> OpenSealed(absl::string_view bytes, uint16_t type,
                                       absl::string_view what) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const uint16_t version = child::FrameVersion(data, bytes.size());
  if (version > child::kWireVersion) {
    return absl::UnimplementedError(absl::StrCat(
        "read ", what, " record: it is of version ", version,
        " of the shim protocol, known is version ", child::kWireVersion));
  }
  FrameReader reader = FrameReader::Sealed(data, bytes.size());
  if (!reader.valid() || reader.type() != type) {
    return absl::DataLossError(
        absl::StrCat("read ", what, " record: it is not whole"));
  }
  return reader;
}

std::string Text(const FrameReader& reader) {
  return std::string(reinterpret_cast<const char*>(reader.value()),
                     reader.value_size());
}

absl::Time Time(const FrameReader& reader) {
  return absl::FromUnixNanos(static_cast<int64_t>(reader.Int()));
}

template <typename T>
absl::StatusOr<T> ReadRecord(const std::string& path,
                             absl::StatusOr<T> (*decode)(absl::string_view)) {
  ASSIGN_OR_RETURN(const std::string bytes, os::ReadFile(path, kMaxRecord));
  absl::StatusOr<T> record = decode(bytes);
  if (!record.ok()) return Annotate(record.status(), path);
  return record;
}

}  // namespace

std::string Encode(const ContainerRecord& record) {
  Encoder e(child::kMsgContainerRecord);
  e.Bytes(kTagId, record.id);
  e.Bytes(child::kTagBootId, record.boot_id);
  e.Bytes(kTagUpperDir, record.upper_dir);
  e.Int(kTagCpuLimit, record.resources.cpu_limit_millicores);
  e.Int(kTagCpuRequest, record.resources.cpu_request_millicores);
  e.Int(kTagMemoryLimit, record.resources.memory_limit_bytes);
  e.Int(kTagPidsLimit, record.resources.pids_limit);
  e.Int(kTagLogDriver, static_cast<uint64_t>(record.log_driver));
  if (record.ids.size != 0) {
    e.Int(kTagFirstId, record.ids.first);
    e.Int(kTagIdCount, record.ids.size);
  }
  for (const std::string& layer : record.layers) e.Bytes(kTagLayer, layer);
  for (const auto& [name, value] : record.labels) {
    e.Bytes(kTagLabel, absl::StrCat(name, std::string(1, '\0'), value));
  }
  return e.Seal();
}

absl::StatusOr<ContainerRecord> DecodeContainer(absl::string_view bytes) {
  ASSIGN_OR_RETURN(FrameReader r,
                   OpenSealed(bytes, child::kMsgContainerRecord, "container"));
  ContainerRecord record;
  while (r.Next()) {
    const std::string text = Text(r);
    if (r.tag() == kTagId) record.id = text;
    if (r.tag() == child::kTagBootId) record.boot_id = text;
    if (r.tag() == kTagUpperDir) record.upper_dir = text;
    Resources& limits = record.resources;
    if (r.tag() == kTagCpuLimit) limits.cpu_limit_millicores = r.Int();
    if (r.tag() == kTagCpuRequest) limits.cpu_request_millicores = r.Int();
    if (r.tag() == kTagMemoryLimit) limits.memory_limit_bytes = r.Int();
    if (r.tag() == kTagPidsLimit) limits.pids_limit = r.Int();
    if (r.tag() == kTagLogDriver) {
      if (r.Int() > static_cast<uint64_t>(LogDriver::kNone)) {
        return absl::DataLossError("read container record: unknown log driver");
      }
      record.log_driver = static_cast<LogDriver>(r.Int());
    }
    if (r.tag() == kTagFirstId) record.ids.first = r.Int();
    if (r.tag() == kTagIdCount) record.ids.size = r.Int();
    if (r.tag() == kTagLayer) record.layers.push_back(text);
    const size_t nul = text.find('\0');
    if (r.tag() == kTagLabel && nul != std::string::npos) {
      record.labels[text.substr(0, nul)] = text.substr(nul + 1);
    }
  }
  return record;
}

std::string Encode(const ProcessRecord& record) {
  Encoder e(kProcessRecordType);
  for (const std::string& entry : record.env) e.Bytes(kTagEnv, entry);
  e.Bytes(kTagUser, record.user);
  e.Bytes(kTagCwd, record.cwd);
  e.Int(kTagProfile, ProfileNumber(record.profile));
  e.Int(kTagAddCapabilities, record.add_capabilities);
  e.Int(kTagDropCapabilities, record.drop_capabilities);
  e.Int(kTagFirstId, record.ids.first);
  e.Int(kTagIdCount, record.ids.size);
  for (const Ulimit& ulimit : record.ulimits) {
    char bytes[24];
    auto* out = reinterpret_cast<uint8_t*>(bytes);
    child::PutInt(out, static_cast<uint64_t>(ulimit.resource), 8);
    child::PutInt(out + 8, ulimit.soft, 8);
    child::PutInt(out + 16, ulimit.hard, 8);
    e.Bytes(kTagUlimit, absl::string_view(bytes, sizeof(bytes)));
  }
  return e.Seal();
}

absl::StatusOr<ProcessRecord> DecodeProcess(absl::string_view bytes) {
  ASSIGN_OR_RETURN(FrameReader r,
                   OpenSealed(bytes, kProcessRecordType, "process"));
  ProcessRecord record;
  while (r.Next()) {
    if (r.tag() == kTagEnv) record.env.push_back(Text(r));
    if (r.tag() == kTagUser) record.user = Text(r);
    if (r.tag() == kTagCwd) record.cwd = Text(r);
    if (r.tag() == kTagAddCapabilities) record.add_capabilities = r.Int();
    if (r.tag() == kTagDropCapabilities) record.drop_capabilities = r.Int();
    if (r.tag() == kTagFirstId) record.ids.first = r.Int();
    if (r.tag() == kTagIdCount) record.ids.size = r.Int();
    if (r.tag() == kTagUlimit && r.value_size() == 24) {
      record.ulimits.push_back({static_cast<int>(child::GetInt(r.value(), 8)),
                                child::GetInt(r.value() + 8, 8),
                                child::GetInt(r.value() + 16, 8)});
    }
    if (r.tag() == kTagProfile) {
      ASSIGN_OR_RETURN(record.profile, ProfileOf(r.Int()));
    }
  }
  return record;
}

absl::StatusOr<StateRecord> DecodeState(absl::string_view bytes) {
  ASSIGN_OR_RETURN(FrameReader r,
                   OpenSealed(bytes, child::kMsgStateRecord, "state"));
  StateRecord s;
  while (r.Next()) {
    const int pid = static_cast<int>(r.Int());
    if (r.tag() == child::kTagPhase) s.running = pid == child::kPhaseRunning;
    if (r.tag() == child::kTagShimPid) s.shim.pid = pid;
    if (r.tag() == child::kTagShimTicks) s.shim.start_ticks = r.Int();
    if (r.tag() == child::kTagInitPid) s.init.pid = pid;
    if (r.tag() == child::kTagInitTicks) s.init.start_ticks = r.Int();
    if (r.tag() == child::kTagBootId) s.boot_id = Text(r);
    if (r.tag() == child::kTagStartTime) s.start_time = Time(r);
  }
  return s;
}

std::string Encode(const ExitRecord& record) {
  Encoder e(child::kMsgExitRecord);
  e.Int(child::kTagCode, static_cast<uint64_t>(record.exit.code));
  e.Int(child::kTagSignal, static_cast<uint64_t>(record.exit.signal));
  e.Int(child::kTagOomKilled, record.exit.oom_killed);
  e.Int(child::kTagFinishTime, absl::ToUnixNanos(record.exit.finish_time));
  e.Int(child::kTagStartTime, absl::ToUnixNanos(record.start_time));
  e.Int(child::kTagInitPid, static_cast<uint64_t>(record.pid));
  if (!record.exit.unknown_reason.empty()) {
    e.Bytes(child::kTagUnknownReason, record.exit.unknown_reason);
  }
  return e.Seal();
}

absl::StatusOr<ExitRecord> DecodeExit(absl::string_view bytes) {
  ASSIGN_OR_RETURN(FrameReader r,
                   OpenSealed(bytes, child::kMsgExitRecord, "exit"));
  ExitRecord record;
  while (r.Next()) {
    const int number = static_cast<int>(r.Int());
    if (r.tag() == child::kTagCode) record.exit.code = number;
    if (r.tag() == child::kTagSignal) record.exit.signal = number;
    if (r.tag() == child::kTagOomKilled) record.exit.oom_killed = number != 0;
    if (r.tag() == child::kTagFinishTime) record.exit.finish_time = Time(r);
    if (r.tag() == child::kTagStartTime) record.start_time = Time(r);
    if (r.tag() == child::kTagInitPid) record.pid = number;
    if (r.tag() == child::kTagUnknownReason) {
      record.exit.unknown_reason = Text(r);
    }
  }
  return record;
}

absl::StatusOr<ContainerRecord> ReadContainer(const ContainerDirs& dirs) {
  return ReadRecord(dirs.Record(), &DecodeContainer);
}
absl::StatusOr<ProcessRecord> ReadProcess(const ContainerDirs& dirs) {
  return ReadRecord(dirs.Process(), &DecodeProcess);
}
absl::StatusOr<StateRecord> ReadState(const ContainerDirs& dirs) {
  return ReadRecord(dirs.State(), &DecodeState);
}
absl::StatusOr<ExitRecord> ReadExit(const ContainerDirs& dirs) {
  return ReadRecord(dirs.Exit(), &DecodeExit);
}

}  // namespace bulwark::engine
