#include "api/archive_pipe.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "api/rules.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::api {
namespace {

constexpr size_t kPiece = size_t{256} << 10;

// Hands on what comes through the pipe until its end. An error if the client or
// the server goes first.
absl::Status HandOn(int fd, const grpc::ServerContext& context,
                    const Stopper& stopper,
                    absl::FunctionRef<bool(std::string data)> send) {
  for (;;) {
    if (stopper.stopping()) {
      return absl::UnavailableError("the daemon is stopping");
    }
    if (context.IsCancelled()) return absl::CancelledError("client is gone");
    pollfd ready = {fd, POLLIN, 0};
    if (poll(&ready, 1,
             static_cast<int>(absl::ToInt64Milliseconds(kCancelPoll))) <= 0) {
      continue;
    }
    std::string data(kPiece, '\0');
    const ssize_t n = read(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus("read", "the archive");
    if (n == 0) return absl::OkStatus();
    data.resize(static_cast<size_t>(n));
    if (!send(std::move(data))) return absl::CancelledError("client is gone");
  }
}

}  // namespace

absl::Status PipeArchive(
    const grpc::ServerContext& context, const Stopper& stopper,
    const std::function<absl::Status(int fd, const std::function<bool()>&)>&
        produce,
    absl::FunctionRef<bool(std::string data)> send) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("make", "a pipe");
  UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  std::atomic<bool> ended{false};
  absl::Status produced;
  std::thread thread([&] {
    // Who reads may be gone: that is an error of write(), not a signal.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    produced = produce(to.get(), [&ended] { return !ended.load(); });
    to.Reset();
  });
  const absl::Status sent = HandOn(from.get(), context, stopper, send);
  ended = true;
  from.Reset();
  thread.join();
  // After the client went, what the other says is only that.
  RETURN_IF_ERROR(sent);
  return produced;
}

}  // namespace bulwark::api
