#include "tests/e2e/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/unique_fd.h"

extern char** environ;

namespace bulwark::e2e {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& arg : argv) {
    pointers.push_back(const_cast<char*>(arg.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

int CodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct Pipe {
  UniqueFd read, write;
  Pipe() {
    int fds[2];
    CHECK(pipe2(fds, O_CLOEXEC) == 0);
    read.Reset(fds[0]);
    write.Reset(fds[1]);
  }
};

pid_t Spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  posix_spawn_file_actions_adddup2(&actions, err, 2);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argv[0].c_str(), &actions, nullptr,
                                 Pointers(argv).data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return error == 0 ? pid : -1;
}

// Moves what is there from `fd` to `to`; closes at the end.
void Drain(pollfd& p, UniqueFd& fd, std::string& to) {
  if (p.fd < 0 || p.revents == 0) return;
  char buffer[16384];
  const ssize_t n = read(p.fd, buffer, sizeof(buffer));
  if (n > 0) {
    to.append(buffer, n);
  } else {
    fd.Reset();
    p.fd = -1;
  }
}

}  // namespace

std::string Result::ToString() const {
  return absl::StrCat("exit ", code, "\nstdout: ", out, "\nstderr: ", err);
}

Result Run(const std::vector<std::string>& argv, absl::Duration timeout,
           const std::string& input) {
  Result result;
  Pipe in, out, err;
  const pid_t pid =
      Spawn(argv, in.read.get(), out.write.get(), err.write.get());
  in.read.Reset();
  out.write.Reset();
  err.write.Reset();
  if (pid < 0) {
    result.err = absl::StrCat("cannot start ", argv[0]);
    return result;
  }
  // Inputs of tests are smaller than a pipe's buffer.
  CHECK(write(in.write.get(), input.data(), input.size()) ==
        static_cast<ssize_t>(input.size()));
  in.write.Reset();
  const absl::Time deadline = WallNow() + timeout;
  pollfd fds[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
  bool late = false;
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    if (WallNow() > deadline) {
      kill(pid, SIGKILL);
      late = true;
      break;
    }
    poll(fds, 2, 50);
    Drain(fds[0], out.read, result.out);
    Drain(fds[1], err.read, result.err);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  result.code = late ? -1 : CodeOf(status);
  return result;
}

Background::Background(const std::vector<std::string>& argv,
                       const std::string& log_path) {
  UniqueFd null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  UniqueFd log(
      open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  CHECK(log.ok());
  pid_ = Spawn(argv, null.get(), log.get(), log.get());
  CHECK(pid_ > 0);
}

Background::~Background() {
  if (!ended_) {
    Signal(SIGKILL);
    Wait(absl::Seconds(30));
  }
}

bool Background::Alive() {
  if (ended_) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) {
    ended_ = true;
    code_ = CodeOf(status);
    dumped_core_ = WIFSIGNALED(status) && WCOREDUMP(status);
  }
  return !ended_;
}

void Background::Signal(int signal) {
  if (Alive()) kill(pid_, signal);
}

int Background::Wait(absl::Duration timeout) {
  Eventually([this] { return !Alive(); }, timeout);
  return ended_ ? code_ : -1;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  CHECK(file.good());
}

void Pause(absl::Duration d) { absl::SleepFor(d); }
absl::Time WallNow() { return absl::Now(); }

}  // namespace bulwark::e2e
