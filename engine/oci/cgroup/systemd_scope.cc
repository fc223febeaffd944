#include "engine/oci/cgroup/systemd_scope.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/oci/cgroup/dbus_connection.h"

namespace bulwark::engine::oci {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(30);
constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kJobRule =
    "type='signal',sender='org.freedesktop.systemd1',"
    "interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";

absl::Status NoSystemd(const absl::Status& status) {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) {
    return status;
  }
  return absl::Status(
      status.code(),
      absl::StrCat("systemd cgroups were asked for (--systemd-cgroup), but "
                   "systemd does not answer: ",
                   status.message(),
                   "; leave the flag out where systemd does not run"));
}

DbusMessage ManagerCall(const char* member, const char* signature,
                        std::string body) {
  DbusMessage call;
  call.path = kManagerPath;
  call.interface = kManager;
  call.member = member;
  call.destination = kSystemd;
  call.signature = signature;
  call.body = std::move(body);
  return call;
}

// A connection that hears of jobs. systemd tells those who gave it one.
absl::StatusOr<DbusConnection> OpenSystemd(Clock& clock) {
  absl::StatusOr<DbusConnection> bus = DbusConnection::Open(kTimeout, clock);
  if (!bus.ok()) return NoSystemd(bus.status());
  DbusMessage call;
  call.path = "/org/freedesktop/DBus";
  call.interface = "org.freedesktop.DBus";
  call.member = "AddMatch";
  call.destination = "org.freedesktop.DBus";
  call.signature = "s";
  DbusWriter body;
  body.String(kJobRule);
  call.body = body.Take();
  absl::StatusOr<DbusMessage> reply = bus->Call(std::move(call));
  if (!reply.ok()) return NoSystemd(reply.status());
  if (reply->type == DbusType::kError) {
    return DbusErrorStatus(*reply, "listen to systemd");
  }
  return bus;
}

// Calls a method that answers with a job, and waits for the job's end.
absl::Status RunJob(DbusConnection& bus, DbusMessage call,
                    const std::string& context) {
  absl::StatusOr<DbusMessage> reply = bus.Call(std::move(call));
  if (!reply.ok()) return Annotate(NoSystemd(reply.status()), context);
  if (reply->type == DbusType::kError) {
    return NoSystemd(DbusErrorStatus(*reply, context));
  }
  const std::string job = DbusReader(reply->body).String();
  std::string result;
  // JobRemoved(u id, o job, s unit, s result)
  const auto is_end = [&](const DbusMessage& signal) {
    if (signal.member != "JobRemoved" || signal.signature != "uoss") {
      return false;
    }
    DbusReader reader(signal.body);
    reader.Uint32();
    const std::string which = reader.String();
    reader.String();
    result = reader.String();
    return reader.ok() && which == job;
  };
  RETURN_IF_ERROR_CTX(bus.AwaitSignal(is_end).status(), context);
  if (result == "done" || result == "skipped") return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat(context, ": systemd's job ended as \"", result,
                   "\"; journalctl -b _PID=1 says more"));
}

// An array of (name, variant).
void WriteProperties(const std::vector<ScopeProperty>& properties,
                     DbusWriter& writer) {
  const DbusWriter::Array array = writer.BeginArray(8);
  for (const ScopeProperty& property : properties) {
    writer.Align(8);
    writer.String(property.name);
    writer.Variant(property.value);
  }
  writer.EndArray(array);
}

DbusMessage StartCall(const ScopeName& scope, int pid,
                      const std::vector<ScopeProperty>& limits) {
  std::vector<ScopeProperty> properties = {
      {"Description", absl::StrCat("container ", scope.unit)},
      {"Slice", scope.slice},
      {"PIDs", std::vector<uint32_t>{static_cast<uint32_t>(pid)}},
      {"Delegate", true},
      {"DefaultDependencies", false},
      // A scope that failed does not keep its name.
      {"CollectMode", std::string("inactive-or-failed")},
      {"CPUAccounting", true},
      {"IOAccounting", true},
      {"MemoryAccounting", true},
      {"TasksAccounting", true}};
  properties.insert(properties.end(), limits.begin(), limits.end());
  DbusWriter body;
  body.String(scope.unit);
  body.String("replace");
  WriteProperties(properties, body);
  body.EndArray(body.BeginArray(8));  // no further units
  return ManagerCall("StartTransientUnit", "ssa(sv)a(sa(sv))", body.Take());
}

}  // namespace

absl::Status StartScope(const ScopeName& scope, int pid,
                        const std::vector<ScopeProperty>& limits,
                        Clock& clock) {
  const std::string context = absl::StrCat("start the scope ", scope.unit);
  ASSIGN_OR_RETURN(DbusConnection bus, OpenSystemd(clock));
  const absl::Status status =
      RunJob(bus, StartCall(scope, pid, limits), context);
  if (!absl::IsAlreadyExists(status)) return status;
  // What failed before CollectMode was known (systemd before 236) is in the
  // way until it is forgotten. One that runs is not forgotten.
  DbusWriter body;
  body.String(scope.unit);
  RETURN_IF_ERROR_CTX(
      bus.Call(ManagerCall("ResetFailedUnit", "s", body.Take())).status(),
      context);
  return RunJob(bus, StartCall(scope, pid, limits), context);
}

absl::Status SetScopeLimits(const std::string& unit,
                            const std::vector<ScopeProperty>& limits,
                            Clock& clock) {
  if (limits.empty()) return absl::OkStatus();
  const std::string context = absl::StrCat("set the limits of ", unit);
  ASSIGN_OR_RETURN(DbusConnection bus, OpenSystemd(clock));
  DbusWriter body;
  body.String(unit);
  body.Bool(true);  // only until the next boot
  WriteProperties(limits, body);
  absl::StatusOr<DbusMessage> reply =
      bus.Call(ManagerCall("SetUnitProperties", "sba(sv)", body.Take()));
  if (!reply.ok()) return Annotate(NoSystemd(reply.status()), context);
  if (reply->type == DbusType::kError) return DbusErrorStatus(*reply, context);
  return absl::OkStatus();
}

absl::Status StopScope(const std::string& unit, Clock& clock) {
  ASSIGN_OR_RETURN(DbusConnection bus, OpenSystemd(clock));
  DbusWriter body;
  body.String(unit);
  body.String("replace");
  const absl::Status status =
      RunJob(bus, ManagerCall("StopUnit", "ss", body.Take()),
             absl::StrCat("stop the scope ", unit));
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<ScopeHolder> ScopeHolder::Start() {
  const int parent = getpid();
  const int pid = fork();
  if (pid < 0) return ErrnoStatus("start", "a process to hold the scope");
  if (pid > 0) return ScopeHolder(pid);
  // It holds no descriptor of ours open, and hears no signal but the last one.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  close_range(0, ~0U, 0);
  for (;;) pause();
}

ScopeHolder::ScopeHolder(ScopeHolder&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)) {}

ScopeHolder::~ScopeHolder() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace bulwark::engine::oci
