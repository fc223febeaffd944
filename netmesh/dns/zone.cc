#include "netmesh/dns/zone.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "os/ip_address.h"

namespace bulwark::netmesh::dns {
namespace {

using dataplane::v1::DnsRecord;
using dataplane::v1::SrvTarget;

std::string Data16(uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string Data32(uint32_t value) {
  return Data16(static_cast<uint16_t>(value >> 16)) +
         Data16(static_cast<uint16_t>(value));
}

// Lower case and without a final dot; INVALID_ARGUMENT if DNS cannot hold it.
absl::StatusOr<std::string> CheckName(absl::string_view name) {
  std::string lower = absl::AsciiStrToLower(absl::StripSuffix(name, "."));
  std::string ignored;
  if (!AppendName(&ignored, lower)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name.substr(0, 300), "\" is not a name in DNS"));
  }
  return lower;
}

absl::StatusOr<os::IpAddress> CheckAddress(absl::string_view text, int family) {
  ASSIGN_OR_RETURN(os::IpAddress address, os::IpAddress::Parse(text));
  if (address.family != family) {
    return absl::InvalidArgumentError(
        absl::StrCat("address ", text, " is of the other family"));
  }
  return address;
}

std::string AddressData(const os::IpAddress& address) {
  return std::string(reinterpret_cast<const char*>(address.bytes.data()),
                     static_cast<size_t>(address.size()));
}

}  // namespace

absl::StatusOr<Zone> Zone::Build(const dataplane::v1::DnsView& view,
                                 const ZoneOptions& options) {
  Zone zone(options);
  // RFC 6761, 6.3.
  Entry& local = zone.entries_["localhost"];
  local.ipv4.push_back(AddressData(os::IpAddress::V4(0x7f000001)));
  local.ipv6.push_back(std::string(15, '\0') + "\1");
  for (const DnsRecord& record : view.records()) {
    RETURN_IF_ERROR_CTX(
        zone.AddRecord(record),
        absl::StrCat("dns view ", view.listen_address(), ": record \"",
                     record.name().substr(0, 300), "\""));
  }
  for (const auto& [address, name] : zone.reverse_) {
    std::string& ptr = zone.entries_[address].ptr;
    ptr.clear();
    AppendName(&ptr, name);
  }
  return zone;
}

absl::Status Zone::AddRecord(const DnsRecord& record) {
  ASSIGN_OR_RETURN(std::string name, CheckName(record.name()));
  Entry& entry = entries_[name];
  for (const std::string& text : record.ipv4()) {
    ASSIGN_OR_RETURN(os::IpAddress address, CheckAddress(text, AF_INET));
    entry.ipv4.push_back(AddressData(address));
    AddReverse(address.ReverseName(), name);
  }
  for (const std::string& text : record.ipv6()) {
    ASSIGN_OR_RETURN(os::IpAddress address, CheckAddress(text, AF_INET6));
    entry.ipv6.push_back(AddressData(address));
    AddReverse(address.ReverseName(), name);
  }
  for (const SrvTarget& target : record.srv()) {
    if (target.port() == 0 || target.port() > 65535) {
      return absl::InvalidArgumentError(
          absl::StrCat("port ", target.port(), " is not from 1 to 65535"));
    }
    ASSIGN_OR_RETURN(std::string to, CheckName(target.target()));
    // Priority and weight 0, then the port (RFC 2782).
    std::string data = Data32(0) + Data16(static_cast<uint16_t>(target.port()));
    AppendName(&data, to);
    entry.srv.emplace_back(std::move(data), std::move(to));
  }
  if (!Below(name)) return absl::OkStatus();
  for (size_t dot = name.find('.'); dot != std::string::npos;
       dot = name.find('.', dot + 1)) {
    parents_.insert(name.substr(dot + 1));
  }
  return absl::OkStatus();
}

// An address has one name: a full one before a short one, then the longest
// (a replica's before its service's), then the first in order.
void Zone::AddReverse(const std::string& address_name,
                      const std::string& name) {
  std::string& best = reverse_[address_name];
  auto better = [this](const std::string& a, const std::string& b) {
    if (Below(a) != Below(b)) return Below(a);
    if (a.size() != b.size()) return a.size() > b.size();
    return a < b;
  };
  if (best.empty() || better(name, best)) best = name;
}

bool Zone::Below(absl::string_view name) const {
  return name == options_.domain ||
         (absl::EndsWith(name, options_.domain) &&
          name[name.size() - options_.domain.size() - 1] == '.');
}

bool Zone::IsForeign(const Query& query) const {
  return query.labels != 1 && !Below(query.name) &&
         !entries_.contains(query.name) && !IsSlot(query.name);
}

// "7.web" where there is a web, but no slot 7 now: no server in the world knows
// better.
bool Zone::IsSlot(absl::string_view name) const {
  const size_t dot = name.find('.');
  int slot;
  return dot != absl::string_view::npos &&
         absl::SimpleAtoi(name.substr(0, dot), &slot) &&
         entries_.contains(name.substr(dot + 1));
}

std::string Zone::Resolve(absl::string_view packet, const Query& query,
                          size_t limit, uint64_t turn) const {
  Answer answer(packet, query, limit);
  answer.SetFlag(kAa);
  if (query.name == options_.domain && query.type == kSoa) {
    AddSoa(Answer::kAnswer, &answer);
    return answer.Finish();
  }
  auto it = entries_.find(query.name);
  if (it == entries_.end()) {
    if (!parents_.contains(query.name) && query.name != options_.domain) {
      answer.SetRcode(kNxDomain);
    }
    if (Below(query.name)) AddSoa(Answer::kAuthority, &answer);
    return answer.Finish();
  }
  const Entry& entry = it->second;
  const bool any = query.type == kAny;
  bool found = false;
  if ((any || query.type == kA) && !entry.ipv4.empty()) {
    AddAddresses(entry.ipv4, kA, turn, &answer);
    found = true;
  }
  if ((any || query.type == kAaaa) && !entry.ipv6.empty()) {
    AddAddresses(entry.ipv6, kAaaa, turn, &answer);
    found = true;
  }
  if ((any || query.type == kSrv) && !entry.srv.empty()) {
    AddServices(entry, turn, &answer);
    found = true;
  }
  if ((any || query.type == kPtr) && !entry.ptr.empty()) {
    found =
        answer.Add(Answer::kAnswer, "", kPtr, options_.ttl_seconds, entry.ptr);
  }
  // NODATA: clients keep it for as long as the SOA says (RFC 2308).
  if (!found && Below(query.name)) AddSoa(Answer::kAuthority, &answer);
  return answer.Finish();
}

void Zone::AddAddresses(const std::vector<std::string>& data, uint16_t type,
                        uint64_t turn, Answer* answer) const {
  for (size_t i = 0; i < data.size(); ++i) {
    const std::string& one = data[(i + turn) % data.size()];
    if (!answer->Add(Answer::kAnswer, "", type, options_.ttl_seconds, one)) {
      answer->SetFlag(kTc);
      return;
    }
  }
}

void Zone::AddServices(const Entry& entry, uint64_t turn,
                       Answer* answer) const {
  for (size_t i = 0; i < entry.srv.size(); ++i) {
    const auto& [data, target] = entry.srv[(i + turn) % entry.srv.size()];
    if (!answer->Add(Answer::kAnswer, "", kSrv, options_.ttl_seconds, data)) {
      answer->SetFlag(kTc);
      return;
    }
  }
  // The targets' addresses, as far as they fit: leaving them out is no
  // truncation (RFC 2181, 9).
  absl::flat_hash_set<absl::string_view> done;
  for (const auto& [data, target] : entry.srv) {
    auto it = entries_.find(target);
    if (it == entries_.end() || !done.insert(target).second) continue;
    for (const std::string& a : it->second.ipv4) {
      if (!answer->Add(Answer::kAdditional, target, kA, options_.ttl_seconds,
                       a)) {
        return;
      }
    }
    for (const std::string& a : it->second.ipv6) {
      if (!answer->Add(Answer::kAdditional, target, kAaaa, options_.ttl_seconds,
                       a)) {
        return;
      }
    }
  }
}

void Zone::AddSoa(Answer::Section section, Answer* answer) const {
  std::string data;
  if (!AppendName(&data, "ns." + options_.domain) ||
      !AppendName(&data, "hostmaster." + options_.domain)) {
    return;
  }
  // Serial, refresh, retry, expire, negative TTL: nobody transfers the zone.
  for (uint32_t value : {1u, 3600u, 600u, 86400u, options_.ttl_seconds}) {
    data += Data32(value);
  }
  answer->Add(section, options_.domain, kSoa, options_.ttl_seconds, data);
}

}  // namespace bulwark::netmesh::dns
