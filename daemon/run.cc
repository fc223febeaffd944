#include "daemon/run.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/log.h"
#include "daemon/check_config.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/node/protect.h"

namespace bulwark::daemon {
namespace {

LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warn") return LogLevel::kWarn;
  if (name == "error") return LogLevel::kError;
  return LogLevel::kInfo;
}

int Fail(const absl::Status& status) {
  for (absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    std::fprintf(stderr, "bulwarkd: %s\n", std::string(line).c_str());
  }
  return 1;
}

void Notify(absl::string_view state) {
  const absl::Status status = NotifyManager(state);
  if (!status.ok()) {
    LOG_WARN("the service manager is not told", {{"cause", status}});
  }
}

}  // namespace

int Run(int argc, char** argv, store::RocksOptions store, const char* version) {
  Config config;
  config.program_version = version;
  if (int code = ParseCommandLine(argc, argv, config); code >= 0) {
    return code;
  }
  if (config.version) {
    std::printf("bulwarkd %s\n", version);
    return 0;
  }
  Complete(config);
  if (absl::Status status = CheckConfig(config); !status.ok()) {
    Fail(status);
    return 2;
  }
  if (config.check_config) {
    std::printf("bulwarkd: the configuration can be used\n");
    return 0;
  }
  InitLogging(LevelOf(config.log_level), config.log_format == "json");

  // No core file of ours: memory holds keys. Programs that we start dump as
  // they like.
  prctl(PR_SET_DUMPABLE, 0);
  // Every thread inherits the mask, so that only sigwait below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  RealClock clock;
  RealEntropy entropy;
  if (config.teardown) {
    absl::Status status = Daemon::Teardown(config, clock);
    return status.ok() ? 0 : Fail(status);
  }
  // Without the right to it the node's conditions say so.
  ProtectFromOom().IgnoreError();
  const absl::Duration begin = clock.Steady();
  absl::StatusOr<std::unique_ptr<Daemon>> daemon =
      Daemon::Start(config, clock, entropy, std::move(store));
  if (!daemon.ok()) return Fail(daemon.status());
  LOG_INFO("serving",
           {{"socket", config.socket},
            {"version", version},
            {"started_in", absl::FormatDuration(clock.Steady() - begin)}});
  Notify("READY=1");
  int signal = 0;
  sigwait(&signals, &signal);
  LOG_INFO("stopping; containers and proxy go on", {{"signal", signal}});
  Notify("STOPPING=1");
  daemon->reset();
  return 0;
}

}  // namespace bulwark::daemon
