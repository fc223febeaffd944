// The one place that every call passes: who calls, and may they.
#ifndef API_GATE_H_
#define API_GATE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/access_rules.h"
#include "api/audit/audit_log.h"
#include "api/audit/call_record.h"
#include "api/caller.h"
#include "api/errors.h"
#include "api/identity.h"
#include "base/clock.h"
#include "google/protobuf/message.h"

namespace bulwark::api {

// Thread-safe.
class Gate {
 public:
  // `identities` and `log` (null: nothing is kept) must outlive this object.
  Gate(const IdentityTable& identities, Authorizer authorizer, AuditLog* log,
       Clock& clock)
      : identities_(identities),
        authorizer_(std::move(authorizer)),
        log_(log),
        refusals_(clock) {}
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // Who makes a call of `rule`, if they may make it with `request` (null: a
  // stream that has not begun); the audit log knows of it then, as it does if
  // they may not. UNAUTHENTICATED if the connection is not known,
  // PERMISSION_DENIED if a right is missing, errors of CallRecord::Begin(). The
  // result must not outlive this object.
  absl::StatusOr<Caller> Enter(const std::string& peer, const AccessRule& rule,
                               const google::protobuf::Message* request) const;

  // Runs `body(caller)`, which returns an absl::Status, behind the gate.
  template <typename Body>
  grpc::Status Run(const grpc::ServerContextBase& context, Method method,
                   const google::protobuf::Message& request,
                   Body&& body) const {
    return RunRule(context, method.rule(), &request, std::forward<Body>(body));
  }

  // The same for a call whose messages come as a stream.
  template <typename Body>
  grpc::Status Run(const grpc::ServerContextBase& context, StreamMethod method,
                   Body&& body) const {
    return RunRule(context, method.rule(), nullptr, std::forward<Body>(body));
  }

 private:
  template <typename Body>
  grpc::Status RunRule(const grpc::ServerContextBase& context,
                       const AccessRule& rule,
                       const google::protobuf::Message* request,
                       Body&& body) const {
    const absl::StatusOr<Caller> caller = Enter(context.peer(), rule, request);
    if (!caller.ok()) return ToGrpc(caller.status());
    const absl::Status status = std::forward<Body>(body)(*caller);
    // A call that goes on has a body that ends it.
    if (rule.scope != Scope::kMessage) caller->record()->End(status);
    return ToGrpc(status);
  }

  const IdentityTable& identities_;
  const Authorizer authorizer_;
  AuditLog* const log_;
  mutable Refusals refusals_;
};

}  // namespace bulwark::api

#endif  // API_GATE_H_
