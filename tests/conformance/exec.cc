#include "tests/conformance/exec.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/unique_fd.h"

namespace bulwark::conformance {
namespace {

// A file for a standard stream, and where what is new in it begins.
class Stream {
 public:
  explicit Stream(const std::string& path) {
    if (path.empty()) {
      fd_.Reset(static_cast<int>(syscall(SYS_memfd_create, "stream", 1u)));
    } else {
      fd_.Reset(
          open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    }
    CHECK(fd_.ok());
    start_ = lseek(fd_.get(), 0, SEEK_END);
  }

  int fd() const { return fd_.get(); }

  std::string New() const {
    std::string text;
    char buffer[16384];
    off_t at = start_;
    ssize_t n;
    while ((n = pread(fd_.get(), buffer, sizeof(buffer), at)) > 0) {
      text.append(buffer, n);
      at += n;
    }
    return text;
  }

 private:
  UniqueFd fd_;
  off_t start_ = 0;
};

[[noreturn]] void Become(const std::vector<char*>& argv, const int streams[3],
                         const ExecOptions& options) {
  signal(SIGPIPE, SIG_DFL);
  if (!options.cwd.empty() && chdir(options.cwd.c_str()) != 0) _exit(126);
  // Out of the way of the numbers that they shall have.
  std::vector<int> high;
  for (int i = 0; i < 3; ++i) {
    high.push_back(fcntl(streams[i], F_DUPFD_CLOEXEC, 100));
  }
  for (const int fd : options.fds) {
    high.push_back(fcntl(fd, F_DUPFD_CLOEXEC, 100));
  }
  for (size_t i = 0; i < high.size(); ++i) {
    if (dup2(high[i], static_cast<int>(i)) < 0) _exit(126);
  }
  execvp(argv[0], argv.data());
  dprintf(2, "cannot start %s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

// Its exit code as in Outcome; kills it when the time has passed.
int Await(pid_t pid, absl::Duration timeout) {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0u)));
  CHECK(pidfd.ok());
  const absl::Time deadline = WallNow() + timeout;
  pollfd p = {pidfd.get(), POLLIN, 0};
  bool late = false;
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(deadline - WallNow());
    if (left <= 0) {
      late = true;
      kill(pid, SIGKILL);
      break;
    }
    if (poll(&p, 1, static_cast<int>(left)) > 0) break;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) CHECK(errno == EINTR);
  if (late) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::string Outcome::ToString() const {
  return absl::StrCat("exit ", code, "\nstdout: ", out, "\nstderr: ", err);
}

Outcome Exec(const std::vector<std::string>& argv, const ExecOptions& options) {
  std::vector<char*> pointers;
  for (const std::string& arg : argv) {
    pointers.push_back(const_cast<char*>(arg.c_str()));
  }
  pointers.push_back(nullptr);
  UniqueFd in(open(options.in.c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(in.ok());
  const Stream out(options.out);
  const Stream err(options.err);
  const int streams[3] = {in.get(), out.fd(), err.fd()};

  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) Become(pointers, streams, options);
  Outcome outcome;
  outcome.code = Await(pid, options.timeout);
  outcome.out = out.New();
  outcome.err = err.New();
  return outcome;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

void WriteFile(const std::string& path, const std::string& content, int mode) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  CHECK(file.good());
  // The umask is the test's own: 022.
  if (mode != 0644) CHECK(chmod(path.c_str(), mode) == 0);
}

absl::Time WallNow() { return absl::Now(); }
void Pause(absl::Duration d) { absl::SleepFor(d); }

}  // namespace bulwark::conformance
