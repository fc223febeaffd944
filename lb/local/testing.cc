#include "lb/local/testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace bulwark::lb::testing {
namespace {

int g_dataplane = -1;

bool LoopbackUp() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  strncpy(request.ifr_name, "lo", sizeof(request.ifr_name) - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return ok;
}

std::string Program(const char* variable) {
  const char* path = getenv(variable);
  CHECK(path != nullptr);
  char* absolute = realpath(path, nullptr);
  CHECK(absolute != nullptr);
  std::string result = absolute;
  free(absolute);
  return result;
}

// The process whose command line has `program` first and `dir` among the rest.
pid_t FindProcess(const std::string& program, const std::string& dir) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::ifstream file(entry.path() / "cmdline");
    std::stringstream text;
    text << file.rdbuf();
    const std::string line = text.str();
    if (line.rfind(program + '\0', 0) == 0 &&
        line.find('\0' + dir + '\0') != std::string::npos) {
      return pid;
    }
  }
  return 0;
}

}  // namespace

bool EnterOwnNamespaces() {
  if (unshare(CLONE_NEWNET) != 0 || !LoopbackUp()) {
    fprintf(stderr, "make network namespace: %s\n", strerror(errno));
    return false;
  }
  g_dataplane = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  return g_dataplane >= 0 && unshare(CLONE_NEWNET) == 0 && LoopbackUp();
}

void InDataplane(const std::function<void()>& f) {
  std::thread([&f] {
    CHECK(setns(g_dataplane, CLONE_NEWNET) == 0);
    f();
  }).join();
}

Installation::Installation(std::string engine) {
  char dir[] = "/tmp/bwlb.XXXXXX";
  CHECK(mkdtemp(dir) != nullptr);
  dir_ = dir;
  config_.runtime_dir = dir_ + "/run";
  config_.state_dir = dir_ + "/state";
  config_.keeper_path = Program("KEEPER");
  config_.proxy_path = Program("PROXY");
  config_.dataplane_netns =
      absl::StrCat("/proc/", getpid(), "/fd/", g_dataplane);
  config_.workers = 2;
  config_.engine = std::move(engine);
  proxy_ = std::make_unique<LocalProxy>(config_, clock_);
}

Installation::~Installation() {
  if (absl::Status s = proxy_->Shutdown(); !s.ok()) {
    fprintf(stderr, "%s\n", s.ToString().c_str());
    for (pid_t pid : {keeper_pid(), proxy_pid()}) {
      if (pid > 0) kill(pid, SIGKILL);
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

std::string Installation::log() const {
  std::ifstream file(config_.state_dir + "/dataplane.log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

pid_t Installation::keeper_pid() const {
  return FindProcess(config_.keeper_path, config_.runtime_dir);
}

pid_t Installation::proxy_pid() const {
  return FindProcess(config_.proxy_path, config_.runtime_dir);
}

}  // namespace bulwark::lb::testing
