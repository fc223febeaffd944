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

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "engine/local/log_file.h"
#include "engine/local/log_line.h"

namespace bulwark::engine {
namespace {

// Longer than any record that is written: what is longer is none.
constexpr size_t kMaxRecord = 1 << 20;

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
  bool Cancelled() const {
    pollfd poll_fd = {cancel_.get(), POLLIN, 0};
    return poll(&poll_fd, 1, 0) == 1;
  }
  absl::Status SeekTail(const std::vector<LogFileName>& names);
  // With an end the last lines are those before it: they are counted first.
  absl::Status CountTail();
  // The next record in what is there, moving from file to file.
  bool NextEntry(LogEntry* entry);
  bool NextLine(std::string* line);
  // Whether a file follows the current one, so that no more comes to this.
  bool HasNewer();
  bool HasNewerOld();
  // Opens the oldest file after the current one; false if there is none.
  bool Advance();
  // Of files removed between the last one and `next`: tells how many.
  void TellGap(const LogFileName& next);
  void Open(std::unique_ptr<LogFile> file);
  void AwaitChange(absl::Duration timeout);

  const UniqueFd dir_;
  const UniqueFd notify_;
  const UniqueFd cancel_;
  const LogOptions options_;
  const std::function<bool()> has_exited_;
  Clock& clock_;
  std::unique_ptr<LogFile> file_;
  uint64_t number_ = 0;   // of the current file, or of the last one
  bool is_last_ = false;  // the writer is done with it
  bool over_ = false;     // `until` has been reached
  int64_t skip_ = 0;      // entries before the wanted ones
  std::string buffer_;
  size_t at_ = 0;  // in buffer_
  absl::Time last_time_ = absl::UnixEpoch();
  std::string loss_;    // what has to be told before the next record
  bool begun_ = false;  // number_ says which file comes next
};

absl::Status FileLogReader::Begin() {
  ASSIGN_OR_RETURN(const std::vector<LogFileName> names,
                   ListLogFiles(dir_.get()));
  // From here on every file is missed that goes before it is read.
  begun_ = names.empty() ? options_.follow : !names.front().old;
  if (begun_ && !names.empty()) {
    number_ = std::max<uint64_t>(1, names.front().number) - 1;
  }
  if (options_.tail < 0) return absl::OkStatus();
  return options_.until == absl::InfiniteFuture() ? SeekTail(names)
                                                  : CountTail();
}

absl::Status FileLogReader::SeekTail(const std::vector<LogFileName>& names) {
  int64_t lines = options_.tail;
  std::unique_ptr<LogFile> first;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    absl::StatusOr<std::unique_ptr<LogFile>> file =
        LogFile::Open(dir_.get(), *name);
    if (absl::IsNotFound(file.status())) break;  // rotated away meanwhile
    RETURN_IF_ERROR(file.status());
    const absl::Status status = (*file)->SkipToLast(&lines);
    if (absl::IsDataLoss(status)) break;
    RETURN_IF_ERROR(status);
    first = *std::move(file);
    if (lines <= 0) break;
  }
  if (first != nullptr) Open(std::move(first));
  return absl::OkStatus();
}

absl::Status FileLogReader::CountTail() {
  LogOptions all = options_;
  all.tail = -1;
  all.follow = false;
  FileLogReader counter(UniqueFd(fcntl(dir_.get(), F_DUPFD_CLOEXEC, 0)),
                        UniqueFd(), UniqueFd(eventfd(0, EFD_CLOEXEC)), all,
                        has_exited_, clock_);
  int64_t count = 0;
  while (counter.Next(absl::ZeroDuration()).ok()) ++count;
  skip_ = std::max<int64_t>(0, count - options_.tail);
  return absl::OkStatus();
}

void FileLogReader::Open(std::unique_ptr<LogFile> file) {
  file_ = std::move(file);
  number_ = file_->name().number;
  is_last_ = false;
  begun_ = !file_->name().old;
  buffer_.clear();
  at_ = 0;
}

// Of a file with an old name: which one it has now, and so whether it is still
// the newest.
bool FileLogReader::HasNewerOld() {
  const auto names = ListLogFiles(dir_.get());
  if (!names.ok()) return false;
  for (const LogFileName& name : *names) {
    if (!file_->IsAt(dir_.get(), name)) continue;
    number_ = name.number;
    return number_ < LogFileName::kNewestOld;
  }
  // Dropped by a rotation, or renamed just now.
  if (!file_->is_gone()) return false;
  number_ = 0;
  return true;
}

bool FileLogReader::HasNewer() {
  if (file_->name().old) return HasNewerOld();
  // Not only the next number: somebody may have removed that file.
  const auto names = ListLogFiles(dir_.get());
  return names.ok() && !names->empty() && names->back().number > number_;
}

bool FileLogReader::Advance() {
  const auto names = ListLogFiles(dir_.get());
  if (!names.ok()) return false;
  for (const LogFileName& name : *names) {
    if (name.number <= number_) continue;
    auto file = LogFile::Open(dir_.get(), name);
    if (!file.ok()) {
      if (!absl::IsNotFound(file.status())) number_ = name.number;
      continue;
    }
    // All of it is older than what is asked for.
    const bool skipped = name.number != names->back().number &&
                         (*file)->last_write() < options_.since;
    if (skipped) {
      number_ = name.number;
      begun_ = true;
      continue;
    }
    TellGap(name);
    Open(*std::move(file));
    return true;
  }
  return false;
}

// An old name says nothing of what was before it.
void FileLogReader::TellGap(const LogFileName& next) {
  if (!begun_ || next.old || number_ >= LogFileName::kNewestOld) return;
  const uint64_t gone = next.number - number_ - 1;
  if (gone == 0) return;
  loss_ = gone == 1
              ? "bulwark: a log file was removed before it was read, its lines "
                "are lost"
              : absl::StrCat("bulwark: ", gone,
                             " log files were removed before they were read, "
                             "their lines are lost");
}

bool FileLogReader::NextLine(std::string* line) {
  for (;;) {
    if (file_ == nullptr && !Advance()) return false;
    if (!loss_.empty()) return false;
    const size_t end = buffer_.find('\n', at_);
    if (end != std::string::npos) {
      *line = buffer_.substr(at_, end - at_);
      at_ = end + 1;
      return true;
    }
    buffer_.erase(0, at_);
    at_ = 0;
    if (buffer_.size() > kMaxRecord) buffer_.clear();
    const absl::StatusOr<size_t> n = file_->Read(&buffer_);
    if (n.ok() && *n > 0) continue;
    if (!n.ok()) {
      loss_ = absl::StrCat("bulwark: the log file ", file_->name().ToString(),
                           " is damaged, the rest of it is lost");
      file_ = nullptr;
      buffer_.clear();
      return false;
    }
    if (!is_last_) {
      // Asked before the last look: what was written before the next file was
      // opened is then seen.
      if (!HasNewer()) return false;
      is_last_ = true;
      continue;
    }
    file_ = nullptr;
    buffer_.clear();
  }
}

bool FileLogReader::NextEntry(LogEntry* entry) {
  std::string line;
  for (;;) {
    if (NextLine(&line)) {
      absl::StatusOr<LogEntry> parsed = ParseLogLine(line);
      if (!parsed.ok()) continue;  // torn by a crash
      *entry = *std::move(parsed);
      last_time_ = entry->time;
      return true;
    }
    if (loss_.empty()) return false;
    // After the last line, so that who goes on from there takes no line for it.
    last_time_ = std::max(last_time_ + absl::Nanoseconds(1), options_.since);
    *entry = LogEntry{last_time_, true, std::exchange(loss_, "")};
    return true;
  }
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
    const bool done = over_ || !options_.follow ||
                      clock_.Now() >= options_.until || has_exited_();
    LogEntry entry;
    while (!over_ && NextEntry(&entry)) {
      over_ = entry.time >= options_.until;
      if (over_ || entry.time < options_.since) continue;
      if (skip_ > 0) {
        --skip_;
        continue;
      }
      return entry;
    }
    if (done || over_) return absl::OutOfRangeError("read log: end");
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

absl::StatusOr<std::unique_ptr<LogReader>> OpenLog(
    const std::string& directory, const LogOptions& options,
    std::function<bool()> has_exited, Clock& clock) {
  UniqueFd dir(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.ok()) return ErrnoStatus("open", directory);
  UniqueFd notify;
  if (options.follow) {
    notify.Reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!notify.ok() ||
        inotify_add_watch(notify.get(), directory.c_str(),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
      return ErrnoStatus("watch", directory);
    }
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
