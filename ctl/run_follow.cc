// Following the one replica of ctl run.
#include <poll.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "ctl/errors.h"
#include "ctl/log_cursor.h"
#include "ctl/log_printer.h"
#include "ctl/objects.h"
#include "ctl/print/columns.h"
#include "ctl/run.h"
#include "ctl/wait.h"

namespace bulwark::ctl {
namespace {

constexpr absl::Duration kRemoveTimeout = absl::Minutes(2);
constexpr absl::Duration kLastLines = absl::Seconds(2);
constexpr int kExitInterrupted = 130;

struct Ending {
  std::string replica;
  std::optional<int> exit_code;
  std::optional<int> launch_code;
  // Why it never ran.
  std::string message;
  bool oom_killed = false;
};

bool HasEnded(const v1::Replica& replica) {
  return replica.status().state() == v1::ReplicaStatus::FAILED ||
         replica.status().state() == v1::ReplicaStatus::STOPPED;
}

Ending EndingOf(const v1::Replica& replica) {
  Ending ending;
  ending.replica = replica.metadata().name();
  ending.message = replica.status().message();
  // Nobody saw the end: what is there is no status of the command's.
  const std::string& reason = replica.status().reason();
  if (reason == "ShimLost" || reason == "HostReboot") return ending;
  for (const v1::ContainerStatus& c : replica.status().containers()) {
    // The main container comes first; one that ran has a start time.
    if (c.has_start_time() || c.has_finish_time()) {
      ending.exit_code = c.exit_code();
      ending.oom_killed = c.oom_killed();
      break;
    }
  }
  ending.launch_code = LaunchCodeOf(replica);
  if (ending.message.empty()) ending.message = replica.status().reason();
  return ending;
}

// One run: a thread prints the logs, one watches the replica, this one waits
// for either and for signals.
class Follower {
 public:
  Follower(Context& context, const v1::Service& service)
      : context_(context),
        client_(context.client()),
        service_(service),
        printer_(context.io, false, false) {}

  absl::StatusOr<int> Run(SignalPoll& signals, bool keep) {
    std::thread logs([this] {
      FollowLogs();
      absl::MutexLock lock(&mu_);
      logs_ended_ = true;
      ++ended_threads_;
    });
    std::thread watch([this] {
      WatchReplica();
      absl::MutexLock lock(&mu_);
      ++ended_threads_;
    });
    const End end = AwaitEnd(signals);
    const bool interrupted = end != End::kByItself;
    if (end == End::kInterrupted) AwaitLastLines();
    EndThreads();
    logs.join();
    watch.join();
    std::optional<Ending> ending;
    absl::Status error;
    {
      absl::MutexLock lock(&mu_);
      ending = ending_;
      error = error_;
    }
    if (ending && !error.ok()) error = absl::OkStatus();
    if (ending) PrintRest(*ending);
    if (ending && ending->oom_killed) {
      context_.io.Err(
          absl::StrCat("warning: ", service_.metadata().name(),
                       " was killed: out of memory; -m gives it more\n"));
    }
    if (end == End::kGivenUp) {
      RETURN_IF_ERROR(Delete());
      return kExitInterrupted;
    }
    if (!keep || interrupted) {
      const absl::Status removed = Remove();
      if (!removed.ok() && error.ok()) error = removed;
    }
    if (!error.ok()) return error;
    if (!ending) return interrupted ? kExitInterrupted : kExitNoStatus;
    if (ending->exit_code) return *ending->exit_code;
    if (interrupted) return kExitInterrupted;
    const absl::Status failed = absl::FailedPreconditionError(absl::StrCat(
        "run ", service_.metadata().name(), ": ",
        ending->message.empty() ? "it did not start" : ending->message));
    return ending->launch_code ? WithExitCode(failed, *ending->launch_code)
                               : failed;
  }

 private:
  // With a deleted service its logs go: then only the stream that is open
  // already has the last lines. It ends by itself, after them.
  void AwaitLastLines() {
    absl::MutexLock lock(&mu_);
    if (!ending_) return;
    context_.clock.AwaitUntil(mu_, absl::Condition(&logs_ended_),
                              context_.clock.Steady() + kLastLines);
  }

  // A thread may open a stream just after one cancellation: repeats it.
  void EndThreads() {
    auto both = +[](Follower* f) { return f->ended_threads_ == 2; };
    while (true) {
      client_.CancelStreams();
      absl::MutexLock lock(&mu_);
      done_ = true;
      if (context_.clock.AwaitUntil(
              mu_, absl::Condition(both, this),
              context_.clock.Steady() + absl::Milliseconds(20))) {
        return;
      }
    }
  }

  // Reconnects while the daemon restarts: lines that were printed are skipped.
  void FollowLogs() {
    v1::LogsRequest request = LogsRequest();
    request.set_follow(true);
    while (!Done()) {
      cursor_.Resume(request);
      // What matters is how the replica ends.
      client_.Logs(request, [this](const v1::LogLine& line) { Print(line); })
          .IgnoreError();
      if (!Done()) client_.AwaitConnection();
    }
  }

  // What came between the last line and the end of the stream.
  void PrintRest(const Ending& ending) {
    v1::LogsRequest request = LogsRequest();
    request.set_replica(ending.replica);
    cursor_.Resume(request);
    // The output so far has been printed.
    client_.Logs(request, [this](const v1::LogLine& line) { Print(line); })
        .IgnoreError();
  }

  void Print(const v1::LogLine& line) {
    if (cursor_.Take(line)) printer_.Print(line);
  }

  v1::LogsRequest LogsRequest() const {
    v1::LogsRequest request;
    request.set_project(service_.metadata().project());
    request.set_service(service_.metadata().name());
    return request;
  }

  void WatchReplica() {
    v1::WatchRequest request;
    request.set_kind("replica");
    request.set_project(service_.metadata().project());
    request.set_service(service_.metadata().name());
    while (!Done()) {
      absl::Status status = client_.Watch(
          request, absl::InfiniteFuture(), [this](const v1::WatchEvent& event) {
            if (!event.object().has_replica()) return true;
            const v1::Replica& replica = event.object().replica();
            const bool gone = event.type() == v1::WatchEvent::DELETED;
            absl::MutexLock lock(&mu_);
            has_run_ |= replica.status().has_start_time();
            trouble_ = replica.status().message();
            if (!gone && !(HasEnded(replica) && IsLast(replica))) return true;
            if (!ending_) ending_ = EndingOf(replica);
            return false;
          });
      {
        absl::MutexLock lock(&mu_);
        if (ending_ || done_) break;
        if (!IsRetryable(status) &&
            status.code() != absl::StatusCode::kOutOfRange) {
          error_ = status;
          break;
        }
      }
      client_.AwaitConnection();
    }
    wake_.Wake();
  }

  // Whether the restart policy leaves it at the end of this replica.
  bool IsLast(const v1::Replica& replica) const {
    switch (service_.spec().restart().policy()) {
      case v1::Restart::ALWAYS:
        return false;
      case v1::Restart::ON_FAILURE:
        return EndingOf(replica).exit_code.value_or(1) == 0;
      default:
        return true;
    }
  }

  enum class End { kByItself, kInterrupted, kGivenUp };

  // After the first signal the service is asked to stop, and its output goes
  // on; the second gives up.
  End AwaitEnd(SignalPoll& signals) {
    bool interrupted = false;
    while (true) {
      pollfd fds[2] = {{wake_.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
      const int ready = poll(fds, 2, interrupted ? 500 : HasRun() ? -1 : 1000);
      const End end = interrupted ? End::kInterrupted : End::kByItself;
      if (ready < 0 && errno != EINTR) return end;
      // A service that never had a replica ends without one.
      if (ready == 0 && interrupted && IsGone()) return end;
      if (ready == 0 && !interrupted) TellDelay();
      if (ready <= 0) continue;
      if (fds[1].revents != 0 && signals.Take() != 0) {
        if (interrupted) return End::kGivenUp;
        interrupted = true;
        context_.io.Err(absl::StrCat("stopping ", service_.metadata().name(),
                                     " (again: do not wait)\n"));
        Delete().IgnoreError();  // Remove() tries again and tells.
      }
      if (fds[0].revents != 0) return end;
    }
  }

  bool HasRun() {
    absl::MutexLock lock(&mu_);
    return has_run_;
  }

  // Says once what holds up the start.
  void TellDelay() {
    std::string why;
    {
      absl::MutexLock lock(&mu_);
      why = trouble_;
    }
    if (why.empty()) {
      absl::StatusOr<v1::Object> object = GetObject(
          context_, *manifest::FindKind("service"), service_.metadata().name());
      if (object.ok() && ServiceState(object->service()) != "Progressing") {
        why = ServiceMessage(object->service());
      }
    }
    if (why.empty() || why == told_) return;
    told_ = why;
    context_.io.Err(absl::StrCat("waiting: ", why, "\n"));
  }

  bool IsGone() {
    v1::GetRequest request;
    request.set_kind("service");
    request.set_project(service_.metadata().project());
    request.set_name(service_.metadata().name());
    return client_.Get(request).status().code() == absl::StatusCode::kNotFound;
  }

  absl::Status Delete() {
    v1::DeleteRequest request;
    v1::ObjectReference& reference = *request.add_objects();
    reference.set_kind("service");
    reference.set_project(service_.metadata().project());
    reference.set_name(service_.metadata().name());
    absl::Status status = client_.Delete(request).status();
    return status.code() == absl::StatusCode::kNotFound ? absl::OkStatus()
                                                        : status;
  }

  absl::Status Remove() {
    RETURN_IF_ERROR(Delete());
    return WaitFor(context_, *manifest::FindKind("service"),
                   service_.metadata().project(), service_.metadata().name(),
                   context_.clock.Now() + kRemoveTimeout, true, JudgeDeleted);
  }

  bool Done() {
    absl::MutexLock lock(&mu_);
    return done_ || ending_.has_value();
  }

  Context& context_;
  Client& client_;
  const v1::Service& service_;
  LogPrinter printer_;
  // Of the log thread; after it ended, of this one.
  LogCursor cursor_;
  WakePipe wake_;
  std::string told_;  // what holds up the start
  absl::Mutex mu_;
  int ended_threads_ ABSL_GUARDED_BY(mu_) = 0;
  bool logs_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
  bool has_run_ ABSL_GUARDED_BY(mu_) = false;
  std::string trouble_ ABSL_GUARDED_BY(mu_);
  std::optional<Ending> ending_ ABSL_GUARDED_BY(mu_);
  absl::Status error_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

std::optional<int> LaunchCodeOf(const v1::Replica& replica) {
  for (const v1::ContainerStatus& c : replica.status().containers()) {
    const bool ran = c.running() || c.has_start_time() || c.has_finish_time();
    if (!ran && c.exit_code() != 0) return c.exit_code();
  }
  return std::nullopt;
}

absl::StatusOr<int> FollowRun(Context& context, const v1::Service& service,
                              SignalPoll& signals, bool keep) {
  return Follower(context, service).Run(signals, keep);
}

}  // namespace bulwark::ctl
