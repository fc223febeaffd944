#include "engine/local/journal_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/process.h"

namespace bulwark::engine {
namespace {

constexpr size_t kBlock = 64 << 10;
// An entry with all the journal's own fields; a longer one is cut.
constexpr size_t kMaxEntry = 4 << 20;
// How long lines may take from the container's end to the journal's reader.
constexpr absl::Duration kLate = absl::Milliseconds(500);
// How long journalctl may say nothing while it reads a large journal.
constexpr absl::Duration kSilence = absl::Seconds(20);

absl::StatusOr<UniqueFd> FindJournalctl() {
  for (const char* path : {"/usr/bin/journalctl", "/bin/journalctl"}) {
    UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
    if (fd.ok()) return fd;
  }
  return absl::FailedPreconditionError(
      "read log: the container's log is in the host's journal, and there is no "
      "journalctl to read it; install systemd, or set `log: local`");
}

uint64_t LittleEndian(absl::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 8; i-- > 0;) {
    value = value << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return value;
}

// Takes "NAME=value" or "NAME", a size and that many bytes, each with a
// newline. False if it is not there whole.
bool TakeField(absl::string_view* rest, absl::string_view* name,
               absl::string_view* value) {
  const size_t end = rest->find('\n');
  if (end == absl::string_view::npos) return false;
  const absl::string_view line = rest->substr(0, end);
  const size_t equals = line.find('=');
  *name = line.substr(0, equals);
  if (equals != absl::string_view::npos || line.empty()) {
    *value = line.empty() ? line : line.substr(equals + 1);
    rest->remove_prefix(end + 1);
    return true;
  }
  const absl::string_view binary = rest->substr(end + 1);
  if (binary.size() < 8) return false;
  const uint64_t size = LittleEndian(binary);
  if (size > binary.size() || binary.size() - 8 < size + 1) return false;
  *value = binary.substr(8, size);
  rest->remove_prefix(end + 1 + 8 + size + 1);
  return true;
}

class JournalReader final : public LogReader {
 public:
  JournalReader(os::Spawned program, UniqueFd output, UniqueFd cancel,
                LogOptions options, std::function<bool()> has_exited,
                Clock& clock)
      : program_(std::move(program)),
        output_(std::move(output)),
        cancel_(std::move(cancel)),
        options_(options),
        has_exited_(std::move(has_exited)),
        clock_(clock) {}

  ~JournalReader() override {
    os::SendSignal(program_.pidfd.get(), SIGKILL).IgnoreError();
    os::AwaitEnd(program_.pidfd.get(), absl::Seconds(5));
    os::ReapChild(program_.pidfd.get());
  }

  absl::StatusOr<LogEntry> Next(absl::Duration timeout) override;
  void Cancel() override {
    const uint64_t one = 1;
    // Cannot fail: nobody reads it, and it is far from its maximum.
    [[maybe_unused]] const ssize_t n = write(cancel_.get(), &one, sizeof(one));
  }

 private:
  // Waits for output; false if there was none.
  bool Wait(absl::Duration timeout) {
    pollfd fds[2] = {{output_.get(), POLLIN, 0}, {cancel_.get(), POLLIN, 0}};
    const timespec limit = absl::ToTimespec(timeout);
    ppoll(fds, 2, &limit, nullptr);
    cancelled_ = cancelled_ || fds[1].revents != 0;
    return fds[0].revents != 0;
  }
  // False at the end.
  bool Read() {
    const size_t old = buffer_.size();
    buffer_.resize(old + kBlock);
    const ssize_t n = read(output_.get(), buffer_.data() + old, kBlock);
    buffer_.resize(old + std::max<ssize_t>(0, n));
    if (buffer_.size() > kMaxEntry) buffer_.clear();
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
  }

  const os::Spawned program_;
  const UniqueFd output_;
  const UniqueFd cancel_;
  const LogOptions options_;
  const std::function<bool()> has_exited_;
  Clock& clock_;
  std::string buffer_;
  bool ended_ = false;
  bool cancelled_ = false;
};

absl::StatusOr<LogEntry> JournalReader::Next(absl::Duration timeout) {
  // Without following, journalctl itself says when it is done.
  const absl::Duration deadline =
      clock_.Steady() + (options_.follow ? timeout : kSilence);
  for (;;) {
    LogEntry entry;
    while (TakeJournalEntry(&buffer_, &entry)) {
      if (entry.time < options_.since) continue;
      if (entry.time >= options_.until) {
        return absl::OutOfRangeError("read log: end");
      }
      return entry;
    }
    if (ended_) return absl::OutOfRangeError("read log: end");
    if (cancelled_) return absl::CancelledError("read log: cancelled");
    const bool done =
        options_.follow && (has_exited_() || clock_.Now() >= options_.until);
    const absl::Duration left = deadline - clock_.Steady();
    if (Wait(done ? kLate
                  : std::clamp(left, absl::ZeroDuration(),
                               absl::Milliseconds(200)))) {
      ended_ = !Read();
      continue;
    }
    if (done) {
      ended_ = true;
    } else if (left <= absl::ZeroDuration() && !options_.follow) {
      return absl::UnavailableError("read log: journalctl does not answer");
    } else if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError("read log: nothing new");
    }
  }
}

}  // namespace

std::vector<std::string> JournalArgs(const std::string& id,
                                     const LogOptions& options) {
  std::vector<std::string> args = {"journalctl", "--output=export", "--quiet",
                                   "--no-pager"};
  if (options.follow) args.push_back("--follow");
  args.push_back(options.tail < 0 ? std::string("--lines=all")
                                  : absl::StrCat("--lines=", options.tail));
  if (options.since > absl::UnixEpoch()) {
    args.push_back(
        absl::StrCat("--since=@", absl::ToUnixSeconds(options.since)));
  }
  if (options.until != absl::InfiniteFuture() && !options.follow) {
    args.push_back(
        absl::StrCat("--until=@", absl::ToUnixSeconds(options.until) + 1));
  }
  args.push_back("CONTAINER_ID_FULL=" + id);
  return args;
}

bool TakeJournalEntry(std::string* bytes, LogEntry* entry) {
  absl::string_view rest = *bytes;
  *entry = LogEntry();
  bool has_message = false;
  absl::string_view name, value;
  while (TakeField(&rest, &name, &value)) {
    int64_t number;
    if (name.empty()) {
      if (has_message) {
        bytes->erase(0, bytes->size() - rest.size());
        return true;
      }
      *entry = LogEntry();
    } else if (name == "MESSAGE") {
      entry->line = std::string(value);
      has_message = true;
    } else if (name == "PRIORITY") {
      entry->is_stderr = value == "3";
    } else if (name == "CONTAINER_PARTIAL_MESSAGE") {
      entry->partial = true;
    } else if (name == "__REALTIME_TIMESTAMP" &&
               absl::SimpleAtoi(value, &number)) {
      entry->time = absl::FromUnixMicros(number);
    }
  }
  return false;
}

absl::StatusOr<std::unique_ptr<LogReader>> OpenJournal(
    const std::string& id, const LogOptions& options,
    std::function<bool()> has_exited, Clock& clock) {
  ASSIGN_OR_RETURN(const UniqueFd executable, FindJournalctl());
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("make", "pipe");
  UniqueFd output(fds[0]);
  UniqueFd writer(fds[1]);
  UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  if (!cancel.ok()) return ErrnoStatus("make", "event");
  os::SpawnOptions spawn;
  spawn.executable = executable.get();
  spawn.args = JournalArgs(id, options);
  spawn.env = {"PATH=/usr/bin:/bin", "LC_ALL=C"};
  spawn.fds = {{writer.get(), STDOUT_FILENO}};
  ASSIGN_OR_RETURN(os::Spawned program, os::Spawn(spawn));
  return std::make_unique<JournalReader>(std::move(program), std::move(output),
                                         std::move(cancel), options,
                                         std::move(has_exited), clock);
}

}  // namespace bulwark::engine
