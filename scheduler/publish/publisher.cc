#include "scheduler/publish/publisher.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status.h"
#include "scheduler/conditions.h"
#include "scheduler/publish/kept_entry.h"
#include "scheduler/publish/ports_condition.h"
#include "store/objects.h"

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;

constexpr absl::Duration kApplyTimeout = absl::Seconds(10);
constexpr absl::Duration kStatsTimeout = absl::Seconds(2);
// Between two samples of the connections of draining replicas, and so the
// longest that an ended connection delays a stop.
constexpr absl::Duration kSamplePeriod = absl::Milliseconds(200);
// A lost hint costs no more than this.
constexpr absl::Duration kResyncPeriod = absl::Seconds(30);
// Between two looks at whether the data plane runs at all.
constexpr absl::Duration kGuardPeriod = absl::Seconds(1);
// After a snapshot nothing is published for this many times as long as it took,
// so that a burst of changes leads to few of them: each is about everything.
constexpr int kRestShare = 3;
// But never for longer, whatever held the last one up.
constexpr absl::Duration kLongestRest = absl::Milliseconds(250);
// How long a change that moves no connection waits for others: the first
// replica of a new service, above all.
constexpr absl::Duration kGather = absl::Milliseconds(20);
// Until a port that another program held is tried again.
constexpr absl::Duration kPortRetryPeriod = absl::Seconds(2);

bool IsLeaving(const v1::Replica& replica) {
  return replica.status().state() >= v1::ReplicaStatus::DRAINING;
}

// As pools are called.
std::string KeyOf(const v1::Service& service) {
  const v1::Metadata& m = service.metadata();
  return absl::StrCat(m.project().empty() ? "default" : m.project(), "/",
                      m.name());
}

// Else it has no replicas because it should have none.
bool WantsReplicas(const v1::Service& service) {
  if (service.status().desired_replicas() == 0) return false;
  return std::none_of(
      service.status().conditions().begin(),
      service.status().conditions().end(), [](const v1::Condition& c) {
        return c.type() == "Available" && c.reason() == "HostShutdown";
      });
}

}  // namespace

Publisher::Publisher(store::MetadataStore& store, lb::Proxy& proxy,
                     Clock& clock, PublisherOptions options)
    : store_(store),
      proxy_(proxy),
      clock_(clock),
      options_(std::move(options)),
      follower_("publisher", store, clock, store::Filter{},
                [this](const std::vector<store::Change>* changes) {
                  return Pass(changes);
                }) {
  view_.dns_upstreams = options_.dns_upstreams;
  view_.dns_addresses = options_.dns_addresses;
}

void Publisher::Start(ChangeSink sink) {
  sink_ = std::move(sink);
  follower_.Start();
}

bool Publisher::IsOut(absl::string_view replica_uid) const {
  absl::MutexLock lock(&mu_);
  return out_.find(std::string(replica_uid)) != out_.end();
}

int64_t Publisher::ActiveConnections(absl::string_view replica_uid) const {
  absl::MutexLock lock(&mu_);
  auto it = active_.find(std::string(replica_uid));
  return it == active_.end() ? -1 : it->second;
}

absl::StatusOr<absl::Duration> Publisher::Pass(
    const std::vector<store::Change>* changes) {
  const absl::Duration now = clock_.Steady();
  const bool due = now >= resync_;
  absl::Duration rest = absl::InfiniteDuration();
  if (due && ports_failed_) published_.clear();
  if (due || changes == nullptr) {
    RETURN_IF_ERROR(PublishOnce());
    resync_ = now + kResyncPeriod;
  } else {
    // In this order: the changes are gone after this.
    const Urgency urgency = objects_.Take(*changes);
    if (urgency == Urgency::kNow || published_.empty()) publish_at_ = now;
    if (urgency == Urgency::kSoon) {
      publish_at_ = std::min(publish_at_, now + kGather);
    }
    if (publish_at_ != absl::InfiniteDuration()) {
      const absl::Duration at = std::max(publish_at_, rested_);
      if (now < at) {
        rest = at - now;
      } else {
        RETURN_IF_ERROR(Apply());
      }
    }
  }
  if (ports_failed_) resync_ = std::min(resync_, now + kPortRetryPeriod);
  bool draining;
  {
    absl::MutexLock lock(&mu_);
    draining = !out_.empty();
  }
  if (draining) {
    RETURN_IF_ERROR(SampleOnce());
    return std::min(kSamplePeriod, rest);
  }
  // A keeper that was killed comes back within the period.
  if (now >= guard_) {
    RETURN_IF_ERROR(proxy_.Start());
    guard_ = now + kGuardPeriod;
  }
  return std::min(rest, std::max(absl::ZeroDuration(),
                                 std::min(guard_, resync_) - clock_.Steady()));
}

absl::Status Publisher::PublishOnce() {
  RETURN_IF_ERROR(objects_.Read(store_));
  return Apply();
}

// Its containers run on: so do its ports and names.
absl::Status Publisher::KeepUnreadable(const PublishView& view,
                                       dp::Snapshot& snapshot) {
  std::map<std::string, dp::Snapshot> kept;
  for (const std::string& service : view.unreadable) {
    const auto known = kept_.find(service);
    if (known != kept_.end()) {
      kept[service] = std::move(known->second);
      continue;
    }
    if (!last_.has_value()) {  // since before we were started
      auto last = proxy_.LastApplied();
      if (absl::IsDataLoss(last.status())) {
        LOG_ERROR("service is not served: its record cannot be read",
                  {{"service", service}, {"error", last.status()}});
        last = dp::Snapshot();
      }
      RETURN_IF_ERROR(last.status());
      last_ = *std::move(last);
    }
    kept[service] = EntryOf(*last_, service);
  }
  kept_ = std::move(kept);
  for (const auto& [service, entry] : kept_) {
    AddEntry(entry, view.replicas, snapshot);
  }
  return absl::OkStatus();
}

absl::Status Publisher::Apply() {
  const absl::Duration begin = clock_.Steady();
  publish_at_ = absl::InfiniteDuration();
  dp::Snapshot snapshot = BuildSnapshot(view_);
  RETURN_IF_ERROR(KeepUnreadable(view_, snapshot));
  if (!synced_) {
    ASSIGN_OR_RETURN(dp::Stats stats, proxy_.Stats(kStatsTimeout));
    version_ = stats.version();
    synced_ = true;
  }
  std::string bytes = snapshot.SerializeAsString();
  if (bytes != published_) {
    snapshot.set_version(version_ + 1);
    auto applied = proxy_.Apply(snapshot, kApplyTimeout);
    if (!applied.ok()) {
      // Whether it took effect is not known: ask before the next one.
      synced_ = false;
      published_.clear();
      proxy_.Start().IgnoreError();  // the retry reports what is wrong
      return applied.status();
    }
    version_ = snapshot.version();
    published_ = std::move(bytes);
    last_ = snapshot;
    ports_failed_ = std::any_of(applied->errors().begin(),
                                applied->errors().end(), IsPortFailure);
    TellOfHolds(view_, snapshot);
    RETURN_IF_ERROR(WritePortConditions(view_, *applied));
  }
  std::set<std::string> changed;
  {
    std::set<std::string, std::less<>> out;
    for (const v1::Replica& replica : view_.replicas) {
      if (IsLeaving(replica)) out.insert(replica.metadata().uid());
    }
    absl::MutexLock lock(&mu_);
    std::set_difference(out.begin(), out.end(), out_.begin(), out_.end(),
                        std::inserter(changed, changed.end()));
    out_ = std::move(out);
  }
  if (sink_) std::for_each(changed.begin(), changed.end(), sink_);
  const absl::Duration end = clock_.Steady();
  rested_ = end + std::min(kRestShare * (end - begin), kLongestRest);
  return absl::OkStatus();
}

absl::Status Publisher::SampleOnce() {
  ASSIGN_OR_RETURN(dp::Stats stats, proxy_.Stats(kStatsTimeout));
  std::map<std::string, int64_t, std::less<>> active;
  for (const dp::PoolStats& pool : stats.pools()) {
    for (const dp::EndpointStats& endpoint : pool.endpoints()) {
      active[endpoint.id()] += static_cast<int64_t>(endpoint.active());
    }
  }
  std::vector<std::string> changed;
  {
    absl::MutexLock lock(&mu_);
    // An endpoint that the data plane no longer lists has no connection.
    for (const std::string& uid : out_) active.try_emplace(uid, 0);
    for (const auto& [uid, count] : active) {
      auto it = active_.find(uid);
      if (it == active_.end() || it->second != count) changed.push_back(uid);
    }
    active_ = std::move(active);
  }
  if (sink_) std::for_each(changed.begin(), changed.end(), sink_);
  return absl::OkStatus();
}

void Publisher::TellOfHolds(const PublishView& view, const dp::Snapshot& now) {
  const std::vector<HoldTracker::News> news = holds_.Take(now);
  if (news.empty() || !options_.tell) return;
  // Without it only the counts are missing.
  const absl::StatusOr<dp::Stats> stats = proxy_.Stats(kStatsTimeout);
  for (const HoldTracker::News& n : news) {
    const auto service = std::find_if(
        view.services.begin(), view.services.end(),
        [&](const v1::Service& s) { return KeyOf(s) == n.service; });
    if (service == view.services.end()) continue;
    if (n.held) {
      if (!WantsReplicas(*service)) continue;
      counts_[n.service].reset();
      if (stats.ok()) counts_[n.service] = CountsOf(*stats, n.service);
      options_.tell(ReferenceTo(*service), "ConnectionsHeld",
                    "no replica is ready: new connections wait",
                    v1::Event::WARNING);
      continue;
    }
    const auto before = counts_.find(n.service);
    if (before == counts_.end()) continue;  // nobody was told
    const bool counted = stats.ok() && before->second.has_value();
    options_.tell(
        ReferenceTo(*service), "ConnectionsReleased",
        counted ? ReleaseSentence(*before->second, CountsOf(*stats, n.service))
                : ReleaseSentence({}, {}),
        v1::Event::NORMAL);
    counts_.erase(before);
  }
}

absl::Status Publisher::WritePortConditions(const PublishView& view,
                                            const dp::Applied& applied) {
  for (const v1::Service& service : view.services) {
    std::optional<v1::Condition> condition = PortsCondition(service, applied);
    v1::Object object;
    *object.mutable_service() = service;
    Conditions& conditions =
        *object.mutable_service()->mutable_status()->mutable_conditions();
    if (!condition.has_value() ||
        !SetCondition(conditions, *condition, clock_.Now())) {
      continue;
    }
    auto commit =
        store_.Commit(store::Batch()
                          .Put(store::KeyOf(object), store::Encode(object),
                               store::RevisionOf(object))
                          .NotDurable()
                          .Essential());
    // Lost against another writer: its change comes back here as a change.
    if (absl::IsAborted(commit.status())) {
      published_.clear();
    } else if (!commit.ok()) {
      return commit.status();
    }
  }
  return absl::OkStatus();
}

}  // namespace bulwark::scheduler
