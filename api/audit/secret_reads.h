// What containers are given of secrets, in the audit log.
#ifndef API_AUDIT_SECRET_READS_H_
#define API_AUDIT_SECRET_READS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "api/audit/audit_log.h"
#include "base/clock.h"
#include "secrets/reads.h"

namespace bulwark::api {

// Method of its records, whose actor is "system".
inline constexpr absl::string_view kDelivery = "secrets/deliver";

// Bounds what a replica that is replaced again and again adds to the log: of
// one container of a slot that is given the same versions, the first so many an
// hour are kept one by one; the next one that is kept tells how many were not.
// Thread-safe.
class SecretReadLog {
 public:
  static constexpr int kAnHour = 10;

  // The references must outlive this object.
  SecretReadLog(AuditLog& log, Clock& clock) : log_(log), clock_(clock) {}

  // Durable on return, also on a disk that is too full for other things. As
  // secrets::RecordReads.
  absl::Status Record(const secrets::SecretReads& reads);

 private:
  struct Window {
    absl::Duration start;
    int kept = 0;
    int64_t left_out = 0;
  };

  // Whether to keep it; else it has been counted.
  bool Wanted(const std::string& key, int64_t& left_out);
  void Kept(const std::string& key, int64_t told);

  AuditLog& log_;
  Clock& clock_;
  absl::Mutex mu_;
  std::map<std::string, Window> windows_ ABSL_GUARDED_BY(mu_);
};

}  // namespace bulwark::api

#endif  // API_AUDIT_SECRET_READS_H_
