#include "tests/e2e/world.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/unique_fd.h"

namespace bulwark::e2e {
namespace {

using Json = nlohmann::json;

constexpr const char* kPrograms[][2] = {
    {"ctl", "ctl/ctl"},
    {"bulwark-shim", "engine/shim/bulwark-shim"},
    {"bulwark-keeper", "dataplane/bulwark-keeper"},
    {"bulwark-proxy", "dataplane/bulwark-proxy"},
    {"load_client", "tests/load/load_client"},
    {"leakcheck", "tests/leakcheck/leakcheck"},
};

int FreePort() {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  CHECK(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  CHECK(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) ==
        0);
  return ntohs(address.sin_port);
}

bool CanConnect(int port) {
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) == 0;
}

// A member of a JSON object, or null.
const Json& At(const Json& object, const char* key) {
  static const Json& null = *new Json();
  if (!object.is_object()) return null;
  auto it = object.find(key);
  return it == object.end() ? null : *it;
}

int64_t Integer(const Json& value) {
  if (value.is_number()) return value.get<int64_t>();
  if (value.is_string()) return std::atoll(value.get<std::string>().c_str());
  return 0;
}

std::string Text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

// `ctl get -o json` prints one object, or a list of them.
std::vector<Json> Objects(const std::string& text) {
  Json parsed = Json::parse(text, nullptr, false);
  if (parsed.is_array()) return parsed.get<std::vector<Json>>();
  if (At(parsed, "items").is_array()) {
    return At(parsed, "items").get<std::vector<Json>>();
  }
  if (parsed.is_object()) return {parsed};
  return {};
}

}  // namespace

ServiceInfo ParseService(const std::string& json) {
  ServiceInfo info;
  for (const Json& object : Objects(json)) {
    const Json& metadata = At(object, "metadata");
    info.deleted = !At(metadata, "deleteTime").is_null();
    info.replicas =
        static_cast<int>(Integer(At(At(object, "spec"), "replicas")));
    const Json& labels = At(metadata, "labels");
    if (!labels.is_object()) continue;
    for (const auto& [name, value] : labels.items()) {
      info.labels[name] = Text(value);
    }
  }
  return info;
}

std::string EnterPrivateNamespaces() {
  if (geteuid() != 0) return "needs root";
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return "cannot unshare";
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return "cannot make mounts private";
  }
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  snprintf(request.ifr_name, sizeof(request.ifr_name), "lo");
  request.ifr_flags = IFF_UP;
  if (ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) return "cannot set lo up";
  return "";
}

World::World(std::string name, const std::string& daemon)
    : name_(std::move(name)) {
  std::filesystem::create_directories(Path("bin"));
  std::filesystem::copy_file(Runfile(daemon), bin("bulwarkd"));
  for (const auto& [program, path] : kPrograms) {
    std::filesystem::copy_file(Runfile(path), bin(program));
  }
}

World::~World() { Teardown(); }

std::string World::bin(const std::string& program) const {
  return Path("bin/" + program);
}

std::string World::Runfile(const std::string& path) {
  const char* root = std::getenv("TEST_SRCDIR");
  CHECK(root != nullptr);
  return std::filesystem::canonical(absl::StrCat(root, "/bulwark/", path));
}

std::vector<std::string> World::DaemonArgs() const {
  std::vector<std::string> args = {
      bin("bulwarkd"), "--instance",    name_,      "--state-dir",
      Path("s"),       "--runtime-dir", Path("r"),  "--dns-upstream",
      "127.0.0.1",     "--config",      "/dev/null"};
  // The same tests on the paths of an older kernel.
  if (const char* bound = std::getenv("BULWARK_TEST_MAX_KERNEL")) {
    args.insert(args.end(), {"--max-kernel", bound});
  }
  args.insert(args.end(), flags_.begin(), flags_.end());
  return args;
}

void World::Set(const std::string& variable, const std::string& value) {
  environment_[variable] = value;
}

void World::StartDaemon(std::vector<std::string> flags) {
  flags_ = std::move(flags);
  LaunchDaemon();
  AwaitDaemon();
}

void World::LaunchDaemon() {
  std::vector<std::string> argv = DaemonArgs();
  if (!environment_.empty()) {
    std::vector<std::string> env = {"env"};
    for (const auto& [variable, value] : environment_) {
      env.push_back(absl::StrCat(variable, "=", value));
    }
    argv.insert(argv.begin(), env.begin(), env.end());
  }
  daemon_ = std::make_unique<Background>(argv, Path("daemon.log"));
}

void World::AwaitDaemon() {
  CHECK(Eventually(
      [this] {
        return Ctl({"version"}, absl::Seconds(5)).ok() || !daemon_->Alive();
      },
      absl::Seconds(60)));
}

void World::EndDaemon(int signal) {
  daemon_->Signal(signal);
  CHECK(daemon_->Wait(absl::Seconds(60)) >= 0);
}

void World::KillDaemon() { EndDaemon(SIGKILL); }

void World::StopDaemon() { EndDaemon(SIGTERM); }

const std::string& World::StartRegistry() {
  const int port = registry_address_.empty()
                       ? FreePort()
                       : std::atoi(registry_address_.c_str() +
                                   registry_address_.find(':') + 1);
  registry_address_ = absl::StrCat("127.0.0.1:", port);
  WriteFile(Path("registry.yml"),
            absl::StrCat("version: 0.1\nlog: {level: error}\nstorage:\n"
                         "  filesystem: {rootdirectory: ",
                         Path("registry"), "}\nhttp: {addr: \"",
                         registry_address_, "\"}\n"));
  registry_ = std::make_unique<Background>(
      std::vector<std::string>{"docker-registry", "serve",
                               Path("registry.yml")},
      Path("registry.log"));
  CHECK(Eventually([&] { return CanConnect(port); }));
  return registry_address_;
}

void World::PushLayout(const std::string& layout,
                       const std::string& reference) {
  Result pushed = Run({"skopeo", "copy", "--dest-tls-verify=false", "--quiet",
                       "oci:" + layout, "docker://" + reference},
                      absl::Seconds(120));
  if (!pushed.ok()) fprintf(stderr, "%s\n", pushed.ToString().c_str());
  CHECK(pushed.ok());
  std::filesystem::remove_all(layout);
}

std::string World::PushNginx(const std::string& tag, const std::string& version,
                             int port) {
  const std::string layout = Path("layout");
  Result made =
      Run({"python3", Runfile("tests/e2e/images/nginx_image.py"), "--out",
           layout, "--version", version, "--port", absl::StrCat(port)});
  if (!made.ok()) fprintf(stderr, "%s\n", made.ToString().c_str());
  CHECK(made.ok());
  const std::string reference = absl::StrCat(registry_address_, "/nginx:", tag);
  PushLayout(layout, reference);
  return reference;
}

std::string World::PushBusybox(const std::string& tag) {
  const std::string layout = Path("layout");
  CHECK(Run({"python3", Runfile("tests/e2e/images/busybox_image.py"), "--out",
             layout})
            .ok());
  const std::string reference =
      absl::StrCat(registry_address_, "/busybox:", tag);
  PushLayout(layout, reference);
  return reference;
}

Result World::Ctl(std::vector<std::string> args, absl::Duration timeout,
                  const std::string& input) {
  args.insert(args.begin(),
              {bin("ctl"), "--socket", "unix://" + Path("r/bulwarkd.sock")});
  return Run(args, timeout, input);
}

Result World::Apply(const std::string& manifest) {
  Result result = Ctl({"apply", "-f", "-"}, absl::Seconds(60), manifest);
  if (!result.ok()) fprintf(stderr, "%s\n", result.ToString().c_str());
  return result;
}

std::vector<ReplicaInfo> World::Replicas(const std::string& service) {
  std::vector<ReplicaInfo> replicas;
  for (const Json& object :
       Objects(Ctl({"get", "replicas", "-o", "json"}).out)) {
    const Json& spec = At(object, "spec");
    const Json& status = At(object, "status");
    if (Text(At(spec, "service")) != service) continue;
    ReplicaInfo info;
    info.name = Text(At(At(object, "metadata"), "name"));
    info.uid = Text(At(At(object, "metadata"), "uid"));
    info.state = Text(At(status, "state"));
    info.ready = At(status, "ready").is_boolean() && At(status, "ready");
    info.revision = Integer(At(spec, "revision"));
    info.slot = static_cast<int>(Integer(At(spec, "slot")));
    // Of the first that runs: init containers have ended.
    for (const Json& container : At(status, "containers")) {
      if (info.pid > 0) break;
      info.pid = static_cast<int>(Integer(At(container, "pid")));
    }
    replicas.push_back(info);
  }
  return replicas;
}

std::vector<ReplicaInfo> World::Ready(const std::string& service) {
  std::vector<ReplicaInfo> ready;
  for (const ReplicaInfo& r : Replicas(service)) {
    // One that has just lost its process may be called ready a little longer:
    // a test that kills 0 ends itself.
    if (r.ready && r.state == "running" && r.pid > 0) ready.push_back(r);
  }
  return ready;
}

bool World::AwaitReady(const std::string& service, int count,
                       absl::Duration timeout) {
  return Eventually(
      [&] { return static_cast<int>(Ready(service).size()) == count; },
      timeout);
}

std::string World::Condition(const std::string& service,
                             const std::string& type) {
  for (const Json& object :
       Objects(Ctl({"get", "service", service, "-o", "json"}).out)) {
    const Json& conditions = At(At(object, "status"), "conditions");
    if (!conditions.is_array()) continue;
    for (const Json& c : conditions) {
      if (Text(At(c, "type")) == type) {
        return absl::StrCat(Text(At(c, "status")), " ", Text(At(c, "reason")),
                            ": ", Text(At(c, "message")));
      }
    }
  }
  return "";
}

int World::ProcessOf(const std::string& program) const {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::filesystem::path exe =
        std::filesystem::read_symlink(entry.path() / "exe", error);
    if (!error && exe == bin(program)) {
      return std::atoi(entry.path().filename().c_str());
    }
  }
  return 0;
}

std::string World::LeakReport() {
  return Run({bin("leakcheck"), "--instance", name_, "--runtime-dir", Path("r"),
              "--state-dir", Path("s")})
      .out;
}

std::string World::Leaked(const std::string& before) {
  WriteFile(Path("before"), before);
  const Result result =
      Run({bin("leakcheck"), "--instance", name_, "--runtime-dir", Path("r"),
           "--state-dir", Path("s"), "--expect", Path("before"), "--settle",
           "10s"});
  return result.ok() ? "" : result.out + result.err;
}

void World::Teardown() {
  if (daemon_ == nullptr) return;
  if (daemon_->Alive()) KillDaemon();
  daemon_.reset();
  std::vector<std::string> args = DaemonArgs();
  args.push_back("--teardown");
  Result result = Run(args, absl::Seconds(120));
  if (!result.ok())
    fprintf(stderr, "teardown: %s\n", result.ToString().c_str());
}

}  // namespace bulwark::e2e
