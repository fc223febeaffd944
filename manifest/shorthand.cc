#include "manifest/shorthand.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/units.h"
#include "proto/bulwark/v1/container.pb.h"
#include "proto/bulwark/v1/options.pb.h"
#include "proto/bulwark/v1/service.pb.h"

namespace bulwark::manifest {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::Message;

absl::Status Refuse(absl::string_view text, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is not ", expected));
}

// A port from 1 to 65535, in digits only; 0 if it is not one.
int32_t PortNumber(absl::string_view text) {
  int32_t port;
  for (char c : text) {
    if (!absl::ascii_isdigit(c)) return 0;
  }
  if (text.size() > 5 || !absl::SimpleAtoi(text, &port) || port > 65535) {
    return 0;
  }
  return port;
}

// Where an address in front of a port listens.
absl::StatusOr<v1::Port::Listen> ListenOf(absl::string_view address) {
  if (address == "127.0.0.1" || address == "[::1]" || address == "localhost") {
    return v1::Port::LOCALHOST;
  }
  if (address == "0.0.0.0" || address == "[::]" || address == "*" ||
      address == "all") {
    return v1::Port::ALL;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot listen on \"", address,
                   "\" alone: write localhost or all in front of the ports"));
}

absl::Status ReadPort(absl::string_view text, Message& message) {
  auto& port = static_cast<v1::Port&>(message);
  constexpr absl::string_view kExpected =
      "a port such as 80, 8080:80, 127.0.0.1:8080:80 or 8080:80/udp";
  absl::string_view rest = text;
  if (size_t slash = rest.rfind('/'); slash != absl::string_view::npos) {
    const std::string protocol = absl::AsciiStrToLower(rest.substr(slash + 1));
    if (protocol != "tcp" && protocol != "udp") return Refuse(text, kExpected);
    port.set_protocol(protocol == "udp" ? v1::Port::UDP : v1::Port::TCP);
    rest = rest.substr(0, slash);
  }
  size_t colon = rest.rfind(':');
  port.set_container_port(PortNumber(
      colon == absl::string_view::npos ? rest : rest.substr(colon + 1)));
  if (port.container_port() == 0) return Refuse(text, kExpected);
  if (colon == absl::string_view::npos) return absl::OkStatus();
  rest = rest.substr(0, colon);
  colon = rest.rfind(':');
  port.set_host_port(PortNumber(
      colon == absl::string_view::npos ? rest : rest.substr(colon + 1)));
  if (port.host_port() == 0) return Refuse(text, kExpected);
  if (colon == absl::string_view::npos) return absl::OkStatus();
  ASSIGN_OR_RETURN(v1::Port::Listen listen, ListenOf(rest.substr(0, colon)));
  port.set_listen(listen);
  return absl::OkStatus();
}

absl::Status ReadMount(absl::string_view text, Message& message) {
  auto& mount = static_cast<v1::VolumeMount&>(message);
  constexpr absl::string_view kExpected =
      "a mount such as uploads:/var/lib/uploads or ./conf:/etc/app:ro";
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() == 3) {
    if (parts[2] != "ro" && parts[2] != "rw") return Refuse(text, kExpected);
    mount.set_read_only(parts[2] == "ro");
  } else if (parts.size() != 2) {
    return Refuse(text, kExpected);
  }
  const absl::string_view source = parts[0];
  if (source.empty() || !absl::StartsWith(parts[1], "/")) {
    return Refuse(text, kExpected);
  }
  mount.set_path(std::string(parts[1]));
  if (source[0] == '/' || source == "." || source == ".." ||
      absl::StartsWith(source, "./") || absl::StartsWith(source, "../")) {
    mount.set_host_path(std::string(source));
  } else if (absl::StrContains(source, '/') || source[0] == '~') {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", source,
                     "\" is no volume's name: a path of the host starts with "
                     "/, ./ or ../"));
  } else {
    mount.set_volume(std::string(source));
  }
  return absl::OkStatus();
}

absl::Status ReadHttpProbe(absl::string_view text, Message& message) {
  auto& probe = static_cast<v1::HttpProbe&>(message);
  constexpr absl::string_view kExpected =
      "an HTTP probe such as :80/healthz or /healthz";
  absl::string_view rest = text;
  const size_t slash = std::min(rest.find('/'), rest.size());
  absl::string_view port = rest.substr(0, slash);
  rest = rest.substr(slash);
  if (!port.empty()) {
    absl::ConsumePrefix(&port, ":");
    probe.set_port(PortNumber(port));
    if (probe.port() == 0) return Refuse(text, kExpected);
  } else if (rest.empty()) {
    return Refuse(text, kExpected);
  }
  probe.set_path(rest.empty() ? "/" : std::string(rest));
  return absl::OkStatus();
}

absl::Status ReadTcpProbe(absl::string_view text, Message& message) {
  absl::string_view port = text;
  absl::ConsumePrefix(&port, ":");
  const int32_t number = PortNumber(port);
  if (number == 0) return Refuse(text, "a TCP probe such as :80");
  static_cast<v1::TcpProbe&>(message).set_port(number);
  return absl::OkStatus();
}

absl::Status ReadExecProbe(absl::string_view text, Message& message) {
  if (absl::StripAsciiWhitespace(text).empty()) {
    return Refuse(text, "a command");
  }
  auto& probe = static_cast<v1::ExecProbe&>(message);
  probe.add_command("/bin/sh");
  probe.add_command("-c");
  probe.add_command(std::string(text));
  return absl::OkStatus();
}

absl::Status ReadCpu(absl::string_view text, Message& message) {
  ASSIGN_OR_RETURN(int64_t value, ParseMillicores(text));
  auto& cpu = static_cast<v1::Cpu&>(message);
  cpu.set_request(value);
  cpu.set_limit(value);
  return absl::OkStatus();
}

absl::Status ReadMemory(absl::string_view text, Message& message) {
  ASSIGN_OR_RETURN(int64_t value, ParseBytes(text));
  auto& memory = static_cast<v1::Memory&>(message);
  memory.set_request(value);
  memory.set_limit(value);
  return absl::OkStatus();
}

absl::Status ReadName(absl::string_view text, Message& message) {
  if (text.empty()) return Refuse(text, "a name");
  message.GetReflection()->SetString(
      &message, message.GetDescriptor()->FindFieldByName("name"),
      std::string(text));
  return absl::OkStatus();
}

absl::Status ReadConfigMount(absl::string_view text, Message& message) {
  auto& mount = static_cast<v1::ConfigMount&>(message);
  const size_t colon = text.find(':');
  if (colon == 0 || colon == absl::string_view::npos ||
      !absl::StartsWith(text.substr(colon + 1), "/")) {
    return Refuse(text,
                  "a config and its path, such as "
                  "app-conf:/etc/app/app.conf");
  }
  mount.set_name(std::string(text.substr(0, colon)));
  mount.set_path(std::string(text.substr(colon + 1)));
  return absl::OkStatus();
}

// Of "r", "w" and "m", each at most once.
bool IsAccess(absl::string_view text) {
  if (text.empty() || text.size() > 3) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (!absl::StrContains("rwm", text.substr(i, 1)) ||
        absl::StrContains(text.substr(0, i), text.substr(i, 1))) {
      return false;
    }
  }
  return true;
}

absl::Status ReadDevice(absl::string_view text, Message& message) {
  auto& device = static_cast<v1::DeviceMount&>(message);
  constexpr absl::string_view kExpected =
      "a device such as /dev/fuse or /dev/sdb:/dev/xvda:r";
  std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() > 3 || !absl::StartsWith(parts[0], "/")) {
    return Refuse(text, kExpected);
  }
  device.set_host_path(std::string(parts[0]));
  if (parts.size() > 1 && IsAccess(parts.back())) {
    device.set_access(std::string(parts.back()));
    parts.pop_back();
  }
  if (parts.size() == 3) return Refuse(text, kExpected);
  if (parts.size() == 2) {
    if (!absl::StartsWith(parts[1], "/")) return Refuse(text, kExpected);
    device.set_path(std::string(parts[1]));
  }
  return absl::OkStatus();
}

bool ReadLimit(absl::string_view text, int64_t* limit) {
  if (text == "unlimited" || text == "-1") {
    *limit = -1;
    return true;
  }
  return !text.empty() && absl::ascii_isdigit(text[0]) &&
         absl::SimpleAtoi(text, limit);
}

// The name stands before the limits, or was a mapping's key.
absl::Status ReadUlimit(absl::string_view text, Message& message) {
  auto& ulimit = static_cast<v1::Ulimit&>(message);
  const bool named = !ulimit.name().empty();
  const absl::string_view expected =
      named ? "a limit such as 4096, 4096:8192 or unlimited"
            : "a limit such as nofile=4096 or nofile=4096:8192";
  absl::string_view rest = text;
  if (!named) {
    const size_t equals = rest.find('=');
    if (equals == 0 || equals == absl::string_view::npos) {
      return Refuse(text, expected);
    }
    ulimit.set_name(std::string(rest.substr(0, equals)));
    rest = rest.substr(equals + 1);
  }
  const size_t colon = std::min(rest.find(':'), rest.size());
  int64_t limit;
  if (!ReadLimit(rest.substr(0, colon), &limit)) return Refuse(text, expected);
  ulimit.set_soft(limit);
  if (colon == rest.size()) return absl::OkStatus();
  if (!ReadLimit(rest.substr(colon + 1), &limit)) return Refuse(text, expected);
  ulimit.set_hard(limit);
  return absl::OkStatus();
}

// Octal, at most 07777.
bool ReadMode(absl::string_view text, uint32_t* mode) {
  if (text.empty() || text.size() > 5) return false;
  *mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return false;
    *mode = *mode * 8 + static_cast<uint32_t>(c - '0');
  }
  return *mode <= 07777;
}

absl::Status ReadTmpfs(absl::string_view text, Message& message) {
  auto& tmpfs = static_cast<v1::TmpfsMount&>(message);
  constexpr absl::string_view kExpected =
      "a file system in memory such as /run or /run:size=16Mi,mode=0755";
  const size_t colon = std::min(text.find(':'), text.size());
  if (!absl::StartsWith(text, "/")) return Refuse(text, kExpected);
  tmpfs.set_path(std::string(text.substr(0, colon)));
  if (colon == text.size()) return absl::OkStatus();
  for (absl::string_view option : absl::StrSplit(text.substr(colon + 1), ',')) {
    uint32_t mode;
    if (absl::ConsumePrefix(&option, "size=")) {
      ASSIGN_OR_RETURN(const int64_t size, ParseBytes(option));
      tmpfs.set_size(size);
    } else if (absl::ConsumePrefix(&option, "mode=") &&
               ReadMode(option, &mode)) {
      tmpfs.set_mode(mode);
    } else {
      return Refuse(text, kExpected);
    }
  }
  return absl::OkStatus();
}

absl::Status ReadLogging(absl::string_view text, Message& message) {
  constexpr std::pair<absl::string_view, v1::Logging::Driver> kDrivers[] = {
      {"local", v1::Logging::LOCAL},
      {"json-file", v1::Logging::JSON_FILE},
      {"journald", v1::Logging::JOURNALD},
      {"none", v1::Logging::NONE}};
  for (const auto& [name, driver] : kDrivers) {
    if (text != name) continue;
    static_cast<v1::Logging&>(message).set_driver(driver);
    return absl::OkStatus();
  }
  return Refuse(text, "one of local, json-file, journald and none");
}

struct Form {
  absl::string_view name;
  absl::string_view example;
  absl::Status (*read)(absl::string_view, Message&);
};

constexpr Form kForms[] = {
    {"port", "8080:80", ReadPort},
    {"mount", "uploads:/var/lib/uploads", ReadMount},
    {"http-probe", ":80/healthz", ReadHttpProbe},
    {"tcp-probe", ":80", ReadTcpProbe},
    {"exec-probe", "test -f /tmp/ready", ReadExecProbe},
    {"cpu", "500m", ReadCpu},
    {"memory", "64Mi", ReadMemory},
    {"name", "NAME", ReadName},
    {"config-mount", "app-conf:/etc/app/app.conf", ReadConfigMount},
    {"device", "/dev/fuse", ReadDevice},
    {"ulimit", "nofile=4096:8192", ReadUlimit},
    {"tmpfs", "/run:size=16Mi", ReadTmpfs},
    {"logging", "json-file", ReadLogging},
};

const Form* FindForm(const Descriptor& type) {
  const std::string& name = type.options().GetExtension(v1::short_form);
  for (const Form& form : kForms) {
    if (form.name == name) return &form;
  }
  return nullptr;
}

}  // namespace

absl::Status ReadShortForm(absl::string_view text, Message& message) {
  const Form* form = FindForm(*message.GetDescriptor());
  if (form == nullptr) {
    return absl::InvalidArgumentError("has no short form");
  }
  return form->read(text, message);
}

bool HasShortForm(const Descriptor& type) { return FindForm(type) != nullptr; }

absl::string_view ShortFormExample(const Descriptor& type) {
  const Form* form = FindForm(type);
  return form == nullptr ? "" : form->example;
}

}  // namespace bulwark::manifest
