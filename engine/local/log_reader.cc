#include "engine/local/log_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::engine {
namespace {

constexpr size_t kHeader = 24;  // 19 digits, " o F "
constexpr size_t kBlock = 64 << 10;
constexpr int kMaxFiles = 1000;

std::string FileName(int index) {
  return index == 0 ? "log" : absl::StrCat("log.", index);
}

// Offset of the line that starts the last `*lines` lines of the file; subtracts
// from `*lines` those that it has.
int64_t SeekLines(int fd, int64_t size, int64_t* lines) {
  std::string block(kBlock, '\0');
  int64_t end = size;
  while (end > 0) {
    const int64_t begin = std::max<int64_t>(0, end - kBlock);
    const ssize_t n = pread(fd, block.data(), end - begin, begin);
    if (n <= 0) break;
    for (int64_t i = n - 1; i >= 0; --i) {
      // The newline at the very end closes the last line.
      if (block[i] != '\n' || begin + i + 1 == size) continue;
      if (--*lines == 0) return begin + i + 1;
    }
    end = begin;
  }
  if (size > 0) --*lines;
  return 0;
}

class FileLogReader final : public LogReader {
 public:
  FileLogReader(UniqueFd dir, UniqueFd notify, UniqueFd cancel,
                LogOptions options, std::function<bool()> has_exited,
                Clock& clock)
      : dir_(std::move(dir)),
        notify_(std::move(notify)),
        cancel_(std::move(cancel)),
        options_(options),
        has_exited_(std::move(has_exited)),
        clock_(clock) {}

  absl::Status Begin();
  absl::StatusOr<LogEntry> Next(absl::Duration timeout) override;
  void Cancel() override {
    const uint64_t one = 1;
    // Cannot fail: nobody reads it, and it is far from its maximum.
    [[maybe_unused]] const ssize_t n = write(cancel_.get(), &one, sizeof(one));
  }

 private:
  struct File {
    UniqueFd fd;
    int64_t offset = 0;
  };

  bool Cancelled() const {
    pollfd poll_fd = {cancel_.get(), POLLIN, 0};
    return poll(&poll_fd, 1, 0) == 1;
  }
  // The next whole line in what is open, moving from file to file.
  bool NextLine(std::string* line);
  bool ReadMore();
  // Opens the files that came after the last one of `files_`.
  void OpenNewer();
  void AwaitChange(absl::Duration timeout);

  const UniqueFd dir_;
  const UniqueFd notify_;
  const UniqueFd cancel_;
  const LogOptions options_;
  const std::function<bool()> has_exited_;
  Clock& clock_;
  std::vector<File> files_;  // oldest first; the first is being read
  std::string buffer_;       // of the first file, from its offset backwards
  size_t at_ = 0;            // in buffer_
};

absl::Status FileLogReader::Begin() {
  for (int index = 0; index < kMaxFiles; ++index) {
    UniqueFd fd(openat(dir_.get(), FileName(index).c_str(),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.ok() && errno != ENOENT) return ErrnoStatus("open", "log");
    // A gap is a rotation under way: "log" is missing for a moment.
    if (!fd.ok() && index > 1) break;
    if (fd.ok()) files_.insert(files_.begin(), {std::move(fd), 0});
  }
  // A rotation while we opened: the same file under two names.
  ino_t last = 0;
  for (auto it = files_.begin(); it != files_.end();) {
    struct stat st;
    if (fstat(it->fd.get(), &st) != 0) return ErrnoStatus("read", "log");
    it = st.st_ino == last ? files_.erase(it) : it + 1;
    last = st.st_ino;
  }
  if (options_.tail < 0) return absl::OkStatus();
  int64_t lines = options_.tail;
  size_t first = files_.size();
  while (first > 0 && (lines > 0 || first == files_.size())) {
    File& file = files_[--first];
    struct stat st;
    if (fstat(file.fd.get(), &st) != 0) return ErrnoStatus("read", "log");
    file.offset =
        lines == 0 ? st.st_size : SeekLines(file.fd.get(), st.st_size, &lines);
  }
  files_.erase(files_.begin(), files_.begin() + first);
  return absl::OkStatus();
}

bool FileLogReader::ReadMore() {
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t old = buffer_.size();
  buffer_.resize(old + kBlock);
  File& file = files_.front();
  const ssize_t n =
      pread(file.fd.get(), buffer_.data() + old, kBlock, file.offset);
  buffer_.resize(old + std::max<ssize_t>(0, n));
  if (n > 0) file.offset += n;
  return n > 0;
}

bool FileLogReader::NextLine(std::string* line) {
  while (!files_.empty()) {
    const size_t end = buffer_.find('\n', at_);
    if (end != std::string::npos) {
      *line = buffer_.substr(at_, end - at_);
      at_ = end + 1;
      return true;
    }
    if (ReadMore()) continue;
    if (files_.size() == 1) return false;  // more may come
    files_.erase(files_.begin());
    buffer_.clear();
    at_ = 0;
  }
  return false;
}

void FileLogReader::OpenNewer() {
  struct stat mine = {};
  if (!files_.empty()) fstat(files_.back().fd.get(), &mine);
  std::vector<File> newer;
  for (int index = 0; index < kMaxFiles; ++index) {
    UniqueFd fd(openat(dir_.get(), FileName(index).c_str(),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat st;
    if (!fd.ok() || fstat(fd.get(), &st) != 0) {
      if (index == 0) return;  // a rotation under way: look again later
      break;
    }
    if (!files_.empty() && st.st_ino == mine.st_ino) break;
    newer.insert(newer.begin(), {std::move(fd), 0});
  }
  // A single file is cut back in place.
  if (newer.empty() && !files_.empty() && mine.st_size < files_[0].offset) {
    files_[0].offset = 0;
    buffer_.clear();
    at_ = 0;
  }
  for (File& file : newer) files_.push_back(std::move(file));
}

void FileLogReader::AwaitChange(absl::Duration timeout) {
  pollfd fds[2] = {{notify_.get(), POLLIN, 0}, {cancel_.get(), POLLIN, 0}};
  const timespec limit = absl::ToTimespec(timeout);
  if (ppoll(fds, 2, &limit, nullptr) > 0 && fds[0].revents != 0) {
    alignas(inotify_event) char events[4096];
    while (read(notify_.get(), events, sizeof(events)) > 0) {
    }
  }
}

absl::StatusOr<LogEntry> FileLogReader::Next(absl::Duration timeout) {
  const absl::Duration deadline = clock_.Steady() + timeout;
  for (;;) {
    if (Cancelled()) return absl::CancelledError("read log: cancelled");
    // Asked before reading: what was written before the exit is then seen.
    const bool done = !options_.follow || has_exited_();
    std::string line;
    while (NextLine(&line)) {
      absl::StatusOr<LogEntry> entry = ParseLogLine(line);
      if (!entry.ok()) continue;  // torn by a crash
      if (entry->time >= options_.since) return entry;
    }
    const size_t before = files_.size();
    OpenNewer();
    if (files_.size() > before || (!files_.empty() && files_[0].offset == 0)) {
      struct stat st;
      if (files_.size() > 1 ||
          (fstat(files_[0].fd.get(), &st) == 0 && st.st_size > 0)) {
        continue;
      }
    }
    if (done) return absl::OutOfRangeError("read log: end");
    const absl::Duration left = deadline - clock_.Steady();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("read log: nothing new");
    }
    // The exit of a container is no change of a file that we would miss for
    // long, but look at it at least this often.
    AwaitChange(std::min(left, absl::Milliseconds(200)));
  }
}

}  // namespace

absl::StatusOr<LogEntry> ParseLogLine(absl::string_view line) {
  int64_t nanoseconds;
  if (line.size() < kHeader ||
      !absl::SimpleAtoi(line.substr(0, 19), &nanoseconds) || line[19] != ' ' ||
      line[21] != ' ' || line[23] != ' ' ||
      (line[22] != 'F' && line[22] != 'P')) {
    return absl::DataLossError("read log: a line is malformed");
  }
  LogEntry entry;
  entry.time = absl::FromUnixNanos(nanoseconds);
  entry.is_stderr = line[20] != 'o';  // the shim's own markers too
  entry.partial = line[22] == 'P';
  entry.line = std::string(line.substr(kHeader));
  return entry;
}

absl::StatusOr<std::unique_ptr<LogReader>> OpenLog(
    const std::string& directory, const LogOptions& options,
    std::function<bool()> has_exited, Clock& clock) {
  UniqueFd dir(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.ok()) return ErrnoStatus("open", directory);
  UniqueFd notify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!notify.ok()) return ErrnoStatus("watch", directory);
  if (options.follow &&
      inotify_add_watch(notify.get(), directory.c_str(),
                        IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
    return ErrnoStatus("watch", directory);
  }
  UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  if (!cancel.ok()) return ErrnoStatus("make", "event");
  auto reader = std::make_unique<FileLogReader>(
      std::move(dir), std::move(notify), std::move(cancel), options,
      std::move(has_exited), clock);
  RETURN_IF_ERROR(reader->Begin());
  return reader;
}

}  // namespace bulwark::engine
