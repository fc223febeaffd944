#include "engine/launch/shim_start.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/check.h"
#include "base/status.h"
#include "engine/shim/shim_fds.h"
#include "os/passed_fds.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr absl::Duration kEndTimeout = absl::Seconds(10);

}  // namespace

// What the new process reads until it executes.
struct ShimStart::Process {
  std::vector<std::string> args;
  std::vector<char*> pointers;
  char* env[1] = {nullptr};
  std::vector<PassedFd> fds;
  BackgroundSpawn spawn;
};

void ShimStart::Delete::operator()(Process* process) const {
  AwaitSpawn(&process->spawn);
  delete process;
}

absl::StatusOr<ShimStart> ShimStart::Begin(int program,
                                           std::vector<std::string> args,
                                           std::vector<PassedFd> fds) {
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.ok()) return ErrnoStatus("open", "/dev/null");
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
    return ErrnoStatus("make", "socket pair");
  }
  ShimStart start;
  start.socket_.Reset(sockets[0]);
  const UniqueFd theirs(sockets[1]);
  // Not by make_unique, which would clear the stack in it.
  std::unique_ptr<Process> process(new Process);
  process->args = std::move(args);
  for (std::string& arg : process->args) {
    process->pointers.push_back(arg.data());
  }
  process->pointers.push_back(nullptr);
  process->fds = {{null.get(), 0},
                  {null.get(), 1},
                  {null.get(), 2},
                  {theirs.get(), shim::kStatusFd}};
  process->fds.insert(process->fds.end(), fds.begin(), fds.end());
  BackgroundSpawn& spawn = process->spawn;
  spawn.program = program;
  spawn.args = process->pointers.data();
  spawn.env = process->env;
  spawn.fds = process->fds.data();
  spawn.fd_count = process->fds.size();
  const int result = BeginSpawn(&spawn);
  if (result < 0) return ErrnoStatus(-result, "start", "bulwark-shim");
  start.pidfd_.Reset(spawn.pidfd);
  start.process_.reset(process.release());
  return start;
}

ShimStart::~ShimStart() {
  if (!pidfd_.ok()) return;
  if (!ordered_) {
    socket_.Reset();
    os::AwaitEnd(pidfd_.get(), kEndTimeout);
  }
  os::ReapChild(pidfd_.get());
}

absl::Status ShimStart::Order(absl::string_view plan, int third, int gate) {
  ASSIGN_OR_RETURN(const UniqueFd plan_fd, os::SealedBytes("plan", plan));
  CHECK(gate < 0 || third >= 0);  // descriptors keep their order
  const int fds[3] = {plan_fd.get(), third, gate};
  const size_t count = third < 0 ? 1 : gate < 0 ? 2 : 3;
  constexpr absl::string_view kOrder("\1", 1);
  if (os::SendWithFds(socket_.get(), kOrder, absl::MakeConstSpan(fds, count),
                      0) == static_cast<ssize_t>(kOrder.size())) {
    ordered_ = true;
    return absl::OkStatus();
  }
  const int error = errno;
  RETURN_IF_ERROR(Settle());
  return ErrnoStatus(error, "send the launch plan to", "bulwark-shim");
}

absl::Status ShimStart::Settle() {
  const int result = AwaitSpawn(&process_->spawn);
  if (result == 0) return absl::OkStatus();
  return ErrnoStatus(-result, "execute", "bulwark-shim");
}

}  // namespace bulwark::engine
