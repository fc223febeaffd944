#include "manifest/shorthand.h"

#include <string>
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
