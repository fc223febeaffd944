// Who calls, and what they may.
#ifndef API_CALLER_H_
#define API_CALLER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/audit/call_record.h"
#include "api/demands.h"
#include "api/identity.h"
#include "api/rights.h"

namespace bulwark::api {

// What `peer` may do in `project`, now; kAnyProject: in one project or another.
// Errors are the store's. Thread-safe.
using Authorizer = std::function<absl::StatusOr<Rights>(
    const Peer& peer, const std::string& project)>;

// Everything, for everybody who could open the socket. For tests.
absl::StatusOr<Rights> AllowAll(const Peer& peer, const std::string& project);

// Passed by the gate to the body of each call. It asks at each question anew: a
// right that is taken away is gone for streams that run, too. Thread-safe.
class Caller {
 public:
  // `authorizer` must outlive this object, and all its copies.
  Caller(Peer peer, const Authorizer& authorizer)
      : peer_(std::move(peer)), authorizer_(&authorizer) {}

  // The call's record in the audit log; copies share it. Not null behind a
  // gate.
  const std::shared_ptr<CallRecord>& record() const { return record_; }
  void set_record(std::shared_ptr<CallRecord> record) {
    record_ = std::move(record);
  }

  const v1::Identity& identity() const { return peer_.identity; }
  operator const v1::Identity&() const {  // NOLINT(google-explicit-constructor)
    return peer_.identity;
  }

  // OK, or PERMISSION_DENIED: it names the right, the project, and what an
  // admin would add to its members. `what`: what needs it; may be empty.
  absl::Status Require(Right right, const std::string& project,
                       absl::string_view what = "") const;
  // All of them.
  absl::Status Require(const std::vector<Demand>& demands) const;

  // False also if it cannot be found out.
  bool Can(Right right, const std::string& project) const;
  // Whether they may see `object`.
  bool Sees(const v1::Object& object) const;

 private:
  Peer peer_;
  const Authorizer* authorizer_;
  std::shared_ptr<CallRecord> record_;
};

}  // namespace bulwark::api

#endif  // API_CALLER_H_
