// What bulwarkd is told on its command line and in its configuration file.
#ifndef DAEMON_CONFIG_H_
#define DAEMON_CONFIG_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "daemon/version.h"

namespace bulwark::daemon {

// Where containers' user ids end: systemd has the next for itself.
inline constexpr int kEndOfIds = 2147352576;

struct Config {
  // Read before the command line, which wins; default: kDefaultConfigFile, if
  // that exists.
  std::string config_file;
  // "FILE:LINE:COLUMN" of each setting, by name, that is as the file says.
  std::map<std::string, std::string> places;

  std::string instance = "bulwark";
  std::string state_dir = "/var/lib/bulwark";
  std::string runtime_dir = "/run/bulwark";
  std::string socket;  // default: RUNTIME_DIR/bulwarkd.sock
  std::string socket_group;
  // The root key of secrets. Default: /etc/bulwark/master.key, or beside a
  // state directory elsewhere: STATE_DIR.key.
  std::string key_file;
  std::string bin_dir;  // of shim, keeper and proxy; default: bulwarkd's own

  std::string container_pool = "10.210.0.0/16";
  std::string virtual_pool = "10.211.0.0/16";
  std::string uplink_subnet = "10.212.0.0/30";
  std::string build_subnet = "10.213.0.0/24";
  std::vector<std::string> dns_upstreams;  // default: of /etc/resolv.conf
  bool own_host = false;

  std::vector<std::string> insecure_registries;
  std::vector<std::string> registry_mirrors;  // "REGISTRY=MIRROR", in order
  // Certificates for single registries; Docker's folder is read after it.
  std::string certs_dir = "/etc/bulwark/certs.d";
  // Seconds for which a registry may stand still, and the bytes a second that
  // it must move over that time.
  int registry_stall_timeout = 30;
  int registry_min_rate = 16;
  // "PREFIX=FILE": images that must be signed, and the key.
  std::vector<std::string> required_signatures;
  // Of the first range that containers' users are mapped to: above those that
  // subuid files and systemd use. 0: containers keep the host's users.
  int id_base = 1879048192;
  // How full the disk of the state directory may be, in percent: from the one
  // on images that nothing needs are removed, until it is the other.
  int image_gc_start = 85;  // 100: never
  int image_gc_stop = 80;
  std::string max_kernel;  // "6.1": use nothing newer
  int proxy_workers = 0;
  std::string proxy_engine = "auto";

  std::string metrics_listen = "127.0.0.1:9464";  // empty: nowhere

  std::string log_level = "info";
  std::string log_format = "text";

  // Instead of serving: end every container, proxy and namespace of the
  // instance, keep the state directory, and exit.
  bool teardown = false;
  // Instead of serving: check all this, and exit.
  bool check_config = false;
  bool version = false;

  // What the program says it is; no setting.
  std::string program_version = kVersion;
};

// Sets `config` from the configuration file and the command line. Returns the
// exit status if the process should end now (help, or what is wrong with either
// of the two, already printed); -1 to go on.
int ParseCommandLine(int argc, char** argv, Config& config);

// Fills in what depends on other values and on the host. See check_config.h for
// whether the result can be used.
void Complete(Config& config);

// The mirrors of each registry, in order, of Config::registry_mirrors.
// INVALID_ARGUMENT says which is none.
absl::StatusOr<std::map<std::string, std::vector<std::string>>> MirrorsOf(
    const std::vector<std::string>& settings);

// The servers of a resolv.conf that the data plane can ask, in order, at most
// three.
std::vector<std::string> Nameservers(const std::string& resolv_conf);

}  // namespace bulwark::daemon

#endif  // DAEMON_CONFIG_H_
