// What the proxy does with a request: apply, remember, count.
#ifndef DATAPLANE_PROXY_SERVICE_H_
#define DATAPLANE_PROXY_SERVICE_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "dataplane/dns_service.h"
#include "lb/tcp/data_plane.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::dataplane {

// Thread-safe.
class ProxyService {
 public:
  // `plane` and `dns` are borrowed; `path` is where the last good snapshot is
  // kept.
  ProxyService(lb::DataPlane& plane, DnsService& dns, std::string path)
      : plane_(plane), dns_(dns), path_(std::move(path)) {}

  // Serves the kept snapshot. NOT_FOUND if there is none, DATA_LOSS if it
  // cannot be read: we then serve nothing until the first Apply.
  absl::Status LoadLast();

  // A repeat of the current snapshot, byte for byte, gets its answer again (the
  // first one may have been lost with the connection).
  v1::Response Handle(const v1::Request& request);

 private:
  absl::StatusOr<v1::Applied> Apply(const v1::Snapshot& snapshot);
  // Puts it in force at the proxy and at the DNS server, or at neither.
  absl::StatusOr<v1::Applied> ApplyToAll(const v1::Snapshot& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  lb::DataPlane& plane_;
  DnsService& dns_;
  const std::string path_;
  absl::Mutex mu_;
  std::string last_snapshot_ ABSL_GUARDED_BY(mu_);
  v1::Applied last_applied_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::dataplane

#endif  // DATAPLANE_PROXY_SERVICE_H_
