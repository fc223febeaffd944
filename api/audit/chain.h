// How records of the audit log hang together. Pure. See
// docs/formats/audit-log.md.
#ifndef API_AUDIT_CHAIN_H_
#define API_AUDIT_CHAIN_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/api.pb.h"
#include "store/key.h"

namespace bulwark::api {

store::Key AuditKey(int64_t sequence);
store::Key AuditHeadKey();

// SHA-256 over `previous`, the hash of the record before (32 zero bytes for the
// first), and the record without its own hash.
std::string ChainHash(absl::string_view previous, v1::AuditRecord record);

// DATA_LOSS, naming the record, unless it is number `sequence` and continues
// `previous`.
absl::Status CheckLink(absl::string_view previous, int64_t sequence,
                       const v1::AuditRecord& record);

// The method and detail of the record that tells of removed ones.
inline constexpr absl::string_view kRotation = "audit/rotate";
std::string RotationDetail(int64_t removed, absl::string_view removed_hash);

// "record 17 (alice called Services.Scale at 2026-01-31T10:00:00Z)".
std::string NameOfRecord(const v1::AuditRecord& record);

}  // namespace bulwark::api

#endif  // API_AUDIT_CHAIN_H_
