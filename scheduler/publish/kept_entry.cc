#include "scheduler/publish/kept_entry.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "scheduler/publish/snapshot_builder.h"

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;
using State = v1::ReplicaStatus;

// Where a listener listens.
using Place = std::tuple<int, std::string, uint32_t, int>;

Place PlaceOf(const dp::Listener& l) {
  return {l.place(), l.address(), l.port(), l.protocol()};
}

bool IsSlot(absl::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

// Whether `record` is a name of NAME in PROJECT, of one of its slots or ports:
// [SLOT.]NAME[.PROJECT[.DOMAIN]], _PORT._PROTOCOL.NAME.PROJECT.DOMAIN.
bool IsNameOf(absl::string_view record, const std::string& project,
              const std::string& name) {
  const bool full = absl::ConsumeSuffix(&record, absl::StrCat(".", kDnsDomain));
  const bool qualified =
      absl::ConsumeSuffix(&record, absl::StrCat(".", project));
  if (full && !qualified) return false;
  if (record == name) return true;
  if (!absl::ConsumeSuffix(&record, absl::StrCat(".", name))) return false;
  return IsSlot(record) || (full && absl::StartsWith(record, "_"));
}

// Whether the network is the project's: it has a full name of it.
bool IsViewOf(const dp::DnsView& view, const std::string& project) {
  const std::string domain = absl::StrCat(".", project, ".", kDnsDomain);
  return std::any_of(
      view.records().begin(), view.records().end(),
      [&](const dp::DnsRecord& r) { return absl::EndsWith(r.name(), domain); });
}

// What has become of an endpoint; none: it has ended.
dp::Endpoint::State Now(const v1::Replica& replica,
                        dp::Endpoint::State before) {
  switch (replica.status().state()) {
    case State::DRAINING:
    case State::STOPPING:
      return dp::Endpoint::DRAINING;
    case State::RUNNING:
      return replica.spec().goal() == v1::ReplicaSpec::RUN
                 ? before
                 : dp::Endpoint::DRAINING;
    default:
      return dp::Endpoint::STATE_UNSPECIFIED;
  }
}

void AddPool(const dp::Pool& before,
             const std::map<std::string, const v1::Replica*>& replicas,
             dp::Snapshot& out) {
  dp::Pool& pool = *out.add_pools();
  pool = before;
  pool.clear_endpoints();
  for (dp::Endpoint endpoint : before.endpoints()) {
    const auto replica = replicas.find(endpoint.id());
    // One without a record: it may be unreadable, too.
    if (replica != replicas.end()) {
      endpoint.set_state(Now(*replica->second, endpoint.state()));
    }
    if (endpoint.state() == dp::Endpoint::STATE_UNSPECIFIED) continue;
    *pool.add_endpoints() = std::move(endpoint);
  }
}

void AddNames(const dp::DnsView& before, dp::DnsView& view) {
  std::set<std::string> taken;
  for (const dp::DnsRecord& record : view.records()) {
    taken.insert(record.name());
  }
  for (const dp::DnsRecord& record : before.records()) {
    if (taken.count(record.name()) == 0) *view.add_records() = record;
  }
}

}  // namespace

dp::Snapshot EntryOf(const dp::Snapshot& all, const std::string& service) {
  dp::Snapshot entry;
  for (const dp::Pool& pool : all.pools()) {
    if (ServiceOfListener(pool.id()) == service) *entry.add_pools() = pool;
  }
  for (const dp::Listener& listener : all.listeners()) {
    if (ServiceOfListener(listener.pool()) == service) {
      *entry.add_listeners() = listener;
    }
  }
  const std::string project = service.substr(0, service.find('/'));
  const std::string name = service.substr(service.find('/') + 1);
  for (const dp::DnsView& view : all.dns_views()) {
    if (!IsViewOf(view, project)) continue;
    dp::DnsView names;
    names.set_listen_address(view.listen_address());
    for (const dp::DnsRecord& record : view.records()) {
      if (IsNameOf(record.name(), project, name)) *names.add_records() = record;
    }
    if (names.records_size() > 0) *entry.add_dns_views() = std::move(names);
  }
  return entry;
}

void AddEntry(const dp::Snapshot& entry,
              const std::vector<v1::Replica>& replicas, dp::Snapshot& out) {
  std::map<std::string, const v1::Replica*> by_uid;
  for (const v1::Replica& replica : replicas) {
    by_uid[replica.metadata().uid()] = &replica;
  }
  std::set<Place> taken;
  for (const dp::Listener& listener : out.listeners()) {
    taken.insert(PlaceOf(listener));
  }
  for (const dp::Pool& pool : entry.pools()) AddPool(pool, by_uid, out);
  for (const dp::Listener& listener : entry.listeners()) {
    if (taken.insert(PlaceOf(listener)).second) {
      *out.add_listeners() = listener;
    }
  }
  for (const dp::DnsView& names : entry.dns_views()) {
    for (dp::DnsView& view : *out.mutable_dns_views()) {
      if (view.listen_address() == names.listen_address()) {
        AddNames(names, view);
      }
    }
  }
}

}  // namespace bulwark::scheduler
