#include "engine/oci/listener.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "engine/oci/console.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(1);

// The number that the listener has in the process, once it is there.
std::optional<int> FindListener(int pid) {
  const std::string directory = absl::StrCat("/proc/", pid, "/fd");
  const absl::StatusOr<std::vector<std::string>> names = os::ListDir(directory);
  if (!names.ok()) return std::nullopt;
  for (const std::string& name : *names) {
    char target[64];
    const ssize_t n = readlink(absl::StrCat(directory, "/", name).c_str(),
                               target, sizeof(target));
    int number;
    if (n > 0 &&
        absl::StartsWith(absl::string_view(target, static_cast<size_t>(n)),
                         "anon_inode:seccomp notify") &&
        absl::SimpleAtoi(name, &number)) {
      return number;
    }
  }
  return std::nullopt;
}

absl::Status Release(int pid, uint64_t address) {
  uint32_t one = 1;
  const iovec ours = {&one, sizeof(one)};
  const iovec theirs = {reinterpret_cast<void*>(address), sizeof(one)};
  if (process_vm_writev(pid, &ours, 1, &theirs, 1, 0) == sizeof(one)) {
    return absl::OkStatus();
  }
  return ErrnoStatus("let go on", absl::StrCat("process ", pid));
}

}  // namespace

bool HasListener(const Spec& spec) {
  constexpr absl::string_view kNotify = "SCMP_ACT_NOTIFY";
  if (!spec.linux_.seccomp.has_value()) return false;
  if (spec.linux_.seccomp->default_action == kNotify) return true;
  for (const SeccompSyscall& call : spec.linux_.seccomp->syscalls) {
    if (call.action == kNotify) return true;
  }
  return false;
}

absl::Status HandOverListener(const os::ProcessRef& process, uint64_t address,
                              const Seccomp& seccomp, const State& state,
                              Status status, absl::Duration timeout,
                              Clock& clock) {
  absl::StatusOr<UniqueFd> agent = ConnectUnix(seccomp.listener_path);
  if (!agent.ok()) {
    return absl::UnavailableError(
        absl::StrCat("linux.seccomp.listenerPath: ", agent.status().message()));
  }
  const absl::StatusOr<UniqueFd> pidfd = os::OpenPidfd(process);
  if (!pidfd.ok()) return absl::OkStatus();  // it ended
  const absl::Duration deadline = clock.Steady() + timeout;
  std::optional<int> number;
  while (!(number = FindListener(process.pid)).has_value()) {
    if (os::AwaitEnd(pidfd->get(), kLookInterval)) return absl::OkStatus();
    if (clock.Steady() > deadline) {
      return absl::DeadlineExceededError(
          "linux.seccomp: the filter was not loaded in time");
    }
  }
  const UniqueFd listener(
      static_cast<int>(syscall(SYS_pidfd_getfd, pidfd->get(), *number, 0)));
  if (!listener.ok()) return ErrnoStatus("take", "the filter's listener");
  const nlohmann::json message = {
      {"ociVersion", state.version},
      {"fds", {"seccompFd"}},
      {"pid", process.pid},
      {"metadata", seccomp.listener_metadata},
      {"state", nlohmann::json::parse(StateJson(state, status))}};
  RETURN_IF_ERROR(SendWithFd(
      agent->get(),
      message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
      listener.get()));
  return Release(process.pid, address);
}

}  // namespace bulwark::engine::oci
