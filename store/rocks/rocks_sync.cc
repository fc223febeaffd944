// Waiting for what was seen before it was on the disk. One thread at a time
// syncs, for all that was written until then; commits that are not synced go on
// meanwhile.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "rocksdb/db.h"
#include "store/rocks/database.h"
#include "store/rocks/home.h"
#include "store/rocks/rocks_store.h"

namespace bulwark::store {
namespace {

// How long a commit waits for the one that is to follow it: a plan takes less
// than one to be made.
constexpr absl::Duration kFollower = absl::Milliseconds(2);

}  // namespace

void RocksStore::WantDurable(uint64_t revision) {
  absl::MutexLock lock(&sync_mu_);
  wanted_ = std::max(wanted_, revision);
}

void RocksStore::NoteRecovered(uint64_t revision, uint64_t published) {
  absl::MutexLock lock(&sync_mu_);
  wanted_ = std::min(wanted_, revision);
  if (published > revision) lost_.emplace_back(revision, published);
}

void RocksStore::NoteWritten(uint64_t revision, uint64_t seen_early) {
  written_ = revision;
  if (seen_early == 0) return;
  absl::MutexLock lock(&sync_mu_);
  written_early_ = seen_early;
}

void RocksStore::AwaitFollower(uint64_t revision) {
  absl::MutexLock lock(&sync_mu_);
  auto there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mu_) {
    return written_early_ > revision || synced_ >= revision;
  };
  clock_.AwaitUntil(sync_mu_, absl::Condition(&there),
                    clock_.Steady() + kFollower);
}

absl::Status RocksStore::AwaitDurable(uint64_t revision) {
  absl::MutexLock lock(&sync_mu_);
  // What needs no waiting may be lost all the same: it was seen with the rest.
  const uint64_t last = std::min(revision, wanted_);
  const auto lost = [this, revision]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mu_) {
    return std::any_of(lost_.begin(), lost_.end(), [revision](const auto& l) {
      return l.first < revision && revision <= l.second;
    });
  };
  while (!lost() && synced_ < last) {
    if (syncing_) {
      // It may do, or may have begun too early.
      auto over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sync_mu_) {
        return !syncing_;
      };
      sync_mu_.Await(absl::Condition(&over));
      continue;
    }
    syncing_ = true;
    sync_mu_.Unlock();
    const absl::Status status = SyncOnce();
    sync_mu_.Lock();
    syncing_ = false;
    RETURN_IF_ERROR(status);
    // Whatever the caller has seen was written before this one began.
    break;
  }
  if (!lost()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("await revision ", revision,
                   ": the disk failed and did not keep it; read again"));
}

void RocksStore::NoteAppendFailed() {
  absl::MutexLock lock(&unfailed_mu_);
  broken_ = true;
}

absl::Status RocksStore::SyncOnce() {
  absl::Status status;
  {
    absl::ReaderMutexLock lock(&db_mu_);
    if (db_ == nullptr) {
      status = absl::UnavailableError("the database failed");
    } else {
      const uint64_t written = written_;
      const absl::Duration start = clock_.Steady();
      absl::MutexLock alone(&log_sync_mu_);
      absl::MutexLock unfailed(&unfailed_mu_);
      if (broken_) {
        status = absl::UnavailableError("an earlier write failed");
      } else if (!options_.unsafe_no_sync_for_test) {
        status = FromRocks(db_->SyncWAL(), "sync", home_->db());
      }
      write_time_.Observe(clock_.Steady() - start);
      if (status.ok()) {
        uint64_t before = synced_;
        while (before < written &&
               !synced_.compare_exchange_weak(before, written)) {
        }
        return status;
      }
      ++failures_;
      broken_ = true;
    }
  }
  LOG_ERROR("cannot write to the store", {{"error", status}});
  // As after a failed write; by the only thread that may.
  const absl::Status opened = CommitInTurn(Batch()).status();
  if (opened.ok()) return opened;
  return absl::UnavailableError(
      absl::StrCat(status.message(), "; and ", opened.message(),
                   ": whether the change was written is not known"));
}

}  // namespace bulwark::store
