#include "daemon/check_config.h"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/status.h"
#include "engine/image/signature/policy.h"
#include "metrics/server.h"
#include "netmesh/dns/forwarder.h"
#include "os/ip_address.h"
#include "os/kernel.h"

namespace bulwark::daemon {
namespace {

constexpr size_t kMaxInstance = 12;
// Unix socket paths hold 107 bytes; the longest below the runtime directory
// is that of a shim.
constexpr size_t kMaxRuntimeDir = 40;
constexpr size_t kMaxSocket = 100;
constexpr int kMaxWorkers = 1024;

absl::Status Bad(absl::string_view flag, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", why));
}

absl::Status CheckAbsolute(absl::string_view flag, const std::string& path) {
  if (!absl::StartsWith(path, "/")) {
    return Bad(flag, absl::StrCat("\"", path, "\" is not an absolute path"));
  }
  return absl::OkStatus();
}

absl::Status CheckPaths(const Config& config) {
  RETURN_IF_ERROR(CheckAbsolute("state-dir", config.state_dir));
  RETURN_IF_ERROR(CheckAbsolute("runtime-dir", config.runtime_dir));
  RETURN_IF_ERROR(CheckAbsolute("socket", config.socket));
  RETURN_IF_ERROR(CheckAbsolute("bin-dir", config.bin_dir));
  RETURN_IF_ERROR(CheckAbsolute("key-file", config.key_file));
  for (const std::string& folder : {config.state_dir, config.runtime_dir}) {
    if (!absl::StartsWith(config.key_file, folder + "/")) continue;
    return Bad("key-file",
               absl::StrCat(config.key_file, " is in ", folder,
                            ": a copy of that would hold the secrets and "
                            "their key; keep the key elsewhere"));
  }
  if (config.runtime_dir.size() > kMaxRuntimeDir) {
    return Bad("runtime-dir",
               absl::StrCat("at most ", kMaxRuntimeDir,
                            " characters, since sockets live below it"));
  }
  if (config.socket.size() > kMaxSocket) {
    return Bad("socket", absl::StrCat("at most ", kMaxSocket, " characters"));
  }
  return absl::OkStatus();
}

absl::Status CheckPrograms(const Config& config) {
  for (const char* program :
       {"bulwark-shim", "bulwark-keeper", "bulwark-proxy"}) {
    const std::string path = absl::StrCat(config.bin_dir, "/", program);
    struct stat info;
    std::string why;
    if (stat(path.c_str(), &info) != 0) {
      why = std::strerror(errno);
    } else if (!S_ISREG(info.st_mode) || access(path.c_str(), X_OK) != 0) {
      why = "it is not an executable file";
    }
    if (why.empty()) continue;
    return Bad("bin-dir",
               absl::StrCat("cannot use ", path, ": ", why,
                            "; install bulwark-shim, bulwark-keeper and "
                            "bulwark-proxy in one folder, beside bulwarkd or "
                            "where --bin-dir says"));
  }
  return absl::OkStatus();
}

absl::Status CheckGroup(const std::string& name) {
  gid_t id = 0;
  if (name.empty() || absl::SimpleAtoi(name, &id) ||
      getgrnam(name.c_str()) != nullptr) {
    return absl::OkStatus();
  }
  return Bad("socket-group", absl::StrCat("there is no group \"", name,
                                          "\" on this host; groupadd --system ",
                                          name, " makes it"));
}

absl::Status CheckSubnets(const Config& config) {
  struct Flag {
    const char* name;
    const std::string& text;
    int most_bits;
    const char* needs;
  };
  const Flag flags[] = {
      {"container-pool", config.container_pool, 22,
       "each network takes a /22 of it"},
      {"virtual-pool", config.virtual_pool, 30,
       "each service takes an address of it"},
      {"uplink-subnet", config.uplink_subnet, 30, "it holds two hosts"},
      {"build-subnet", config.build_subnet, 30,
       "each build that runs takes an address of it"}};
  std::vector<std::pair<const char*, os::Subnet>> seen;
  for (const Flag& flag : flags) {
    absl::StatusOr<os::Subnet> subnet = os::Subnet::Parse(flag.text);
    if (!subnet.ok()) return Bad(flag.name, subnet.status().message());
    if (subnet->base.family != AF_INET) {
      return Bad(flag.name, absl::StrCat(flag.text, " is not IPv4"));
    }
    if (subnet->bits > flag.most_bits) {
      return Bad(flag.name,
                 absl::StrCat(flag.text, " is too small: ", flag.needs,
                              "; use a /", flag.most_bits, " or larger"));
    }
    for (const auto& [name, other] : seen) {
      if (!subnet->Overlaps(other)) continue;
      return Bad(flag.name,
                 absl::StrCat(flag.text, " overlaps --", name, " ",
                              other.ToString(), "; use a subnet of its own"));
    }
    seen.emplace_back(flag.name, *subnet);
  }
  return absl::OkStatus();
}

// HOST or HOST:PORT.
absl::Status CheckRegistry(const std::string& text) {
  const bool plain =
      !text.empty() && text.find_first_not_of(
                           "abcdefghijklmnopqrstuvwxyz"
                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                           "0123456789.-_:[]") == std::string::npos;
  if (plain) return absl::OkStatus();
  return Bad("insecure-registry",
             absl::StrCat("\"", text,
                          "\" is not HOST or HOST:PORT, such as "
                          "registry.lan:5000"));
}

absl::Status CheckMetrics(const Config& config) {
  if (config.metrics_listen.empty()) return absl::OkStatus();
  const absl::Status status = metrics::CheckAddresses(config.metrics_listen);
  return status.ok() ? status : Bad("metrics-listen", status.message());
}

absl::Status CheckWord(absl::string_view flag, const std::string& word,
                       std::initializer_list<const char*> words) {
  for (const char* known : words) {
    if (word == known) return absl::OkStatus();
  }
  return Bad(flag, absl::StrCat("\"", word, "\" is none of ",
                                absl::StrJoin(words, ", ")));
}

absl::Status CheckProxy(const Config& config) {
  if (config.proxy_workers < 0 || config.proxy_workers > kMaxWorkers) {
    return Bad("proxy-workers",
               absl::StrCat(config.proxy_workers, " is not 1 to ", kMaxWorkers,
                            ", or 0 for one for each processor"));
  }
  return CheckWord("proxy-engine", config.proxy_engine,
                   {"auto", "io_uring", "epoll"});
}

absl::Status CheckIds(const Config& config) {
  if (config.id_base == 0) return absl::OkStatus();
  constexpr int kLowest = 65536;
  constexpr int kHighest = kEndOfIds - kLowest;
  if (config.id_base >= kLowest && config.id_base <= kHighest) {
    return absl::OkStatus();
  }
  return Bad("id-base",
             absl::StrCat(config.id_base, " is not ", kLowest, " to ", kHighest,
                          ", or 0 for the host's users"));
}

absl::Status CheckImageCollection(const Config& config) {
  if (config.image_gc_start < 1 || config.image_gc_start > 100) {
    return Bad("image-gc-start",
               absl::StrCat(config.image_gc_start, " is not 1 to 100 percent"));
  }
  if (config.image_gc_stop < 0 ||
      config.image_gc_stop >= config.image_gc_start) {
    return Bad("image-gc-stop",
               absl::StrCat(config.image_gc_stop,
                            " is not 0 to less than --image-gc-start ",
                            config.image_gc_start));
  }
  return absl::OkStatus();
}

absl::Status CheckRegistryPace(const Config& config) {
  if (config.registry_stall_timeout < 1 ||
      config.registry_stall_timeout > 3600) {
    return Bad("registry-stall-timeout",
               absl::StrCat(config.registry_stall_timeout,
                            " is not 1 to 3600 seconds"));
  }
  if (config.registry_min_rate < 0) {
    return Bad("registry-min-rate", absl::StrCat(config.registry_min_rate,
                                                 " is less than 0"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckConfig(const Config& config) {
  RETURN_IF_ERROR(CheckPaths(config));
  if (config.instance.empty() || config.instance.size() > kMaxInstance ||
      config.instance.find_first_not_of(
          "abcdefghijklmnopqrstuvwxyz0123456789") != std::string::npos) {
    return Bad("instance",
               absl::StrCat("1 to ", kMaxInstance, " characters of [a-z0-9]"));
  }
  RETURN_IF_ERROR(CheckSubnets(config));
  for (const std::string& server : config.dns_upstreams) {
    const auto parsed = netmesh::dns::ParseUpstream(server);
    if (!parsed.ok()) return Bad("dns-upstream", parsed.status().message());
  }
  for (const std::string& registry : config.insecure_registries) {
    RETURN_IF_ERROR(CheckRegistry(registry));
  }
  if (const auto mirrors = MirrorsOf(config.registry_mirrors); !mirrors.ok()) {
    return Bad("registry-mirror", mirrors.status().message());
  }
  if (!config.certs_dir.empty()) {
    RETURN_IF_ERROR(CheckAbsolute("certs-dir", config.certs_dir));
  }
  RETURN_IF_ERROR(CheckRegistryPace(config));
  const absl::Status signatures =
      engine::image::SignaturePolicy::Parse(config.required_signatures)
          .status();
  if (!signatures.ok()) return Bad("require-signature", signatures.message());
  if (!config.max_kernel.empty()) {
    const auto version = os::ParseKernelVersion(config.max_kernel);
    if (!version.ok()) return Bad("max-kernel", version.status().message());
  }
  RETURN_IF_ERROR(CheckIds(config));
  RETURN_IF_ERROR(CheckImageCollection(config));
  RETURN_IF_ERROR(CheckProxy(config));
  RETURN_IF_ERROR(CheckMetrics(config));
  RETURN_IF_ERROR(CheckWord("log-level", config.log_level,
                            {"debug", "info", "warn", "error"}));
  RETURN_IF_ERROR(CheckWord("log-format", config.log_format, {"text", "json"}));
  RETURN_IF_ERROR(CheckGroup(config.socket_group));
  return CheckPrograms(config);
}

}  // namespace bulwark::daemon
