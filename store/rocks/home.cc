#include "store/rocks/home.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "store/rocks/database.h"

namespace bulwark::store {
namespace {

// What is given back of the reserve at once, in bytes: the log's room.
constexpr int64_t kReservePiece = int64_t{256} << 10;
// Of the reserve, which opening the database needs.
constexpr int64_t kOpeningShare = 4;
// For children of an owner that has died.
constexpr absl::Duration kHeirsEnd = absl::Seconds(5);

}  // namespace

absl::StatusOr<std::unique_ptr<Home>> Home::Open(const std::string& path,
                                                 int64_t reserve_bytes,
                                                 rocksdb::Env* env,
                                                 Clock& clock) {
  std::unique_ptr<Home> home(new Home(path, reserve_bytes, env));
  RETURN_IF_ERROR(home->MakeDirectories());
  RETURN_IF_ERROR(home->Lock(clock));
  return home;
}

absl::Status Home::MakeDirectories() {
  const std::filesystem::path parent =
      std::filesystem::path(path_).parent_path();
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) return ErrnoStatus(error.value(), "create", parent.string());
  RETURN_IF_ERROR(FromRocks(env_->CreateDirIfMissing(path_), "create", path_));
  if (chmod(path_.c_str(), 0700) != 0) {
    return ErrnoStatus("restrict the mode of", path_);
  }
  RETURN_IF_ERROR(SyncDirectory(parent.string()));
  // RocksDB would make db/ but not its entry durable.
  RETURN_IF_ERROR(FromRocks(env_->CreateDirIfMissing(db()), "create", db()));
  return SyncDirectory(path_);
}

absl::Status Home::Lock(Clock& clock) {
  const std::string file = path_ + "/LOCK";
  lock_.Reset(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock_.ok()) return ErrnoStatus("open", file);
  const absl::Duration deadline = clock.Steady() + kHeirsEnd;
  while (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus("lock", file);
    char pid[24] = {};
    const ssize_t n = pread(lock_.get(), pid, sizeof(pid) - 1, 0);
    const absl::string_view owner =
        absl::StripAsciiWhitespace(absl::string_view(pid, n > 0 ? n : 0));
    int number = 0;
    if (absl::SimpleAtoi(owner, &number) && number > 0 &&
        kill(number, 0) != 0 && errno == ESRCH && clock.Steady() < deadline) {
      clock.Sleep(absl::Milliseconds(20));
      continue;
    }
    return absl::FailedPreconditionError(
        absl::StrCat("open store ", path_, ": another process",
                     owner.empty() ? "" : absl::StrCat(" (pid ", owner, ")"),
                     " is using it; is a second daemon running?"));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock_.get(), 0) != 0 ||
      pwrite(lock_.get(), pid.data(), pid.size(), 0) < 0) {
    // The pid only improves a message, and the disk may be full.
    LOG_DEBUG("cannot write the pid", {{"file", file}});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Home::Instance() const {
  const std::string file = path_ + "/INSTANCE";
  if (env_->FileExists(file).IsNotFound()) return std::string();
  std::string text;
  RETURN_IF_ERROR(
      FromRocks(rocksdb::ReadFileToString(env_, file, &text), "read", file));
  return std::string(absl::StripAsciiWhitespace(text));
}

absl::Status Home::SetInstance(const std::string& id) {
  const std::string file = path_ + "/INSTANCE";
  const std::string temporary = file + ".new";
  RETURN_IF_ERROR(
      FromRocks(rocksdb::WriteStringToFile(env_, id + "\n", temporary, true),
                "write", temporary));
  RETURN_IF_ERROR(FromRocks(env_->RenameFile(temporary, file), "write", file));
  return SyncDirectory(path_);
}

bool Home::HasDatabase() const {
  return env_->FileExists(db() + "/CURRENT").ok();
}

absl::StatusOr<int64_t> Home::FreeBytes() const {
  struct statvfs s;
  if (statvfs(path_.c_str(), &s) != 0) return ErrnoStatus("statvfs", path_);
  return static_cast<int64_t>(s.f_bavail) * static_cast<int64_t>(s.f_frsize);
}

int64_t Home::SpareReserve() const {
  struct stat st;
  if (stat(reserve().c_str(), &st) != 0) return 0;
  return static_cast<int64_t>(st.st_size) - reserve_bytes_ / kOpeningShare;
}

bool Home::HasReserve() const { return SpareReserve() > 0; }

bool Home::ShrinkReserve() {
  absl::MutexLock lock(&reserve_mu_);
  const int64_t spare = SpareReserve();
  if (spare <= 0) return false;
  const int64_t left = reserve_bytes_ / kOpeningShare +
                       std::max<int64_t>(spare - kReservePiece, 0);
  if (truncate(reserve().c_str(), left) != 0) return false;
  if (!on_reserve_) {
    LOG_WARN("the disk is full: the store lives on its reserve",
             {{"path", path_}});
  }
  on_reserve_ = true;
  return true;
}

void Home::FillReserve(int64_t spare) {
  absl::MutexLock lock(&reserve_mu_);
  on_reserve_ = false;
  const std::string file = reserve();
  struct stat st;
  const int64_t size = stat(file.c_str(), &st) == 0 ? st.st_size : 0;
  if (size >= reserve_bytes_) return;
  const absl::StatusOr<int64_t> free = FreeBytes();
  if (!free.ok() || *free < reserve_bytes_ - size + spare) return;
  const UniqueFd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  // What there is of it then is of use, too.
  if (fd.ok()) posix_fallocate(fd.get(), 0, reserve_bytes_);
}

bool Home::ReleaseReserve() { return unlink(reserve().c_str()) == 0; }

absl::Status Home::EnsureRoomToOpen() {
  // Opening writes what the logs hold into a table, at most a few megabytes.
  constexpr int64_t kRoom = int64_t{8} << 20;
  absl::MutexLock lock(&reserve_mu_);
  ASSIGN_OR_RETURN(int64_t free, FreeBytes());
  // No more of the reserve than that takes: there is work for the rest.
  struct stat st;
  while (free < kRoom && stat(reserve().c_str(), &st) == 0) {
    const bool given = st.st_size <= kRoom ? ReleaseReserve()
                                           : truncate(reserve().c_str(),
                                                      st.st_size - kRoom) == 0;
    if (!given) break;
    ASSIGN_OR_RETURN(free, FreeBytes());
  }
  if (free >= kRoom) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("open store ", path_, ": only ", free >> 10,
                   " KiB are left on its disk, ", kRoom >> 10,
                   " are needed; free some space there"));
}

absl::Status Home::SyncDirectory(const std::string& path) const {
  std::unique_ptr<rocksdb::Directory> directory;
  RETURN_IF_ERROR(
      FromRocks(env_->NewDirectory(path, &directory), "open", path));
  return FromRocks(directory->Fsync(), "fsync", path);
}

}  // namespace bulwark::store
