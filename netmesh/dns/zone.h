// The names that one network sees, and the answers that follow from them. Pure.
#ifndef NETMESH_DNS_ZONE_H_
#define NETMESH_DNS_ZONE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "netmesh/dns/message.h"
#include "proto/bulwark/dataplane/v1/snapshot.pb.h"

namespace bulwark::netmesh::dns {

struct ZoneOptions {
  std::string domain = "bulwark.internal";
  uint32_t ttl_seconds = 5;
};

// Immutable once built.
class Zone {
 public:
  // INVALID_ARGUMENT names the record that is malformed.
  static absl::StatusOr<Zone> Build(const dataplane::v1::DnsView& view,
                                    const ZoneOptions& options);

  // Whether the upstreams are asked: a foreign name of two labels or more, and
  // not that of a slot of a service.
  bool IsForeign(const Query& query) const;
  // The answer from our own records. `limit`: bytes of the message; `turn`
  // rotates the addresses.
  std::string Resolve(absl::string_view packet, const Query& query,
                      size_t limit, uint64_t turn) const;

 private:
  struct Entry {
    std::vector<std::string> ipv4;  // as record data
    std::vector<std::string> ipv6;
    // Record data, and the target's name.
    std::vector<std::pair<std::string, std::string>> srv;
    std::string ptr;  // record data
  };

  explicit Zone(ZoneOptions options) : options_(std::move(options)) {}
  absl::Status AddRecord(const dataplane::v1::DnsRecord& record);
  void AddReverse(const std::string& address_name, const std::string& name);
  bool Below(absl::string_view name) const;
  bool IsSlot(absl::string_view name) const;
  void AddAddresses(const std::vector<std::string>& data, uint16_t type,
                    uint64_t turn, Answer* answer) const;
  void AddServices(const Entry& entry, uint64_t turn, Answer* answer) const;
  void AddSoa(Answer::Section section, Answer* answer) const;

  ZoneOptions options_;
  absl::flat_hash_map<std::string, Entry> entries_;
  // Names that exist only because others are below them.
  absl::flat_hash_set<std::string> parents_;
  // Name of a PTR entry -> the name that it points to.
  absl::flat_hash_map<std::string, std::string> reverse_;
};

}  // namespace bulwark::netmesh::dns

#endif  // NETMESH_DNS_ZONE_H_
