#include "daemon/config.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "daemon/config_file.h"
#include "daemon/flags.h"
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

// Adds a flag to the command line.
struct Adder {
  CLI::App& app;
  const Flag& flag;
  Config& config;

  std::string name() const { return absl::StrCat("--", flag.name); }
  void operator()(std::string Config::*target) const {
    app.add_option(name(), config.*target, flag.help);
  }
  void operator()(std::vector<std::string> Config::*target) const {
    app.add_option(name(), config.*target, flag.help)->allow_extra_args(false);
  }
  void operator()(int Config::*target) const {
    app.add_option(name(), config.*target, flag.help);
  }
  void operator()(bool Config::*target) const {
    app.add_flag(name(), config.*target, flag.help);
  }
};

// The arguments, last first, as CLI11 takes them. To it "--flag=" has no value,
// and what follows is one; here it is the empty string.
std::vector<std::string> Arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = argc; i-- > 1;) {
    std::string argument = argv[i];
    if (absl::StartsWith(argument, "--") &&
        argument.find('=') == argument.size() - 1) {
      arguments.emplace_back();
      argument.pop_back();
    }
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

// As ParseCommandLine(), without the file.
int ParseFlags(int argc, char** argv, Config& config) {
  CLI::App app("bulwarkd: runs the services that are declared on this host",
               argc > 0 ? argv[0] : "bulwarkd");
  app.footer(absl::StrCat("Settings are also read from ", kDefaultConfigFile,
                          "; the command line wins."));
  for (const Flag& flag : Flags()) {
    std::visit(Adder{app, flag, config}, flag.target);
  }
  try {
    app.parse(Arguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const Flag& flag : Flags()) {
    if (app.count(absl::StrCat("--", flag.name)) > 0) {
      config.places.erase(flag.name);
    }
  }
  return -1;
}

void PrintLines(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::fprintf(stderr, "bulwarkd: %s\n", std::string(line).c_str());
  }
}

}  // namespace

int ParseCommandLine(int argc, char** argv, Config& config) {
  // A first look, for the file's name; then the command line over the file.
  Config first;
  if (int code = ParseFlags(argc, argv, first); code >= 0) return code;
  if (!first.version) {
    const bool named = !first.config_file.empty();
    const std::string path = named ? first.config_file : kDefaultConfigFile;
    const absl::Status status = ReadConfigFile(path, config);
    if (!status.ok() && (named || !absl::IsNotFound(status))) {
      PrintLines(status.message());
      return 2;
    }
  }
  return ParseFlags(argc, argv, config);
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

absl::StatusOr<std::map<std::string, std::vector<std::string>>> MirrorsOf(
    const std::vector<std::string>& settings) {
  constexpr char kHost[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
  std::map<std::string, std::vector<std::string>> mirrors;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    std::string registry = setting.substr(0, equals);
    if (registry == "index.docker.io" || registry == "registry-1.docker.io") {
      registry = "docker.io";
    }
    const std::string mirror =
        equals == std::string::npos ? "" : setting.substr(equals + 1);
    const size_t slash = mirror.find('/');
    const bool is_host =
        !registry.empty() && slash != 0 && !mirror.empty() &&
        mirror.back() != '/' &&
        registry.find_first_not_of(kHost) == std::string::npos &&
        mirror.substr(0, slash).find_first_not_of(kHost) == std::string::npos;
    if (!is_host || absl::StrContains(mirror, "//")) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", setting,
                       "\" is not REGISTRY=MIRROR[/PREFIX], such as "
                       "docker.io=mirror.lan:5000, without https://"));
    }
    mirrors[registry].push_back(mirror);
  }
  return mirrors;
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
