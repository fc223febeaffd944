// The Node object: this host, what it cannot do, and how it last came up.
#ifndef DAEMON_NODE_NODE_RECORD_H_
#define DAEMON_NODE_NODE_RECORD_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "proto/bulwark/v1/api.pb.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "scheduler/events.h"
#include "store/store.h"

namespace bulwark::daemon {

// The object's name; its project is "default".
inline constexpr char kNodeName[] = "local";
// To it, for its events.
v1::ObjectReference NodeReference();
// Type of the condition whose message is the boot report. FALSE: services are
// missing; UNKNOWN: it is not over yet.
inline constexpr char kBooted[] = "Booted";
// After so long the report is closed as it is.
inline constexpr absl::Duration kBootDeadline = absl::Minutes(10);

// What the kernel says of itself.
struct HostIdentity {
  std::string boot_id;
  absl::Time boot_time;
  std::string kernel;
  std::string cgroups;  // "v2" or "hybrid"
  int64_t millicores = 0;
  int64_t memory_bytes = 0;
};
HostIdentity IdentifyHost(Clock& clock);

// The checks that concern everything that runs, as conditions: only those that
// are not good.
void SetHostConditions(const v1::DoctorResponse& doctor, absl::Time now,
                       v1::Node& node);

// The only writer of the Node.
// Thread-compatible; call it from one thread.
class NodeRecord {
 public:
  using Doctor = std::function<v1::DoctorResponse()>;
  // The key that clients seal secrets to; empty: there is none now.
  using PublicKey = std::function<std::string()>;

  // The references must outlive this object. `start_time`: of this process.
  NodeRecord(store::MetadataStore& store, Clock& clock,
             scheduler::EventRecorder& events, HostIdentity host,
             std::string version, absl::Time start_time, Doctor doctor,
             PublicKey public_key);

  // Writes the record, and begins a boot report if the host has been booted
  // since the last one. A very first start is none.
  absl::Status Open();
  // Brings the public key up to date, which a restore changes; and the boot
  // report, until every service is there or the deadline has passed. Cheap
  // afterwards.
  absl::Status Update();

  // The boot report is not over.
  bool reporting() const { return reporting_; }

 private:
  absl::Status Write(const std::function<void(v1::Node&)>& change);
  absl::Status UpdateKey();
  void SetBooted(v1::Node& node, v1::Condition::Status status,
                 absl::string_view reason, const std::string& text);

  store::MetadataStore& store_;
  Clock& clock_;
  scheduler::EventRecorder& events_;
  const HostIdentity host_;
  const std::string version_;
  const absl::Time start_time_;
  const Doctor doctor_;
  const PublicKey public_key_;
  std::string written_key_;
  bool reporting_ = false;
  absl::Time report_from_;
};

}  // namespace bulwark::daemon

#endif  // DAEMON_NODE_NODE_RECORD_H_
