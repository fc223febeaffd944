#include "ctl/run_given.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/units.h"
#include "ctl/errors.h"
#include "manifest/shorthand.h"

namespace bulwark::ctl {
namespace {

absl::Status InFlag(absl::string_view flag, const absl::Status& status) {
  if (status.ok()) return status;
  return UsageError(absl::StrCat(flag, ": ", status.message()));
}

// Splits "NAME=value" or, with ':', "NAME:value".
absl::Status Split(absl::string_view flag, const std::string& text, char at,
                   std::string* name, std::string* value) {
  const size_t middle = text.find(at);
  if (middle == 0 || middle == std::string::npos) {
    return UsageError(
        absl::StrCat(flag, " ", text, ": NAME", std::string(1, at), "value"));
  }
  *name = text.substr(0, middle);
  *value = text.substr(middle + 1);
  return absl::OkStatus();
}

}  // namespace

void AddGivenFlags(Command& command, GivenFlags& flags) {
  command
      .Option("--device", flags.devices,
              "/dev/fuse, /dev/sdb:/dev/xvda:r (repeatable)")
      .Option("--ulimit", flags.ulimits, "nofile=4096:8192 (repeatable)")
      .Option("--tmpfs", flags.tmpfs, "/run, /run:size=16Mi (repeatable)")
      .Option("--shm-size", flags.shm_size, "Of /dev/shm, 256Mi")
      .Option("--hostname", flags.hostname, "Default: the replica's name")
      .Option("--add-host", flags.hosts,
              "db:10.1.2.3, host:host-gateway (repeatable)")
      .Option("--sysctl", flags.sysctls, "net.core.somaxconn=1024 (repeatable)")
      .Option("--log-driver", flags.log_driver,
              "local (default), json-file, journald, none");
}

absl::Status FillGiven(const GivenFlags& flags, v1::Container& container) {
  for (const std::string& text : flags.devices) {
    RETURN_IF_ERROR(InFlag(
        "--device", manifest::ReadShortForm(text, *container.add_devices())));
  }
  for (const std::string& text : flags.ulimits) {
    RETURN_IF_ERROR(InFlag(
        "--ulimit", manifest::ReadShortForm(text, *container.add_ulimits())));
  }
  for (const std::string& text : flags.tmpfs) {
    RETURN_IF_ERROR(InFlag(
        "--tmpfs", manifest::ReadShortForm(text, *container.add_tmpfs())));
  }
  for (const std::string& text : flags.hosts) {
    v1::HostEntry& host = *container.add_extra_hosts();
    RETURN_IF_ERROR(Split("--add-host", text, ':', host.mutable_name(),
                          host.mutable_address()));
  }
  for (const std::string& text : flags.sysctls) {
    v1::Sysctl& sysctl = *container.add_sysctls();
    RETURN_IF_ERROR(Split("--sysctl", text, '=', sysctl.mutable_name(),
                          sysctl.mutable_value()));
  }
  if (!flags.shm_size.empty()) {
    const absl::StatusOr<int64_t> size = ParseBytes(flags.shm_size);
    RETURN_IF_ERROR(InFlag("--shm-size", size.status()));
    container.set_shm_size(*size);
  }
  container.set_hostname(flags.hostname);
  if (flags.log_driver.empty()) return absl::OkStatus();
  return InFlag(
      "--log-driver",
      manifest::ReadShortForm(flags.log_driver, *container.mutable_log()));
}

std::string GivenFlagOf(const std::string& field, const GivenFlags& flags) {
  struct List {
    const char* prefix;
    const char* flag;
    const std::vector<std::string>& values;
  };
  const List lists[] = {{"devices[", "--device ", flags.devices},
                        {"ulimits[", "--ulimit ", flags.ulimits},
                        {"tmpfs[", "--tmpfs ", flags.tmpfs},
                        {"extraHosts[", "--add-host ", flags.hosts},
                        {"sysctls[", "--sysctl ", flags.sysctls}};
  for (const List& list : lists) {
    absl::string_view rest = field;
    size_t index;
    if (absl::ConsumePrefix(&rest, list.prefix) &&
        absl::SimpleAtoi(rest.substr(0, rest.find(']')), &index) &&
        index < list.values.size()) {
      return absl::StrCat(list.flag, list.values[index]);
    }
  }
  if (field == "hostname") return "--hostname";
  if (field == "shmSize") return "--shm-size";
  return absl::StartsWith(field, "log") ? "--log-driver" : "";
}

}  // namespace bulwark::ctl
