// The calls about one container, over a Client.
#ifndef CTL_CONTAINER_CALLS_H_
#define CTL_CONTAINER_CALLS_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/client.h"
#include "proto/bulwark/v1/api.pb.h"

namespace bulwark::ctl {

// The two directions of an attach. Send may run in one thread while Read runs
// in another.
class AttachStream {
 public:
  virtual ~AttachStream() = default;
  // False when the stream is broken.
  virtual bool Send(const v1::AttachRequest& request) = 0;
  // False at the end.
  virtual bool Read(v1::AttachResponse& response) = 0;
  // Once, after Read said false.
  virtual absl::Status Finish() = 0;
};

// Not null; errors come with Finish().
std::unique_ptr<AttachStream> Attach(Client& client);

absl::StatusOr<v1::ProcessesResponse> Processes(
    Client& client, const v1::ProcessesRequest& request);
absl::Status Pause(Client& client, const v1::PauseRequest& request);
absl::Status Unpause(Client& client, const v1::UnpauseRequest& request);
absl::Status Signal(Client& client, const v1::SignalRequest& request);
// Blocks until it has ended.
absl::StatusOr<v1::WaitResponse> AwaitExit(Client& client,
                                           const v1::WaitRequest& request);
absl::StatusOr<v1::InspectResponse> Inspect(Client& client,
                                            const v1::InspectRequest& request);

// Calls `on_data` with the archive, whose error ends the call and is returned.
absl::Status CopyFrom(Client& client, const v1::CopyFromRequest& request,
                      const Client::OnData& on_data);
absl::Status Export(Client& client, const v1::ExportRequest& request,
                    const Client::OnData& on_data);
// `first` says where, `source` gives the archive.
absl::StatusOr<v1::CopyToResponse> CopyTo(Client& client,
                                          const v1::CopyToRequest& first,
                                          const Client::Source& source);
// Takes as long as it takes to pack its files.
absl::StatusOr<v1::CommitResponse> Commit(Client& client,
                                          const v1::CommitRequest& request);
absl::StatusOr<v1::DiffResponse> Diff(Client& client,
                                      const v1::DiffRequest& request);

}  // namespace bulwark::ctl

#endif  // CTL_CONTAINER_CALLS_H_
