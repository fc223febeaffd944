// Opening, opening again after an error of the disk, and checkpoints.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/status.h"
#include "rocksdb/db.h"
#include "rocksdb/utilities/checkpoint.h"
#include "rocksdb/write_batch.h"
#include "store/commit.h"
#include "store/rocks/database.h"
#include "store/rocks/home.h"
#include "store/rocks/rocks_store.h"
#include "store/rocks/rows.h"
#include "store/rocks/wal_files.h"

namespace bulwark::store {
namespace {

namespace fs = std::filesystem;

// The finished checkpoints of a store, oldest first: their names begin with
// the time, in seconds.
std::vector<std::string> Checkpoints(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!absl::EndsWith(name, ".tmp")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Time TimeOf(absl::string_view checkpoint) {
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(checkpoint.substr(0, checkpoint.find('-')), &seconds)) {
    return absl::InfinitePast();
  }
  return absl::FromUnixSeconds(seconds);
}

// `aside`: where what was cut before the damage was found is kept, if anything
// was.
absl::Status Damaged(const Home& home, const std::string& aside,
                     absl::string_view cause) {
  const std::vector<std::string> copies = Checkpoints(home.checkpoints());
  std::string remedy;
  if (copies.empty()) {
    remedy = absl::StrCat(
        "there is no checkpoint; restore a backup, or begin anew without what "
        "it held: mv ",
        home.path(), " ", home.path(), ".damaged");
  } else {
    remedy =
        absl::StrCat("to go back to ", absl::FormatTime(TimeOf(copies.back())),
                     ": mv ", home.db(), " ", home.db(), ".damaged && cp -a ",
                     home.checkpoints(), "/", copies.back(), " ", home.db());
  }
  std::error_code error;
  const std::string changed =
      fs::exists(aside, error)
          ? absl::StrCat(
                "unsynced ends of files were cut, whose originals "
                "are in ",
                aside)
          : "nothing was changed";
  return absl::DataLossError(absl::StrCat("open store ", home.path(),
                                          ": it is damaged (", cause, "); ",
                                          changed, "; ", remedy));
}

// Where an audit keeps the logs that it cuts.
std::string Aside(const Home& home, Clock& clock) {
  return absl::StrCat(home.path(), "/cut-logs-",
                      absl::ToUnixSeconds(clock.Now()));
}

}  // namespace

RocksStore::RocksStore(RocksOptions options, Clock& clock,
                       std::unique_ptr<Home> home)
    : options_(std::move(options)),
      clock_(clock),
      home_(std::move(home)),
      env_(rocksdb::NewCompositeEnv(std::make_shared<WalFiles>(
          WalFiles::Options{
              .directory = home_->db(),
              .room_bytes = options_.log_room_bytes,
              .make_space = [this] { return home_->ShrinkReserve(); },
              .before_error = [this] { NoteAppendFailed(); },
          },
          options_.env->GetFileSystem()))) {}

absl::StatusOr<std::unique_ptr<RocksStore>> RocksStore::Open(
    RocksOptions options, Clock& clock, Entropy& entropy) {
  if (options.env == nullptr) options.env = rocksdb::Env::Default();
  options.path = fs::absolute(options.path).lexically_normal().string();
  ASSIGN_OR_RETURN(
      std::unique_ptr<Home> home,
      Home::Open(options.path, options.reserve_bytes, options.env, clock));
  std::unique_ptr<RocksStore> store(
      new RocksStore(std::move(options), clock, std::move(home)));
  RETURN_IF_ERROR(store->Start(entropy));
  return store;
}

absl::StatusOr<std::unique_ptr<MetadataStore>> OpenRocksStore(
    RocksOptions options, Clock& clock, Entropy& entropy) {
  return RocksStore::Open(std::move(options), clock, entropy);
}

absl::Status RocksStore::Start(Entropy& entropy) {
  const std::string aside = Aside(*home_, clock_);
  ASSIGN_OR_RETURN(const std::string marker, home_->Instance());
  if (!marker.empty() && !home_->HasDatabase()) {
    return Damaged(*home_, aside, "the database is missing");
  }
  RETURN_IF_ERROR(home_->EnsureRoomToOpen());
  absl::WriterMutexLock lock(&db_mu_);
  absl::StatusOr<std::unique_ptr<rocksdb::DB>> db =
      OpenDatabase(home_->db(), aside, env_.get());
  absl::Status sound = db.status();
  if (sound.ok()) {
    db_ = *std::move(db);
    sound = CheckSchema(!marker.empty(), entropy);
  }
  if (sound.ok()) sound = LoadNumbers();
  if (IsDamage(sound)) return Damaged(*home_, aside, sound.message());
  RETURN_IF_ERROR(sound);
  RETURN_IF_ERROR(CheckInstance(marker));
  ASSIGN_OR_RETURN(const uint64_t revision,
                   ReadNumber(rows::kRevision, nullptr));
  feed_ = std::make_unique<Feed>(
      clock_, revision, Feed::Limits{},
      [this](uint64_t after, size_t limit) { return ReadLog(after, limit); });
  home_->FillReserve(options_.min_free_bytes);
  PlanFirstCheckpoint(revision);
  return absl::OkStatus();
}

// `complete`: the store was initialized before. An error that IsDamage() names
// the damage alone.
absl::Status RocksStore::CheckSchema(bool complete, Entropy& entropy) {
  const absl::StatusOr<uint64_t> schema = ReadNumber(rows::kSchemaRow, nullptr);
  if (absl::IsNotFound(schema.status())) {
    const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
    it->SeekToFirst();
    if (complete || it->Valid()) {
      return absl::DataLossError("the row of the schema version is missing");
    }
    return Initialize(entropy);
  }
  RETURN_IF_ERROR(schema.status());
  if (*schema <= rows::kSchema) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "open store ", home_->path(), ": it has schema version ", *schema,
      ", this program knows up to ", rows::kSchema,
      "; start the newer version that wrote it, or restore a checkpoint "
      "from before the upgrade"));
}

absl::Status RocksStore::CheckInstance(const std::string& marker) {
  ASSIGN_OR_RETURN(instance_, ReadRow(rows::kInstance, nullptr));
  if (marker.empty()) return home_->SetInstance(instance_);
  if (marker == instance_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "open store ", home_->path(), ": the database is of instance ", instance_,
      ", the file INSTANCE says ", marker,
      "; remove that file to accept the database"));
}

void RocksStore::PlanFirstCheckpoint(uint64_t revision) {
  const std::vector<std::string> copies = Checkpoints(home_->checkpoints());
  absl::Duration wait = options_.checkpoint_every;
  if (revision > 0) {
    wait -= copies.empty() ? wait : clock_.Now() - TimeOf(copies.back());
    wait = std::clamp(wait, absl::ZeroDuration(), options_.checkpoint_every);
  }
  next_checkpoint_ = clock_.Steady() + wait;
}

absl::Status RocksStore::Initialize(Entropy& entropy) {
  const std::string zero = rows::EncodeNumber(0);
  rocksdb::WriteBatch batch;
  batch.Put(std::string(rows::kSchemaRow), rows::EncodeNumber(rows::kSchema));
  batch.Put(std::string(rows::kInstance), NewUid(entropy));
  batch.Put(std::string(rows::kRevision), zero);
  batch.Put(std::string(rows::kLimit), zero);
  batch.Put(std::string(rows::kFloor), zero);
  rocksdb::WriteOptions options;
  options.sync = true;
  return FromRocks(db_->Write(options, &batch), "initialize", home_->db());
}

absl::Status RocksStore::LoadNumbers() {
  ASSIGN_OR_RETURN(const uint64_t revision,
                   ReadNumber(rows::kRevision, nullptr));
  ASSIGN_OR_RETURN(limit_, ReadNumber(rows::kLimit, nullptr));
  ASSIGN_OR_RETURN(floor_, ReadNumber(rows::kFloor, nullptr));
  kept_floor_ = floor_;
  last_ = std::max(revision, limit_);
  synced_ = written_ = revision;  // RocksDB flushed what it recovered
  return absl::OkStatus();
}

absl::Status RocksStore::Recover() {
  // Until then what is open still serves readers.
  RETURN_IF_ERROR(home_->EnsureRoomToOpen());
  absl::WriterMutexLock lock(&db_mu_);
  ++reopened_;
  if (db_ != nullptr) {
    // It failed already; what it says now is not news.
    db_->Close().PermitUncheckedError();
    db_.reset();
    closed_ = true;
  }
  ASSIGN_OR_RETURN(
      db_, OpenDatabase(home_->db(), Aside(*home_, clock_), env_.get()));
  RETURN_IF_ERROR(LoadNumbers());
  ASSIGN_OR_RETURN(const uint64_t revision,
                   ReadNumber(rows::kRevision, nullptr));
  NoteRecovered(revision, feed_->Current());
  // What was written though the write failed is published now. If instead
  // something is gone that watchers have seen, they must list again.
  while (feed_->Current() < revision) {
    absl::StatusOr<std::vector<CommitPtr>> missed =
        ReadLogLocked(feed_->Current(), 256);
    if (!missed.ok() && !absl::IsOutOfRange(missed.status())) {
      return missed.status();
    }
    if (!missed.ok() || missed->empty()) {
      feed_->Reset(revision);
      break;
    }
    feed_->Publish(*std::move(missed));
  }
  if (feed_->Current() > revision) feed_->Reset(revision);
  broken_ = false;
  closed_ = false;
  LOG_INFO("store opened again",
           {{"path", home_->path()}, {"revision", revision}});
  return absl::OkStatus();
}

RocksStore::~RocksStore() {
  if (feed_ != nullptr) feed_->Close();
  absl::WriterMutexLock lock(&db_mu_);
  if (db_ == nullptr) return;
  if (feed_ != nullptr && !broken_) {
    // A clean end: the next start continues the revisions without a gap.
    rocksdb::WriteBatch batch;
    batch.Put(std::string(rows::kLimit), rows::EncodeNumber(feed_->Current()));
    rocksdb::WriteOptions options;
    options.sync = !options_.unsafe_no_sync_for_test;
    db_->Write(options, &batch).PermitUncheckedError();
  }
  db_->Close().PermitUncheckedError();
}

absl::Status RocksStore::Checkpoint(const std::string& directory) {
  absl::ReaderMutexLock lock(&db_mu_);
  if (db_ == nullptr) return ReadRow(rows::kRevision, nullptr).status();
  rocksdb::Checkpoint* raw = nullptr;
  RETURN_IF_ERROR(FromRocks(rocksdb::Checkpoint::Create(db_.get(), &raw),
                            "checkpoint", home_->db()));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
  return FromRocks(checkpoint->CreateCheckpoint(directory), "checkpoint to",
                   directory);
}

// RocksDB puts tables into a checkpoint by hard link. What ruins the blocks of
// such a table would ruin both: it gets blocks of its own.
absl::Status RocksStore::OwnTables(const std::string& directory) const {
  rocksdb::Env* env = options_.env;
  std::vector<std::string> names;
  RETURN_IF_ERROR(
      FromRocks(env->GetChildren(directory, &names), "list", directory));
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, ".sst")) continue;
    const std::string file = absl::StrCat(directory, "/", name);
    std::string bytes;
    RETURN_IF_ERROR(
        FromRocks(rocksdb::ReadFileToString(env, file, &bytes), "read", file));
    RETURN_IF_ERROR(
        FromRocks(rocksdb::WriteStringToFile(env, bytes, file + ".own", true),
                  "write", file));
    RETURN_IF_ERROR(
        FromRocks(env->RenameFile(file + ".own", file), "write", file));
  }
  return home_->SyncDirectory(directory);
}

// What cannot be removed now is tried again with the next checkpoint.
void RocksStore::RemoveCopy(const std::string& directory) const {
  rocksdb::Env* env = options_.env;
  std::vector<std::string> names;
  if (!env->GetChildren(directory, &names).ok()) return;
  for (const std::string& name : names) {
    if (name == "." || name == "..") continue;
    env->DeleteFile(absl::StrCat(directory, "/", name)).PermitUncheckedError();
  }
  if (!home_->SyncDirectory(directory).ok()) return;
  env->DeleteDir(directory).PermitUncheckedError();
}

void RocksStore::KeepCheckpoints(absl::Time now) {
  const fs::path directory = home_->checkpoints();
  std::error_code error;
  fs::create_directory(directory, error);
  // Left by a crash.
  for (fs::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".tmp") RemoveCopy(it->path().string());
  }
  const fs::path path =
      directory /
      absl::StrFormat("%010d-%d", absl::ToUnixSeconds(now), feed_->Current());
  const fs::path temporary = path.string() + ".tmp";
  absl::Status made = Checkpoint(temporary.string());
  if (made.ok()) made = OwnTables(temporary.string());
  if (made.ok()) {
    made =
        FromRocks(options_.env->RenameFile(temporary.string(), path.string()),
                  "rename", temporary.string());
  }
  if (made.ok()) made = home_->SyncDirectory(directory.string());
  if (!made.ok()) {
    LOG_WARN("cannot make a checkpoint of the store", {{"error", made}});
    RemoveCopy(temporary.string());
    return;
  }
  std::vector<std::string> copies = Checkpoints(directory.string());
  const int extra = static_cast<int>(copies.size()) - options_.checkpoints_kept;
  for (int i = 0; i < extra; ++i) {
    std::error_code ignored;
    fs::remove_all(directory / copies[i], ignored);
  }
}

}  // namespace bulwark::store
