// bulwark-keeper: holds every listening socket of the data plane, and keeps a
// proxy running. Libc only, one thread, no allocation in its steady state:
// there is little in it that could fail, since all else relies on it.
//
//   bulwark-keeper --runtime-dir DIR --state-dir DIR --proxy PATH
//                  [--netns PATH] [--host-netns PATH] [--workers N]
//                  [--engine NAME] [--log PATH]
//
// Goes into the background. Exits 0 once it is ready, 3 if another one serves
// DIR already, 1 with the reason on standard error.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/keeper/keeper.h"

namespace bulwark::dataplane {
namespace {

constexpr int kAlreadyRuns = 3;

struct Options {
  const char* runtime_dir = nullptr;
  const char* state_dir = nullptr;
  const char* proxy = nullptr;
  const char* netns = "";
  const char* host_netns = "/proc/self/ns/net";
  const char* workers = "0";
  const char* engine = "auto";
  const char* log = nullptr;
};

volatile sig_atomic_t g_stop = 0;

void OnStopSignal(int) { g_stop = 1; }

Options ParseOptions(int argc, char** argv) {
  Options options;
  const option known[] = {{"runtime-dir", required_argument, nullptr, 'r'},
                          {"state-dir", required_argument, nullptr, 's'},
                          {"proxy", required_argument, nullptr, 'p'},
                          {"netns", required_argument, nullptr, 'n'},
                          {"host-netns", required_argument, nullptr, 'h'},
                          {"workers", required_argument, nullptr, 'w'},
                          {"engine", required_argument, nullptr, 'e'},
                          {"log", required_argument, nullptr, 'l'},
                          {}};
  int c;
  while ((c = getopt_long(argc, argv, "", known, nullptr)) != -1) {
    switch (c) {
      case 'r':
        options.runtime_dir = optarg;
        break;
      case 's':
        options.state_dir = optarg;
        break;
      case 'p':
        options.proxy = optarg;
        break;
      case 'n':
        options.netns = optarg;
        break;
      case 'h':
        options.host_netns = optarg;
        break;
      case 'w':
        options.workers = optarg;
        break;
      case 'e':
        options.engine = optarg;
        break;
      case 'l':
        options.log = optarg;
        break;
      default:
        _exit(1);
    }
  }
  if (options.runtime_dir == nullptr || options.state_dir == nullptr ||
      options.proxy == nullptr || optind != argc) {
    dprintf(2, "keeper: --runtime-dir, --state-dir, --proxy are needed\n");
    _exit(1);
  }
  return options;
}

void LockRuntimeDir(const Options& options) {
  const SocketPath path = InDir(options.runtime_dir, "keeper.lock");
  const int fd = open(path.text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) Die("open", path.text);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) _exit(kAlreadyRuns);
    Die("lock", path.text);
  }
  // Kept open, and so locked, for the life of the process.
}

void RedirectOutput(const Options& options) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int log = -1;
  if (options.log != nullptr) {
    log = open(options.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  }
  if (null >= 0) {
    dup2(null, 0);
    dup2(log >= 0 ? log : null, 1);
    dup2(log >= 0 ? log : null, 2);
  }
}

void CatchSignals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  struct sigaction stop = {};
  stop.sa_handler = OnStopSignal;
  sigaction(SIGTERM, &stop, nullptr);
  sigaction(SIGINT, &stop, nullptr);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  sigprocmask(SIG_SETMASK, &blocked, nullptr);
}

int Main(int argc, char** argv) {
  const Options options = ParseOptions(argc, argv);
  close_range(3, ~0U, 0);
  const int host = open(options.host_netns, O_RDONLY | O_CLOEXEC);
  if (host < 0) Die("open", options.host_netns);
  if (setns(host, CLONE_NEWNET) != 0 && options.netns[0] != '\0') {
    Die("enter", options.host_netns);
  }
  LockRuntimeDir(options);

  char* proxy_argv[] = {const_cast<char*>(options.proxy),
                        const_cast<char*>("--runtime-dir"),
                        const_cast<char*>(options.runtime_dir),
                        const_cast<char*>("--state-dir"),
                        const_cast<char*>(options.state_dir),
                        const_cast<char*>("--workers"),
                        const_cast<char*>(options.workers),
                        const_cast<char*>("--engine"),
                        const_cast<char*>(options.engine),
                        nullptr};
  static Keeper keeper(options.runtime_dir, options.netns, host, proxy_argv);
  keeper.Prepare();
  const pid_t pid = fork();
  if (pid < 0) Die("fork", "keeper");
  if (pid > 0) _exit(0);
  setsid();
  RedirectOutput(options);
  CatchSignals();
  if (chdir("/") != 0) Die("enter", "/");
  keeper.Run(g_stop);
}

}  // namespace
}  // namespace bulwark::dataplane

int main(int argc, char** argv) { return bulwark::dataplane::Main(argc, argv); }
