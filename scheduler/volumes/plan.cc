#include "scheduler/volumes/plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/units.h"
#include "scheduler/conditions.h"
#include "scheduler/times.h"

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kQuickPeriod = absl::Seconds(15);
constexpr absl::Duration kWalkPeriod = absl::Minutes(5);
constexpr int kLevels[] = {90, 80};
// A volume that lingers at a level says so once.
constexpr int kHysteresis = 3;
constexpr char kAbove[] = "Above";

int Percent(int64_t part, int64_t whole) {
  if (whole <= 0 || part <= 0) return 0;
  return static_cast<int>(100.0 * static_cast<double>(part) /
                          static_cast<double>(whole));
}

// 0 for what is not nearly full.
int LevelOf(const v1::Condition* condition) {
  if (condition == nullptr || condition->status() != v1::Condition::TRUE) {
    return 0;
  }
  for (const int level : kLevels) {
    if (condition->reason() == absl::StrCat(kAbove, level, "Percent")) {
      return level;
    }
  }
  return 0;
}

std::string Reason(const absl::Status& made) {
  switch (made.code()) {
    case absl::StatusCode::kResourceExhausted:
      return "NoSpace";
    case absl::StatusCode::kDataLoss:
      return "Damaged";
    default:
      return "Failed";
  }
}

}  // namespace

absl::Duration UsagePeriod(v1::VolumeSpec::Driver driver) {
  return driver == v1::VolumeSpec::LOCAL ||
                 driver == v1::VolumeSpec::DRIVER_UNSPECIFIED
             ? kWalkPeriod
             : kQuickPeriod;
}

v1::Condition ReadyCondition(const absl::Status& made) {
  v1::Condition condition;
  condition.set_type("Ready");
  condition.set_status(made.ok() ? v1::Condition::TRUE : v1::Condition::FALSE);
  condition.set_reason(made.ok() ? "Made" : Reason(made));
  std::string message(made.message());
  if (absl::IsResourceExhausted(made)) {
    absl::StrAppend(&message,
                    "; free some disk space, or declare a smaller size");
  }
  condition.set_message(std::move(message));
  return condition;
}

v1::Condition PatternCondition() {
  v1::Condition condition;
  condition.set_type("Ready");
  condition.set_status(v1::Condition::TRUE);
  condition.set_reason("Pattern");
  condition.set_message(
      "it holds nothing itself: each slot of the services that mount it has a "
      "volume made like it");
  return condition;
}

void RecordRestoring(const bulwark::volumes::v1::VolumeWork* work,
                     absl::Time now, v1::VolumeStatus& status) {
  using Work = bulwark::volumes::v1::VolumeWork;
  constexpr char kType[] = "Restoring";
  v1::Condition condition;
  condition.set_type(kType);
  if (work == nullptr) {
    if (FindCondition(status.conditions(), kType) == nullptr) return;
    condition.set_status(v1::Condition::FALSE);
    condition.set_reason("Over");
  } else {
    const bool preparing = work->phase() == Work::PREPARING;
    condition.set_status(v1::Condition::TRUE);
    condition.set_reason(preparing ? "Preparing" : "Swapping");
    condition.set_message(absl::StrCat(
        preparing ? "its new content is being made of "
                  : "who uses it is stopped, until it is what it was in ",
        SourceOf(*work)));
  }
  SetCondition(*status.mutable_conditions(), std::move(condition), now);
}

std::string SourceOf(const bulwark::volumes::v1::VolumeWork& work) {
  if (!work.snapshot().empty()) {
    return absl::StrCat("snapshot ", work.snapshot());
  }
  return absl::StrCat(work.backup().id().empty()
                          ? "the newest backup"
                          : absl::StrCat("backup ", work.backup().id()),
                      " in ", work.backup().repository());
}

int FullPercent(const volumes::Usage& usage) {
  return std::max(Percent(usage.capacity_bytes - usage.available_bytes,
                          usage.capacity_bytes),
                  Percent(usage.used_inodes, usage.capacity_inodes));
}

v1::Condition NearlyFullCondition(const v1::Volume& volume,
                                  const volumes::Usage& usage) {
  const int before =
      LevelOf(FindCondition(volume.status().conditions(), "NearlyFull"));
  const int full = FullPercent(usage);
  int level = 0;
  for (const int candidate : kLevels) {
    const int bound = candidate <= before ? candidate - kHysteresis : candidate;
    if (full >= bound) level = std::max(level, candidate);
  }
  v1::Condition condition;
  condition.set_type("NearlyFull");
  condition.set_status(level > 0 ? v1::Condition::TRUE : v1::Condition::FALSE);
  condition.set_reason(level > 0 ? absl::StrCat(kAbove, level, "Percent")
                                 : "HasRoom");
  if (level == 0) return condition;
  const bool own = volume.spec().driver() == v1::VolumeSpec::IMAGE ||
                   volume.spec().driver() == v1::VolumeSpec::TMPFS;
  condition.set_message(
      absl::StrCat(own ? "it is" : "the disk under it is", " more than ", level,
                   " % full (of ", FormatBytes(usage.capacity_bytes), "); ",
                   own ? "remove files, or declare a larger size"
                       : "free some space on that disk"));
  return condition;
}

bool IsWorse(const v1::Condition* before, const v1::Condition& after) {
  return LevelOf(&after) > LevelOf(before);
}

void RecordUsage(const volumes::Usage& usage, absl::Time now,
                 v1::VolumeStatus& status) {
  status.set_used_bytes(usage.used_bytes);
  status.set_capacity_bytes(usage.capacity_bytes);
  status.set_used_inodes(usage.used_inodes);
  status.set_capacity_inodes(usage.capacity_inodes);
  SetTime(status.mutable_usage_time(), now);
}

void RecordSnapshots(const std::vector<volumes::SnapshotInfo>& snapshots,
                     v1::VolumeStatus& status) {
  std::map<std::string, v1::Identity> actors;
  for (const v1::VolumeSnapshot& known : status.snapshots()) {
    actors[known.name()] = known.actor();
  }
  status.clear_snapshots();
  for (const volumes::SnapshotInfo& info : snapshots) {
    if (IsOwnSnapshot(info.name)) continue;
    v1::VolumeSnapshot& snapshot = *status.add_snapshots();
    snapshot.set_name(info.name);
    snapshot.set_size_bytes(info.size_bytes);
    SetTime(snapshot.mutable_create_time(), info.create_time);
    auto actor = actors.find(info.name);
    if (actor != actors.end()) *snapshot.mutable_actor() = actor->second;
  }
}

void RecordUsers(const std::set<std::string>& users, v1::VolumeStatus& status) {
  status.clear_users();
  for (const std::string& user : users) status.add_users(user);
}

std::string OwnSnapshot(absl::string_view purpose, absl::string_view token) {
  return absl::StrCat("-", purpose, "-", token);
}

bool IsOwnSnapshot(absl::string_view name) {
  return absl::StartsWith(name, "-");
}

}  // namespace bulwark::scheduler
