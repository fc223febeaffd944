// What a volume's status says. Pure.
#ifndef SCHEDULER_VOLUMES_PLAN_H_
#define SCHEDULER_VOLUMES_PLAN_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "proto/bulwark/volumes/v1/records.pb.h"
#include "volumes/volume.h"

namespace bulwark::scheduler {

// Between two looks at how full a volume is. A directory has to be walked.
absl::Duration UsagePeriod(v1::VolumeSpec::Driver driver);

// The condition Ready after an attempt to make, grow and mount the volume.
v1::Condition ReadyCondition(const absl::Status& made);
// The condition Ready of a volume that only says what those of slots are like.
v1::Condition PatternCondition();

// The condition Restoring of a volume that is being made what it was: what is
// being done, and of what. Null: it is over, and that is not said of a volume
// that never was.
void RecordRestoring(const bulwark::volumes::v1::VolumeWork* work,
                     absl::Time now, v1::VolumeStatus& status);

// How full it is, in hundredths: of its bytes or of its inodes, whichever is
// more.
int FullPercent(const volumes::Usage& usage);

// The condition NearlyFull: TRUE from 80 and from 90 percent on, with a reason
// for each, FALSE again three points below.
v1::Condition NearlyFullCondition(const v1::Volume& volume,
                                  const volumes::Usage& usage);
// Whether `after` is worse than `before` (null: none), so that people should
// be told.
bool IsWorse(const v1::Condition* before, const v1::Condition& after);

// Writes what the driver says; who made a snapshot stays.
void RecordUsage(const volumes::Usage& usage, absl::Time now,
                 v1::VolumeStatus& status);
// Leaves out what bulwarkd makes for itself.
void RecordSnapshots(const std::vector<volumes::SnapshotInfo>& snapshots,
                     v1::VolumeStatus& status);
void RecordUsers(const std::set<std::string>& users, v1::VolumeStatus& status);

// "snapshot before", "the newest backup in /srv/backups".
std::string SourceOf(const bulwark::volumes::v1::VolumeWork& work);

// The names of snapshots that bulwarkd makes for itself cannot be a user's.
std::string OwnSnapshot(absl::string_view purpose, absl::string_view token);
bool IsOwnSnapshot(absl::string_view name);

}  // namespace bulwark::scheduler

#endif  // SCHEDULER_VOLUMES_PLAN_H_
