#include "os/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "os/files.h"
#include "os/process.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace bulwark::os {
namespace {

constexpr size_t kMaxOutput = 1 << 20;
constexpr size_t kMaxErrors = 8 << 10;
constexpr size_t kMaxSecret = 64 << 10;
constexpr int64_t kMaxProcFile = 16 << 10;
constexpr int kPollMilliseconds = 250;
constexpr absl::Duration kGrace = absl::Seconds(10);

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("make", "pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

absl::StatusOr<UniqueFd> OpenProgram(const std::string& name) {
  if (name.empty() || name[0] == '/') {
    UniqueFd fd(open(name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) return ErrnoStatus("open program", name);
    return fd;
  }
  for (const char* directory : {"/usr/sbin", "/usr/bin", "/sbin", "/bin",
                                "/usr/local/sbin", "/usr/local/bin"}) {
    UniqueFd fd(
        open(absl::StrCat(directory, "/", name).c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.ok()) return fd;
  }
  return absl::NotFoundError(
      absl::StrCat("run ", name, ": the program is not installed"));
}

absl::Duration Now() {
  timespec now = {};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

// What one process has done so far: it has read, written and computed.
struct Deeds {
  bool waits_for_disk = false;
  uint64_t sum = 0;
};

// Nothing if it has ended, or is not of that group.
std::optional<Deeds> DeedsOf(const std::string& process, int64_t of_group) {
  const absl::StatusOr<std::string> stat =
      ReadFile(absl::StrCat("/proc/", process, "/stat"), kMaxProcFile);
  if (!stat.ok()) return std::nullopt;
  // Behind the name, which may hold anything: state, parent, group and so on.
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> fields = absl::StrSplit(
      absl::string_view(*stat).substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kState = 0, kGroup = 2, kUserTime = 11, kSystemTime = 12;
  int64_t group = 0;
  if (fields.size() <= kSystemTime ||
      !absl::SimpleAtoi(fields[kGroup], &group) || group != of_group) {
    return std::nullopt;
  }
  Deeds deeds;
  deeds.waits_for_disk = fields[kState] == "D";
  for (const size_t field : {kUserTime, kSystemTime}) {
    uint64_t ticks = 0;
    if (absl::SimpleAtoi(fields[field], &ticks)) deeds.sum += ticks;
  }
  // Waits while the process executes another program: so not for strangers.
  const absl::StatusOr<std::string> io =
      ReadFile(absl::StrCat("/proc/", process, "/io"), kMaxProcFile);
  if (!io.ok()) return deeds;
  for (absl::string_view line : absl::StrSplit(*io, '\n')) {
    uint64_t bytes = 0;
    if ((absl::ConsumePrefix(&line, "rchar: ") ||
         absl::ConsumePrefix(&line, "wchar: ")) &&
        absl::SimpleAtoi(line, &bytes)) {
      deeds.sum += bytes;
    }
  }
  return deeds;
}

// Notices when a group of processes does nothing any more.
class Watch {
 public:
  Watch(pid_t group, absl::Duration silence)
      : group_(group),
        silence_(silence),
        period_(std::min(silence / 4, absl::Seconds(5))) {}

  // Whether there was no sign of life for `silence`; `age` is that of the
  // group.
  bool IsSilent(absl::Duration age) {
    if (silence_ == absl::InfiniteDuration() || age < look_at_) return false;
    look_at_ = age + period_;
    if (Changed()) since_ = age;
    return age - since_ >= silence_;
  }

 private:
  bool Changed() {
    const absl::StatusOr<std::vector<std::string>> names = ListDir("/proc");
    if (!names.ok()) return true;
    std::map<std::string, uint64_t> now;
    bool busy = false;
    for (const std::string& name : *names) {
      if (!absl::ascii_isdigit(name[0])) continue;
      const std::optional<Deeds> deeds = DeedsOf(name, group_);
      if (!deeds.has_value()) continue;
      now[name] = deeds->sum;
      busy = busy || deeds->waits_for_disk;
    }
    const bool same = now == before_;
    before_ = std::move(now);
    return busy || !same;
  }

  const int64_t group_;
  const absl::Duration silence_;
  const absl::Duration period_;
  absl::Duration look_at_;
  absl::Duration since_;
  std::map<std::string, uint64_t> before_;  // by process
};

// One run: reads both streams until they are closed and the process is gone.
class Run {
 public:
  Run(const Program& program, Spawned process, UniqueFd out, UniqueFd err)
      : program_(program),
        process_(std::move(process)),
        out_(std::move(out)),
        err_(std::move(err)),
        watch_(process_.pid, program.has_children ? program.silence
                                                  : absl::InfiniteDuration()) {}

  absl::StatusOr<ProgramResult> Finish() {
    const absl::Duration start = Now();
    while (out_.ok() || err_.ok() || !AwaitEnd(process_.pidfd.get(), {})) {
      PollOnce();
      Supervise(Now() - start);
    }
    if (!line_.empty()) TakeLine();
    // It is not reaped yet: the group's number is no one else's.
    if (program_.has_children) Signal(SIGKILL);
    siginfo_t info = {};
    if (waitid(static_cast<idtype_t>(P_PIDFD), process_.pidfd.get(), &info,
               WEXITED) != 0) {
      return ErrnoStatus("wait for", program_.name);
    }
    RETURN_IF_ERROR(ended_);
    result_.exit_code =
        info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    return std::move(result_);
  }

 private:
  void PollOnce() {
    std::array<pollfd, 3> fds = {pollfd{out_.get(), POLLIN, 0},
                                 pollfd{err_.get(), POLLIN, 0},
                                 pollfd{process_.pidfd.get(), POLLIN, 0}};
    // Whoever inherited the streams may keep them open after its end.
    const bool gone = AwaitEnd(process_.pidfd.get(), {});
    const int ready = poll(fds.data(), gone ? 2 : 3, gone ? 0 : Wait());
    if (gone && ready <= 0) {
      out_.Reset();
      err_.Reset();
      return;
    }
    if (fds[0].revents != 0) Read(out_, &Run::TakeOutput);
    if (fds[1].revents != 0) Read(err_, &Run::TakeErrors);
  }

  int Wait() const {
    if (program_.wanted || program_.timeout != absl::InfiniteDuration() ||
        program_.silence != absl::InfiniteDuration() || !ended_.ok()) {
      return kPollMilliseconds;
    }
    return -1;
  }

  void Read(UniqueFd& fd, void (Run::*take)(absl::string_view)) {
    char buffer[16 << 10];
    const ssize_t n = read(fd.get(), buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) return fd.Reset();
    (this->*take)(absl::string_view(buffer, static_cast<size_t>(n)));
  }

  void TakeOutput(absl::string_view text) {
    if (!program_.on_line) {
      result_.output.append(
          text.data(),
          std::min(text.size(), kMaxOutput - result_.output.size()));
      return;
    }
    for (const char c : text) {
      if (c == '\n') {
        TakeLine();
      } else if (line_.size() < kMaxOutput) {
        line_.push_back(c);
      }
    }
  }

  void TakeLine() {
    program_.on_line(line_);
    line_.clear();
  }

  void TakeErrors(absl::string_view text) {
    result_.errors.append(text.data(), text.size());
    if (result_.errors.size() > kMaxErrors) {
      result_.errors.erase(0, result_.errors.size() - kMaxErrors);
    }
  }

  void Supervise(absl::Duration age) {
    if (!ended_.ok()) {
      // It was asked, and has had its time.
      if (age > killed_at_) Signal(SIGKILL);
      return;
    }
    if (age > program_.timeout) {
      ended_ = absl::DeadlineExceededError(
          absl::StrCat("run ", program_.name, ": it took longer than ",
                       absl::FormatDuration(program_.timeout)));
    } else if (watch_.IsSilent(age)) {
      ended_ = absl::DeadlineExceededError(absl::StrCat(
          "run ", program_.name, ": it has waited for ",
          absl::FormatDuration(program_.silence), " without a sign of life"));
    } else if (program_.wanted && !program_.wanted()) {
      ended_ = absl::CancelledError(
          absl::StrCat("run ", program_.name, ": nobody waits for it"));
    } else {
      return;
    }
    killed_at_ = age + kGrace;
    Signal(program_.end_signal);
  }

  // It may have ended by itself.
  void Signal(int signal) {
    if (program_.has_children) {
      kill(-process_.pid, signal);
      return;
    }
    SendSignal(process_.pidfd.get(), signal).IgnoreError();
  }

  const Program& program_;
  Spawned process_;
  UniqueFd out_;
  UniqueFd err_;
  Watch watch_;
  std::string line_;
  ProgramResult result_;
  absl::Status ended_;
  absl::Duration killed_at_;
};

// Gives the program its secret, once no core file of it can hold that.
absl::Status HandOver(const Program& program, const Spawned& process,
                      Pipe secret) {
  if (program.secret.empty()) return absl::OkStatus();
  const rlimit none = {0, 0};
  if (prlimit(process.pid, RLIMIT_CORE, &none, nullptr) != 0) {
    return ErrnoStatus("forbid core files of", program.name);
  }
  // A pipe holds 64 KiB, and this end reads too: it neither blocks nor breaks.
  return WriteAll(secret.write.get(), program.secret.Reveal(), "pipe");
}

}  // namespace

absl::StatusOr<ProgramResult> RunProgram(const Program& program) {
  if (program.secret.size() > kMaxSecret) {
    return absl::InvalidArgumentError(
        absl::StrCat("run ", program.name, ": the secret is too long"));
  }
  ASSIGN_OR_RETURN(UniqueFd executable, OpenProgram(program.name));
  ASSIGN_OR_RETURN(Pipe out, MakePipe());
  ASSIGN_OR_RETURN(Pipe err, MakePipe());
  SpawnOptions options;
  Pipe secret;
  UniqueFd directory;
  if (!program.secret.empty()) {
    ASSIGN_OR_RETURN(secret, MakePipe());
    options.fds.push_back({secret.read.get(), 3});
  }
  const std::string where = program.directory.empty() ? "/" : program.directory;
  directory.Reset(open(where.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.ok()) return ErrnoStatus("open", where);
  options.executable = executable.get();
  options.args = program.args;
  options.args.insert(options.args.begin(), program.name);
  options.env = program.env;
  options.fds.push_back({out.write.get(), 1});
  options.fds.push_back({err.write.get(), 2});
  options.directory = directory.get();
  options.death_signal = program.end_signal;
  options.own_group = program.has_children;
  ASSIGN_OR_RETURN(Spawned process, Spawn(options));
  out.write.Reset();
  err.write.Reset();
  const absl::Status handed = HandOver(program, process, std::move(secret));
  if (!handed.ok()) {
    SendSignal(process.pidfd.get(), SIGKILL).IgnoreError();  // or it has ended
  }
  absl::StatusOr<ProgramResult> result =
      Run(program, std::move(process), std::move(out.read), std::move(err.read))
          .Finish();
  if (!handed.ok()) return Annotate(handed, absl::StrCat("run ", program.name));
  return result;
}

}  // namespace bulwark::os
