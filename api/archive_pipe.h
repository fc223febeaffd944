// An archive on its way from whoever makes it to a client.
#ifndef API_ARCHIVE_PIPE_H_
#define API_ARCHIVE_PIPE_H_

#include <grpcpp/server_context.h>

#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "api/stopper.h"

namespace bulwark::api {

// Runs `produce(fd, wanted)` in a thread of its own, which writes to a pipe,
// and hands what comes through it to `send`, in pieces, until its end; `send`
// returns false if the client is gone. Then, and when the daemon stops,
// `wanted` says no and writing fails. What `produce` returns, or why the client
// got no more.
absl::Status PipeArchive(
    const grpc::ServerContext& context, const Stopper& stopper,
    const std::function<absl::Status(int fd, const std::function<bool()>&)>&
        produce,
    absl::FunctionRef<bool(std::string data)> send);

}  // namespace bulwark::api

#endif  // API_ARCHIVE_PIPE_H_
