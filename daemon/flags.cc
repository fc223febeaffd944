#include "daemon/flags.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bulwark::daemon {
namespace {

constexpr Flag kFlags[] = {
    {"config", "file with any of these settings", &Config::config_file, true},
    {"instance", "name under which everything stands in the kernel",
     &Config::instance},
    {"state-dir", "what must outlive a reboot", &Config::state_dir},
    {"runtime-dir", "sockets and namespaces", &Config::runtime_dir},
    {"socket", "the API's socket (default RUNTIME_DIR/bulwarkd.sock)",
     &Config::socket},
    {"socket-group", "group whose members may use the API",
     &Config::socket_group},
    {"key-file",
     "root key of secrets (default /etc/bulwark/master.key, or STATE_DIR.key)",
     &Config::key_file},
    {"bin-dir",
     "where bulwark-shim, bulwark-keeper and bulwark-proxy are (default: "
     "beside bulwarkd)",
     &Config::bin_dir},
    {"container-pool", "IPv4 addresses of networks", &Config::container_pool},
    {"virtual-pool", "IPv4 addresses of services", &Config::virtual_pool},
    {"uplink-subnet", "link between the host and the data plane, a /30",
     &Config::uplink_subnet},
    {"build-subnet", "IPv4 addresses of image builds", &Config::build_subnet},
    {"dns-upstream", "server for foreign names (default: of /etc/resolv.conf)",
     &Config::dns_upstreams},
    {"i-own-this-host", "allow to work in the host's own network namespace",
     &Config::own_host},
    {"insecure-registry", "registry host that is asked by plain HTTP",
     &Config::insecure_registries},
    {"registry-mirror",
     "REGISTRY=MIRROR[/PREFIX]: a registry that is asked before another",
     &Config::registry_mirrors},
    {"certs-dir",
     "certificates for single registries: DIR/HOST:PORT/ca.crt, client.cert, "
     "client.key",
     &Config::certs_dir},
    {"registry-stall-timeout",
     "seconds for which a registry may send or take nothing",
     &Config::registry_stall_timeout},
    {"registry-min-rate",
     "bytes a second that a registry must send or take over that time (0: any "
     "rate will do)",
     &Config::registry_min_rate},
    {"require-signature",
     "PREFIX=FILE: images whose names begin so must be signed with this "
     "public key (PREFIX=none: need not; *: all others)",
     &Config::required_signatures},
    {"id-base",
     "first of the host's user ids that containers' users are (0: they keep "
     "the host's)",
     &Config::id_base},
    {"image-gc-start",
     "percent of the disk from which on images that nothing needs are removed "
     "(100: never)",
     &Config::image_gc_start},
    {"image-gc-stop", "percent of the disk at which that ends",
     &Config::image_gc_stop},
    {"max-kernel", "use no kernel feature newer than this version",
     &Config::max_kernel},
    {"proxy-workers", "threads of the proxy (default: one for each processor)",
     &Config::proxy_workers},
    {"proxy-engine", "auto, io_uring or epoll", &Config::proxy_engine},
    {"metrics-listen",
     "where Prometheus finds metrics, ADDRESS:PORT[,...] (empty: nowhere)",
     &Config::metrics_listen},
    {"log-level", "debug, info, warn or error", &Config::log_level},
    {"log-format", "text or json", &Config::log_format},
    {"check-config", "say whether it could start with these flags, and exit",
     &Config::check_config, true},
    {"teardown", "end all that runs for the instance, keep its state, and exit",
     &Config::teardown, true},
    {"version", "print the version and exit", &Config::version, true},
};

struct Writer {
  const Config& config;

  std::string operator()(std::string Config::*target) const {
    return config.*target;
  }
  std::string operator()(std::vector<std::string> Config::*target) const {
    return absl::StrCat("[", absl::StrJoin(config.*target, ", "), "]");
  }
  std::string operator()(int Config::*target) const {
    return absl::StrCat(config.*target);
  }
  std::string operator()(bool Config::*target) const {
    return config.*target ? "true" : "false";
  }
};

}  // namespace

absl::Span<const Flag> Flags() { return kFlags; }

std::string ValueOf(const Flag& flag, const Config& config) {
  return std::visit(Writer{config}, flag.target);
}

}  // namespace bulwark::daemon
