#include "scheduler/publish/holds.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "scheduler/publish/snapshot_builder.h"

namespace bulwark::scheduler {
namespace {

namespace dp = ::bulwark::dataplane::v1;

bool IsHeld(const dp::Pool& pool) {
  return pool.paused() ||
         std::none_of(pool.endpoints().begin(), pool.endpoints().end(),
                      [](const dp::Endpoint& e) {
                        return e.state() == dp::Endpoint::READY;
                      });
}

uint64_t Since(uint64_t before, uint64_t after) {
  return after < before ? after : after - before;
}

}  // namespace

std::vector<HoldTracker::News> HoldTracker::Take(const dp::Snapshot& snapshot) {
  std::map<std::string, bool> now;
  for (const dp::Pool& pool : snapshot.pools()) {
    now[ServiceOfListener(pool.id())] |= IsHeld(pool);
  }
  std::vector<News> news;
  for (auto it = now.begin(); it != now.end();) {
    const auto before = held_.find(it->first);
    if (before == held_.end() && it->second) {
      it = now.erase(it);  // not ready yet
      continue;
    }
    if (before != held_.end() && before->second != it->second) {
      news.push_back({it->first, it->second});
    }
    ++it;
  }
  held_ = std::move(now);
  return news;
}

HoldCounts CountsOf(const dp::Stats& stats, const std::string& service) {
  HoldCounts counts;
  for (const dp::PoolStats& pool : stats.pools()) {
    if (!absl::StartsWith(pool.pool(), service + "/")) continue;
    counts.held += pool.held_total();
    counts.failed += pool.failed_total();
  }
  return counts;
}

std::string ReleaseSentence(const HoldCounts& before, const HoldCounts& after) {
  const uint64_t held = Since(before.held, after.held);
  const uint64_t failed = Since(before.failed, after.failed);
  std::string text = "a replica is ready again";
  if (held > 0) {
    absl::StrAppend(&text, "; ", held,
                    held == 1 ? " connection" : " connections", " waited");
  }
  if (failed > 0) {
    absl::StrAppend(&text, held > 0 ? ", " : "; ", failed,
                    failed == 1 ? " was" : " were", " closed unserved");
  }
  return text;
}

}  // namespace bulwark::scheduler
