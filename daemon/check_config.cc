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

// Looks at one thing after the other, and keeps what is wrong.
class Checker {
 public:
  explicit Checker(const Config& config) : config_(config) {}

  void CheckPaths();
  void CheckInstance();
  void CheckSubnets();
  void CheckNames();
  void CheckRegistries();
  void CheckIds();
  void CheckImageCollection();
  void CheckProxy();
  void CheckWords();
  void CheckPrograms();

  absl::Status Result() const {
    if (faults_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrJoin(faults_, "\n"));
  }

 private:
  // A setting as it was given: by the file, or by a flag or not at all.
  std::string Name(absl::string_view flag) const {
    return absl::StrCat(config_.places.count(std::string(flag)) > 0 ? "" : "--",
                        flag);
  }
  // Where the file says it, or the flag.
  void Bad(absl::string_view flag, absl::string_view why) {
    const auto place = config_.places.find(std::string(flag));
    faults_.push_back(
        place == config_.places.end()
            ? absl::StrCat(Name(flag), ": ", why)
            : absl::StrCat(place->second, ": ", Name(flag), ": ", why));
  }
  void CheckAbsolute(absl::string_view flag, const std::string& path) {
    if (absl::StartsWith(path, "/")) return;
    Bad(flag, absl::StrCat("\"", path, "\" is not an absolute path"));
  }
  void CheckWord(absl::string_view flag, const std::string& word,
                 std::initializer_list<const char*> words) {
    for (const char* known : words) {
      if (word == known) return;
    }
    Bad(flag,
        absl::StrCat("\"", word, "\" is none of ", absl::StrJoin(words, ", ")));
  }
  void CheckRange(absl::string_view flag, int value, int least, int most,
                  absl::string_view what) {
    if (value >= least && value <= most) return;
    Bad(flag, absl::StrCat(value, " is not ", least, " to ", most, what));
  }

  const Config& config_;
  std::vector<std::string> faults_;
};

void Checker::CheckPaths() {
  CheckAbsolute("state-dir", config_.state_dir);
  CheckAbsolute("runtime-dir", config_.runtime_dir);
  // Not those that only follow from the two.
  if (!absl::StartsWith(config_.socket, config_.runtime_dir)) {
    CheckAbsolute("socket", config_.socket);
  }
  if (!absl::StartsWith(config_.key_file, config_.state_dir)) {
    CheckAbsolute("key-file", config_.key_file);
  }
  if (!config_.certs_dir.empty()) CheckAbsolute("certs-dir", config_.certs_dir);
  for (const std::string& folder : {config_.state_dir, config_.runtime_dir}) {
    if (!absl::StartsWith(config_.key_file, folder + "/")) continue;
    Bad("key-file", absl::StrCat(config_.key_file, " is in ", folder,
                                 ": a copy of that would hold the secrets and "
                                 "their key; keep the key elsewhere"));
  }
  if (config_.runtime_dir.size() > kMaxRuntimeDir) {
    Bad("runtime-dir",
        absl::StrCat("at most ", kMaxRuntimeDir,
                     " characters, since sockets live below it"));
  }
  if (config_.socket.size() > kMaxSocket) {
    Bad("socket", absl::StrCat("at most ", kMaxSocket, " characters"));
  }
}

void Checker::CheckInstance() {
  const std::string& name = config_.instance;
  if (name.empty() || name.size() > kMaxInstance ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") !=
          std::string::npos) {
    Bad("instance",
        absl::StrCat("1 to ", kMaxInstance, " characters of [a-z0-9]"));
  }
}

void Checker::CheckPrograms() {
  if (!absl::StartsWith(config_.bin_dir, "/")) {
    return CheckAbsolute("bin-dir", config_.bin_dir);
  }
  for (const char* program :
       {"bulwark-shim", "bulwark-keeper", "bulwark-proxy"}) {
    const std::string path = absl::StrCat(config_.bin_dir, "/", program);
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
                            "where ",
                            Name("bin-dir"), " says"));
  }
}

void Checker::CheckSubnets() {
  struct Flag {
    const char* name;
    const std::string& text;
    int most_bits;
    const char* needs;
  };
  const Flag flags[] = {
      {"container-pool", config_.container_pool, 22,
       "each network takes a /22 of it"},
      {"virtual-pool", config_.virtual_pool, 30,
       "each service takes an address of it"},
      {"uplink-subnet", config_.uplink_subnet, 30, "it holds two hosts"},
      {"build-subnet", config_.build_subnet, 30,
       "each build that runs takes an address of it"}};
  std::vector<std::pair<const char*, os::Subnet>> seen;
  for (const Flag& flag : flags) {
    absl::StatusOr<os::Subnet> subnet = os::Subnet::Parse(flag.text);
    if (!subnet.ok()) {
      Bad(flag.name, subnet.status().message());
      continue;
    }
    if (subnet->base.family != AF_INET) {
      Bad(flag.name, absl::StrCat(flag.text, " is not IPv4"));
      continue;
    }
    if (subnet->bits > flag.most_bits) {
      Bad(flag.name, absl::StrCat(flag.text, " is too small: ", flag.needs,
                                  "; use a /", flag.most_bits, " or larger"));
    }
    for (const auto& [name, other] : seen) {
      if (!subnet->Overlaps(other)) continue;
      Bad(flag.name,
          absl::StrCat(flag.text, " overlaps ", Name(name), " ",
                       other.ToString(), "; use a subnet of its own"));
    }
    seen.emplace_back(flag.name, *subnet);
  }
}

// What is looked up, or listened on, by name or address.
void Checker::CheckNames() {
  for (const std::string& server : config_.dns_upstreams) {
    const auto parsed = netmesh::dns::ParseUpstream(server);
    if (!parsed.ok()) Bad("dns-upstream", parsed.status().message());
  }
  if (!config_.metrics_listen.empty()) {
    const absl::Status status = metrics::CheckAddresses(config_.metrics_listen);
    if (!status.ok()) Bad("metrics-listen", status.message());
  }
  const std::string& group = config_.socket_group;
  gid_t id = 0;
  if (!group.empty() && !absl::SimpleAtoi(group, &id) &&
      getgrnam(group.c_str()) == nullptr) {
    Bad("socket-group", absl::StrCat("there is no group \"", group,
                                     "\" on this host; groupadd --system ",
                                     group, " makes it"));
  }
}

void Checker::CheckRegistries() {
  for (const std::string& text : config_.insecure_registries) {
    if (!text.empty() &&
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789.-_:[]") == std::string::npos) {
      continue;
    }
    Bad("insecure-registry", absl::StrCat("\"", text,
                                          "\" is not HOST or HOST:PORT, such "
                                          "as registry.lan:5000"));
  }
  if (const auto mirrors = MirrorsOf(config_.registry_mirrors); !mirrors.ok()) {
    Bad("registry-mirror", mirrors.status().message());
  }
  CheckRange("registry-stall-timeout", config_.registry_stall_timeout, 1, 3600,
             " seconds");
  if (config_.registry_min_rate < 0) {
    Bad("registry-min-rate",
        absl::StrCat(config_.registry_min_rate, " is less than 0"));
  }
  const absl::Status signatures =
      engine::image::SignaturePolicy::Parse(config_.required_signatures)
          .status();
  if (!signatures.ok()) Bad("require-signature", signatures.message());
}

void Checker::CheckIds() {
  if (config_.id_base == 0) return;
  constexpr int kLowest = 65536;
  CheckRange("id-base", config_.id_base, kLowest, kEndOfIds - kLowest,
             ", or 0 for the host's users");
}

void Checker::CheckImageCollection() {
  CheckRange("image-gc-start", config_.image_gc_start, 1, 100, " percent");
  if (config_.image_gc_stop < 0 ||
      config_.image_gc_stop >= config_.image_gc_start) {
    Bad("image-gc-stop",
        absl::StrCat(config_.image_gc_stop, " is not 0 to less than ",
                     Name("image-gc-start"), " ", config_.image_gc_start));
  }
}

void Checker::CheckProxy() {
  if (config_.proxy_workers != 0) {
    CheckRange("proxy-workers", config_.proxy_workers, 1, kMaxWorkers,
               ", or 0 for one for each processor");
  }
}

void Checker::CheckWords() {
  CheckWord("proxy-engine", config_.proxy_engine,
            {"auto", "io_uring", "epoll"});
  CheckWord("log-level", config_.log_level, {"debug", "info", "warn", "error"});
  CheckWord("log-format", config_.log_format, {"text", "json"});
  if (config_.max_kernel.empty()) return;
  const auto version = os::ParseKernelVersion(config_.max_kernel);
  if (!version.ok()) Bad("max-kernel", version.status().message());
}

}  // namespace

absl::Status CheckConfig(const Config& config) {
  Checker checker(config);
  checker.CheckPaths();
  checker.CheckInstance();
  checker.CheckSubnets();
  checker.CheckNames();
  checker.CheckRegistries();
  checker.CheckIds();
  checker.CheckImageCollection();
  checker.CheckProxy();
  checker.CheckWords();
  checker.CheckPrograms();
  return checker.Result();
}

}  // namespace bulwark::daemon
