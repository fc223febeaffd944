#include "engine/local/log_compressor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "engine/local/log_file.h"
#include "os/files.h"

namespace bulwark::engine {
namespace {

constexpr size_t kBlock = 64 << 10;

// Text is a tenth with the fastest level, and little less with others.
constexpr char kMode[] = "wb1";

absl::Status WriteGzip(int from, int to, const std::string& scratch) {
  const int copy = fcntl(to, F_DUPFD_CLOEXEC, 0);
  const gzFile file = copy < 0 ? nullptr : gzdopen(copy, kMode);
  if (file == nullptr) {
    if (copy >= 0) close(copy);
    return ErrnoStatus("compress", scratch);
  }
  std::string block(kBlock, '\0');
  ssize_t n;
  bool good = true;
  while (good && (n = read(from, block.data(), block.size())) > 0) {
    good = gzwrite(file, block.data(), static_cast<unsigned>(n)) == n;
  }
  const int error = errno;
  good = gzclose(file) == Z_OK && good && n == 0;
  return good ? absl::OkStatus()
              : ErrnoStatus(error == 0 ? EIO : error, "compress", scratch);
}

absl::Status CompressOne(int dir, const LogFileName& name,
                         const std::string& scratch) {
  const std::string plain = name.ToString();
  LogFileName compressed = name;
  compressed.compressed = true;
  const std::string target = compressed.ToString();
  const UniqueFd from(
      openat(dir, plain.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!from.ok()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("open", plain);
  }
  const UniqueFd to(
      open(scratch.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!to.ok()) return ErrnoStatus("create", scratch);
  absl::Status status = WriteGzip(from.get(), to.get(), scratch);
  struct stat st;
  if (status.ok() && fstat(from.get(), &st) == 0) {
    // By its age readers tell whether they need it.
    const timespec times[2] = {st.st_atim, st.st_mtim};
    futimens(to.get(), times);
  }
  if (status.ok() && fdatasync(to.get()) != 0) {
    status = ErrnoStatus("write", scratch);
  }
  if (status.ok() &&
      renameat(AT_FDCWD, scratch.c_str(), dir, target.c_str()) != 0) {
    // Without its directory it is nobody's any more.
    status = errno == ENOENT ? absl::OkStatus() : ErrnoStatus("make", target);
  }
  if (!status.ok()) {
    unlink(scratch.c_str());
    return status;
  }
  if (unlinkat(dir, plain.c_str(), 0) != 0 && errno == ENOENT) {
    // Its writer dropped it meanwhile, as too old.
    unlinkat(dir, target.c_str(), 0);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CompressLogs(const std::string& directory,
                          const std::string& scratch) {
  const UniqueFd dir(
      open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.ok()) {
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus("open", directory);
  }
  ASSIGN_OR_RETURN(std::vector<LogFileName> names, ListLogFiles(dir.get()));
  if (!names.empty()) names.pop_back();  // it is being written
  for (const LogFileName& name : names) {
    if (name.old) continue;  // it has another name soon
    if (name.compressed || name.json) continue;
    RETURN_IF_ERROR(CompressOne(dir.get(), name, scratch));
  }
  return absl::OkStatus();
}

LogCompressor::LogCompressor(std::string containers, std::string scratch,
                             absl::Duration every)
    : containers_(std::move(containers)),
      scratch_(std::move(scratch)),
      every_(every),
      thread_([this] { Run(); }) {}

LogCompressor::~LogCompressor() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
  }
  thread_.join();
  unlink(scratch_.c_str());
}

bool LogCompressor::Stopped() {
  absl::MutexLock lock(&mu_);
  return stop_;
}

void LogCompressor::Run() {
  for (;;) {
    {
      absl::MutexLock lock(&mu_);
      if (mu_.AwaitWithTimeout(absl::Condition(&stop_), every_)) return;
    }
    Pass();
  }
}

void LogCompressor::Pass() {
  const absl::StatusOr<std::vector<std::string>> ids = os::ListDir(containers_);
  if (!ids.ok()) return;  // said by who needs it
  for (const std::string& id : *ids) {
    if (Stopped()) return;
    const absl::Status status =
        CompressLogs(absl::StrCat(containers_, "/", id), scratch_);
    if (status.ok()) continue;
    LOG_WARN("cannot compress a log", {{"id", id}, {"error", status}});
    return;  // a full disk is full for the others too
  }
}

}  // namespace bulwark::engine
