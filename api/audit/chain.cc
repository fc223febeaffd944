#include "api/audit/chain.h"

#include <sodium.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/access_rules.h"
#include "api/convert.h"
#include "api/rules.h"

namespace bulwark::api {
namespace {

constexpr size_t kHashSize = crypto_hash_sha256_BYTES;

void Update(crypto_hash_sha256_state& state, absl::string_view bytes) {
  crypto_hash_sha256_update(
      &state, reinterpret_cast<const unsigned char*>(bytes.data()),
      bytes.size());
}

}  // namespace

store::Key AuditKey(int64_t sequence) {
  return {"audit", "", absl::StrFormat("%016d", sequence)};
}

store::Key AuditHeadKey() { return {"audit-head", "", "log"}; }

std::string ChainHash(absl::string_view previous, v1::AuditRecord record) {
  record.clear_hash();
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  Update(state, previous.empty() ? std::string(kHashSize, '\0')
                                 : std::string(previous));
  // A record holds no map: its fields in the order of their numbers are its
  // one form.
  Update(state, record.SerializeAsString());
  std::string hash(kHashSize, '\0');
  crypto_hash_sha256_final(&state,
                           reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

absl::Status CheckLink(absl::string_view previous, int64_t sequence,
                       const v1::AuditRecord& record) {
  if (record.sequence() == sequence &&
      record.hash() == ChainHash(previous, record)) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(
      "verify the audit log: record ", sequence, " was changed, or the one ",
      "before it: its hash does not fit. It reads: ", NameOfRecord(record)));
}

std::string RotationDetail(int64_t removed, absl::string_view removed_hash) {
  return absl::StrCat("records up to ", removed,
                      " were removed; the hash of the last one is ",
                      absl::BytesToHexString(removed_hash));
}

std::string NameOfRecord(const v1::AuditRecord& record) {
  return absl::StrCat("record ", record.sequence(), " (",
                      Quoted(record.actor().name()), " called ",
                      Quoted(ShortName(record.method())), " at ",
                      absl::FormatTime(absl::RFC3339_sec, ToTime(record.time()),
                                       absl::UTCTimeZone()),
                      ")");
}

}  // namespace bulwark::api
