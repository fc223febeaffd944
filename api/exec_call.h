// One Exec call: a client's stream on one side, a process on the other.
#ifndef API_EXEC_CALL_H_
#define API_EXEC_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "api/caller.h"
#include "api/stopper.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "engine/engine.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

// How many run, so that the server can wait for them. Thread-safe.
class ExecCalls {
 public:
  // False: there are too many.
  bool Enter();
  void Leave();
  // Blocks until none is left.
  void AwaitNone();

 private:
  absl::Mutex mu_;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

// gRPC's synchronous streams cannot end while a read waits for the client, so
// this one is asynchronous towards gRPC. A thread of its own moves the bytes;
// one message of the client and one of ours are in flight at most. Deletes
// itself when gRPC and the thread are both done.
class ExecCall final
    : public grpc::ServerBidiReactor<v1::ExecRequest, v1::ExecResponse> {
 public:
  struct Environment {
    store::MetadataStore& store;
    engine::Engine& engine;
    Clock& clock;
    const Stopper& stopper;
    ExecCalls& calls;
    Caller caller;
  };

  // The caller has entered `environment.calls`, which this leaves. All of it
  // must outlive the call.
  static ExecCall* Start(const Environment& environment);

  // For the thread.

  // The client's next message; none: its input has ended, or there is none yet.
  struct Inbox {
    std::optional<v1::ExecRequest> request;
    bool input_ended = false;
    bool cancelled = false;
  };
  Inbox Receive();
  // Waits for the first message. None: the client is gone or too slow.
  std::optional<v1::ExecRequest> ReceiveFirst();
  // Sends and waits until gRPC took it; false: the client is gone.
  bool Send(const v1::ExecResponse& response);
  // Becomes readable when Receive() has news.
  int wake_fd() const { return wake_.get(); }
  bool Cancelled();
  Clock& clock() { return environment_.clock; }

 private:
  explicit ExecCall(const Environment& environment);

  void Run();
  absl::Status RunProcess();
  void Unref();
  // Whether the caller may (still) run commands there.
  absl::Status CheckRight() const;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { Unref(); }

  const Environment environment_;
  UniqueFd wake_;
  std::string project_;        // the thread's, once it is known
  v1::ExecRequest incoming_;   // gRPC's while a read is on
  v1::ExecResponse outgoing_;  // gRPC's while a write is on

  std::atomic<int> references_{2};  // gRPC's and the thread's

  absl::Mutex mu_;
  bool has_request_ ABSL_GUARDED_BY(mu_) = false;
  bool input_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool write_failed_ ABSL_GUARDED_BY(mu_) = false;
};

// Moves bytes between `call` and `session` until the process has ended and its
// output was sent, then sends its exit code. CANCELLED if the client went; the
// process is killed with its session.
absl::Status PumpExec(ExecCall& call, engine::ExecSession& session);

}  // namespace bulwark::api

#endif  // API_EXEC_CALL_H_
