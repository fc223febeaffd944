// The one place that every RPC passes: who calls, and may they.
#ifndef API_GATE_H_
#define API_GATE_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "api/errors.h"
#include "api/identity.h"

namespace bulwark::api {

// What a call needs.
enum class Right {
  kView,     // read what is declared and what runs
  kDeploy,   // declare and delete
  kOperate,  // scale, stop, start, undo
  kExec,     // run commands in containers
  kImages,   // bring in and remove images
  kAdmin,    // stop everything
};

struct AccessRule {
  absl::string_view method;  // "/bulwark.v1.Resources/Apply"
  Right right;
};

// One rule for each RPC; a test holds it against the descriptors.
absl::Span<const AccessRule> AccessRules();

// OK, or PERMISSION_DENIED with the right that is missing. Thread-safe.
using Authorizer =
    std::function<absl::Status(const v1::Identity& caller, Right right)>;

// Everything, for everybody who could open the socket.
absl::Status AllowAll(const v1::Identity& caller, Right right);

// Thread-safe.
class Gate {
 public:
  // `identities` must outlive this object.
  Gate(const IdentityTable& identities, Authorizer authorizer)
      : identities_(identities), authorizer_(std::move(authorizer)) {}

  // Who calls `method`, if they may. UNAUTHENTICATED if the connection is not
  // known, PERMISSION_DENIED also for a method without a rule.
  absl::StatusOr<v1::Identity> Enter(const std::string& peer,
                                     absl::string_view method) const;

  // Runs `body(caller)`, which returns an absl::Status, behind the gate.
  template <typename Body>
  grpc::Status Run(const grpc::ServerContextBase& context,
                   absl::string_view method, Body&& body) const {
    const absl::StatusOr<v1::Identity> caller = Enter(context.peer(), method);
    if (!caller.ok()) return ToGrpc(caller.status());
    return ToGrpc(std::forward<Body>(body)(*caller));
  }

 private:
  const IdentityTable& identities_;
  const Authorizer authorizer_;
};

}  // namespace bulwark::api

#endif  // API_GATE_H_
