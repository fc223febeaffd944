#include "ctl/credential_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"

extern char** environ;

namespace bulwark::ctl {
namespace {

constexpr size_t kMostOutput = 64 << 10;

bool IsName(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

// What the program prints until it closes its output; an error if that takes
// too long.
absl::StatusOr<std::string> ReadAll(int fd, const std::string& program,
                                    absl::Duration end, Clock& clock) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const int64_t left = absl::ToInt64Milliseconds(end - clock.Steady());
    pollfd ready = {fd, POLLIN, 0};
    const int n = poll(&ready, 1, static_cast<int>(std::max<int64_t>(0, left)));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return absl::DeadlineExceededError(
          absl::StrCat("run ", program, ": it does not answer"));
    }
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read from", program);
    if (got == 0) return text;
    text.append(buffer, got);
    if (text.size() > kMostOutput) {
      return absl::FailedPreconditionError(
          absl::StrCat("run ", program, ": it prints too much"));
    }
  }
}

// Its exit status, once it has ended by itself.
absl::StatusOr<int> AwaitExit(pid_t pid, const std::string& program,
                              absl::Duration end, Clock& clock) {
  int status = 0;
  for (;;) {
    const pid_t reaped = waitpid(pid, &status, WNOHANG);
    if (reaped == pid) return status;
    if (reaped < 0 && errno != EINTR) return ErrnoStatus("wait for", program);
    if (clock.Steady() >= end) {
      return absl::DeadlineExceededError(absl::StrCat(
          "run ", program, ": it closes its output, and does not end"));
    }
    clock.Sleep(absl::Milliseconds(5));
  }
}

}  // namespace

absl::StatusOr<std::string> AskCredentialHelper(const std::string& name,
                                                const std::string& server,
                                                absl::Duration timeout,
                                                Clock& clock) {
  const std::string program = absl::StrCat("docker-credential-", name);
  if (!IsName(name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name.substr(0, 80), "\" is no name of a program"));
  }
  // A file, not a pipe: nobody has to take it.
  UniqueFd input(memfd_create("server", MFD_CLOEXEC));
  if (!input.ok() ||
      write(input.get(), server.data(), server.size()) !=
          static_cast<ssize_t>(server.size()) ||
      lseek(input.get(), 0, SEEK_SET) != 0) {
    return ErrnoStatus("write for", program);
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("make", "a pipe");
  UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input.get(), 0);
  posix_spawn_file_actions_adddup2(&actions, to.get(), 1);
  std::string verb = "get";
  std::string path = program;
  char* argv[] = {path.data(), verb.data(), nullptr};
  pid_t pid = -1;
  const int error =
      posix_spawnp(&pid, path.c_str(), &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("run ", program, ": ", std::strerror(error)));
  }
  to.Reset();
  const absl::Duration end = clock.Steady() + timeout;
  absl::StatusOr<std::string> text = ReadAll(from.get(), program, end, clock);
  const absl::StatusOr<int> status =
      text.ok() ? AwaitExit(pid, program, end, clock) : text.status();
  if (!status.ok()) {
    kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return status.status();
  }
  if (WIFEXITED(*status) && WEXITSTATUS(*status) == 0) return text;
  // What it says in place of credentials.
  if (absl::StrContains(*text, "not found")) {
    return absl::NotFoundError(absl::StrCat(program, " has none"));
  }
  std::string why(absl::StripAsciiWhitespace(text->substr(0, 200)));
  for (char& c : why) {
    if (!absl::ascii_isprint(c)) c = ' ';
  }
  return absl::FailedPreconditionError(
      absl::StrCat("run ", program, ": ", why.empty() ? "it failed" : why));
}

}  // namespace bulwark::ctl
