// bulwark-proxy: the data plane. Started by bulwark-keeper, in the data-plane
// network namespace.
//
//   bulwark-proxy --runtime-dir DIR --state-dir DIR [--workers N]
//                 [--engine auto|io_uring|epoll]
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/status.h"
#include "dataplane/control_server.h"
#include "dataplane/control_socket.h"
#include "dataplane/dns_service.h"
#include "dataplane/proxy_service.h"
#include "lb/handover/keeper_client.h"
#include "lb/tcp/data_plane.h"

namespace bulwark::dataplane {
namespace {

// How often we look after a keeper that lives. Its death wakes us at once.
constexpr absl::Duration kKeeperCheck = absl::Seconds(1);
// How soon a new keeper gets our sockets.
constexpr absl::Duration kLostCheck = absl::Milliseconds(200);
// Before we look for the next one.
constexpr absl::Duration kLossPause = absl::Milliseconds(20);
// The keeper is up before us; this is for one that is being replaced.
constexpr absl::Duration kKeeperWait = absl::Seconds(10);

struct Options {
  std::string runtime_dir;
  std::string state_dir;
  int workers = 0;
  lb::EngineKind engine = lb::EngineKind::kAuto;
};

absl::StatusOr<lb::EngineKind> ParseEngine(absl::string_view name) {
  if (name == "auto") return lb::EngineKind::kAuto;
  if (name == "epoll") return lb::EngineKind::kEpoll;
  if (name == "io_uring") return lb::EngineKind::kIoUring;
  return absl::InvalidArgumentError(absl::StrCat(
      "read --engine: \"", name, "\" is none of auto, io_uring, epoll"));
}

absl::StatusOr<Options> ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const absl::string_view name = argv[i];
    if (i + 1 == argc) {
      return absl::InvalidArgumentError(
          absl::StrCat("read ", name, ": a value is missing"));
    }
    const std::string value = argv[++i];
    if (name == "--runtime-dir") {
      options.runtime_dir = value;
    } else if (name == "--state-dir") {
      options.state_dir = value;
    } else if (name == "--workers") {
      if (!absl::SimpleAtoi(value, &options.workers) || options.workers < 0 ||
          options.workers > static_cast<int>(lb::kKeeperMaxSockets)) {
        return absl::InvalidArgumentError("read --workers: not in 0 to 128");
      }
    } else if (name == "--engine") {
      ASSIGN_OR_RETURN(options.engine, ParseEngine(value));
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("read ", name, ": no such flag"));
    }
  }
  if (options.runtime_dir.empty() || options.state_dir.empty()) {
    return absl::InvalidArgumentError(
        "read flags: --runtime-dir and --state-dir are needed");
  }
  if (options.workers == 0) {
    options.workers = static_cast<int>(std::thread::hardware_concurrency());
    if (options.workers < 1) options.workers = 1;
  }
  return options;
}

// One proxy for each runtime directory; also tells a new keeper that we live.
// A record lock: it names its holder, and goes with the process.
absl::Status Lock(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus("open", path);
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_SETLK, &lock) == 0) return absl::OkStatus();
  absl::Status status = ErrnoStatus("lock", path);
  close(fd);
  return status;
}

void RaiseFileLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

absl::StatusOr<int> FirstContact(lb::KeeperClient& keeper, Clock& clock) {
  const absl::Duration deadline = clock.Steady() + kKeeperWait;
  while (true) {
    absl::StatusOr<int> control = keeper.Control();
    if (control.ok() || clock.Steady() >= deadline) return control;
    clock.Sleep(absl::Milliseconds(20));
  }
}

// Listens anew where somebody removed the socket; the data path goes on.
void KeepInPlace(const std::string& path, ControlServer& server,
                 lb::KeeperClient& keeper, std::string& told) {
  if (!IsGone(path)) return;
  absl::StatusOr<UniqueFd> fresh = ListenAt(path);
  if (!fresh.ok()) {
    if (fresh.status().ToString() == told) return;
    told = fresh.status().ToString();
    LOG_ERROR("control socket is gone", {{"error", fresh.status()}});
    return;
  }
  told.clear();
  server.ListenOn(fresh->get());
  keeper.ReplaceControl(*std::move(fresh));
  LOG_WARN("control socket was removed; it is there again", {{"path", path}});
}

absl::Status Main(int argc, char** argv) {
  ASSIGN_OR_RETURN(const Options options, ParseOptions(argc, argv));
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  RaiseFileLimit();
  RETURN_IF_ERROR(Lock(options.runtime_dir + "/proxy.lock"));
  RealClock clock;
  RealEntropy entropy;
  lb::KeeperClient keeper(options.runtime_dir + "/keeper.sock");
  ASSIGN_OR_RETURN(const int control, FirstContact(keeper, clock));
  ASSIGN_OR_RETURN(std::unique_ptr<lb::DataPlane> plane,
                   lb::DataPlane::Start({options.workers, options.engine},
                                        keeper, clock, entropy));
  DnsService dns(keeper, clock, entropy);
  RETURN_IF_ERROR(dns.Start());
  ProxyService service(*plane, dns, options.runtime_dir + "/proxy.snapshot");
  if (absl::Status s = service.LoadLast(); !s.ok() && !absl::IsNotFound(s)) {
    LOG_ERROR("last snapshot not served", {{"error", s}});
  }
  ControlServer server(control, clock, [&service](const v1::Request& request) {
    return service.Handle(request);
  });
  LOG_INFO("proxy ready", {{"pid", getpid()}, {"workers", options.workers}});
  const std::string control_path = options.runtime_dir + "/proxy.sock";
  std::string told;
  bool lost = false;
  while (true) {
    const absl::Duration begin = clock.Steady();
    if (lost) {
      clock.Sleep(kLostCheck);
    } else if (keeper.AwaitLoss(kKeeperCheck) ||
               clock.Steady() - begin < kLossPause) {
      clock.Sleep(kLossPause);
    }
    KeepInPlace(control_path, server, keeper, told);
    absl::Status status = keeper.Check();
    if (!status.ok() && !lost) LOG_WARN("keeper lost", {{"error", status}});
    if (status.ok() && lost) LOG_INFO("keeper found again", {});
    lost = !status.ok();
  }
}

}  // namespace
}  // namespace bulwark::dataplane

int main(int argc, char** argv) {
  bulwark::InitLogging(bulwark::LogLevel::kInfo, /*json=*/false);
  const absl::Status status = bulwark::dataplane::Main(argc, argv);
  LOG_ERROR("proxy cannot run", {{"error", status}});
  return 1;
}
