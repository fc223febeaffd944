// One Attach call: a client's stream on one side, a container's on the other.
#ifndef API_ATTACH_CALL_H_
#define API_ATTACH_CALL_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "api/caller.h"
#include "api/container_lookup.h"
#include "api/stream_call.h"
#include "base/clock.h"
#include "engine/container_access.h"
#include "engine/engine.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/store.h"

namespace bulwark::api {

class AttachCall final
    : public StreamCall<v1::AttachRequest, v1::AttachResponse> {
 public:
  struct Environment {
    store::MetadataStore& store;
    engine::Engine& engine;
    engine::ContainerAccess& access;
    Clock& clock;
    const Stopper& stopper;
    StreamCalls& calls;
    Caller caller;
  };

  // The caller has entered `environment.calls`, which this leaves. All of it
  // must outlive the call.
  static AttachCall* Start(const Environment& environment);

 private:
  explicit AttachCall(const Environment& environment);

  absl::Status Process() override;
  absl::Status Allowed() const override;
  void Note(const absl::Status& status) override;

  // The container, once it has been started; without an id if it never will.
  absl::StatusOr<ContainerTarget> AwaitTarget();
  absl::Status AttachTo(const ContainerRef& container);
  // Of one that has ended: what its log has of its output.
  absl::Status SendLog(const ContainerRef& container);
  absl::Status SendExit(const ContainerRef& container);
  absl::Status SendNeverRun(const ContainerTarget& target);

  const Environment environment_;
  v1::AttachStart start_;
  std::string project_;  // the thread's, once it is known
};

// Moves bytes between `call` and `session`: OK once the container has ended or
// the client has left it (`*left`), CANCELLED if the client is gone.
absl::Status PumpAttach(AttachCall& call, engine::AttachSession& session,
                        engine::Engine& engine, const std::string& id,
                        bool input, bool* left);

v1::ExitResult ToExitResult(const engine::ExitInfo& exit);

}  // namespace bulwark::api

#endif  // API_ATTACH_CALL_H_
