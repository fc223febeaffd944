// One Exec call: a client's stream on one side, a process on the other.
#ifndef API_EXEC_CALL_H_
#define API_EXEC_CALL_H_

#include <string>

#include "absl/status/status.h"
#include "api/caller.h"
#include "api/stream_call.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

class ExecCall final : public StreamCall<v1::ExecRequest, v1::ExecResponse> {
 public:
  struct Environment {
    store::MetadataStore& store;
    engine::Engine& engine;
    Clock& clock;
    const Stopper& stopper;
    StreamCalls& calls;
    Caller caller;
  };

  // The caller has entered `environment.calls`, which this leaves. All of it
  // must outlive the call.
  static ExecCall* Start(const Environment& environment);

 private:
  explicit ExecCall(const Environment& environment);

  absl::Status Process() override;
  absl::Status Allowed() const override;
  void Note(const absl::Status& status) override;

  const Environment environment_;
  std::string project_;  // the thread's, once it is known
};

// Moves bytes between `call` and `session` until the process has ended and its
// output was sent, then sends its exit code. CANCELLED if the client went; the
// process is killed with its session. A client that detaches has `call` ended,
// and the process goes on until it ends or the daemon does.
absl::Status PumpExec(ExecCall& call, engine::ExecSession& session);

}  // namespace bulwark::api

#endif  // API_EXEC_CALL_H_
