#include "daemon/config.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "netmesh/dns/forwarder.h"

namespace bulwark::daemon {
namespace {

constexpr size_t kMaxNameservers = 3;

std::string OwnDirectory() {
  char buffer[4096];
  const ssize_t n = readlink("/proc/self/exe", buffer, sizeof(buffer));
  if (n <= 0) return ".";
  const std::string path(buffer, n);
  return path.substr(0, path.rfind('/'));
}

}  // namespace

int ParseCommandLine(int argc, char** argv, Config& config) {
  CLI::App app("bulwarkd: runs the services that are declared on this host");
  app.add_option("--instance", config.instance,
                 "name under which everything stands in the kernel");
  app.add_option("--state-dir", config.state_dir, "what must outlive a reboot");
  app.add_option("--runtime-dir", config.runtime_dir, "sockets and namespaces");
  app.add_option("--socket", config.socket,
                 "the API's socket (default RUNTIME_DIR/bulwarkd.sock)");
  app.add_option("--socket-group", config.socket_group,
                 "group whose members may use the API");
  app.add_option("--key-file", config.key_file,
                 "root key of secrets (default /etc/bulwark/master.key, or "
                 "STATE_DIR.key)");
  app.add_option("--bin-dir", config.bin_dir,
                 "where bulwark-shim, bulwark-keeper and bulwark-proxy are");
  app.add_option("--container-pool", config.container_pool,
                 "IPv4 addresses of networks");
  app.add_option("--virtual-pool", config.virtual_pool,
                 "IPv4 addresses of services");
  app.add_option("--uplink-subnet", config.uplink_subnet,
                 "link between the host and the data plane, a /30");
  app.add_option("--build-subnet", config.build_subnet,
                 "IPv4 addresses of image builds");
  app.add_option("--dns-upstream", config.dns_upstreams,
                 "server for foreign names (default: of /etc/resolv.conf)")
      ->allow_extra_args(false);
  app.add_flag("--i-own-this-host", config.own_host,
               "allow to work in the host's own network namespace");
  app.add_option("--insecure-registry", config.insecure_registries,
                 "registry host that is asked by plain HTTP")
      ->allow_extra_args(false);
  app.add_option("--max-kernel", config.max_kernel,
                 "use no kernel feature newer than this version");
  app.add_option("--proxy-workers", config.proxy_workers,
                 "threads of the proxy (default: one for each processor)");
  app.add_option("--proxy-engine", config.proxy_engine,
                 "auto, io_uring or epoll");
  app.add_option("--metrics-listen", config.metrics_listen,
                 "where Prometheus finds metrics, ADDRESS:PORT[,...] (empty: "
                 "nowhere)");
  app.add_option("--log-level", config.log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  app.add_option("--log-format", config.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  app.add_flag("--teardown", config.teardown,
               "end all that runs for the instance, keep its state, and exit");
  app.add_flag("--version", config.version, "print the version and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return -1;
}

void Complete(Config& config) {
  if (config.socket.empty()) {
    config.socket = config.runtime_dir + "/bulwarkd.sock";
  }
  if (config.key_file.empty()) {
    config.key_file = config.state_dir == Config().state_dir
                          ? "/etc/bulwark/master.key"
                          : config.state_dir + ".key";
  }
  if (config.bin_dir.empty()) config.bin_dir = OwnDirectory();
  if (config.dns_upstreams.empty()) {
    std::ifstream file("/etc/resolv.conf");
    std::stringstream content;
    content << file.rdbuf();
    config.dns_upstreams = Nameservers(content.str());
  }
}

std::vector<std::string> Nameservers(const std::string& resolv_conf) {
  std::vector<std::string> servers;
  for (absl::string_view line : absl::StrSplit(resolv_conf, '\n')) {
    std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() < 2 || words[0] != "nameserver") continue;
    // Such as link-local ones, "fe80::1%eth0".
    if (!netmesh::dns::ParseUpstream(words[1]).ok()) continue;
    if (servers.size() < kMaxNameservers) servers.emplace_back(words[1]);
  }
  return servers;
}

}  // namespace bulwark::daemon
