#include "engine/oci/commands.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/oci/config/names.h"
#include "engine/oci/config/parse.h"
#include "os/files.h"

namespace bulwark::engine::oci {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

struct Call {
  const Runtime& runtime;
  const Args& args;
  const std::string& id() const { return args.rest().front(); }
};

struct Verb {
  const char* name;
  const char* usage;  // after the verb
  size_t least;       // words that are no flags
  size_t most;
  bool mixed;  // flags may stand after the id
  std::vector<Flag> flags;
  absl::StatusOr<int> (*run)(const Call&);
};

absl::StatusOr<int> Done(const absl::Status& status) {
  if (!status.ok()) return status;
  return 0;
}

absl::StatusOr<CreateOptions> ReadCreate(const Call& call) {
  CreateOptions options;
  options.id = call.id();
  options.bundle = call.args.Get("bundle", ".");
  options.console_socket = call.args.Get("console-socket");
  options.pid_file = call.args.Get("pid-file");
  ASSIGN_OR_RETURN(const int64_t passed, call.args.GetInt("preserve-fds", 0));
  options.preserve_fds =
      static_cast<int>(std::clamp<int64_t>(passed, -1, 1000));
  // As systemd passes sockets.
  int listen = 0;
  const char* text = std::getenv("LISTEN_FDS");
  if (text != nullptr && absl::SimpleAtoi(text, &listen) && listen > 0) {
    options.preserve_fds += listen;
  }
  return options;
}

absl::StatusOr<int> RunCreate(const Call& call) {
  ASSIGN_OR_RETURN(const CreateOptions options, ReadCreate(call));
  return Done(Create(call.runtime, options));
}

absl::StatusOr<int> RunRun(const Call& call) {
  ASSIGN_OR_RETURN(const CreateOptions options, ReadCreate(call));
  return Run(call.runtime, options, call.args.Has("detach"),
             call.args.Has("keep"));
}

absl::StatusOr<int> RunStart(const Call& call) {
  return Done(Start(call.runtime, call.id()));
}

absl::StatusOr<int> RunState(const Call& call) {
  ASSIGN_OR_RETURN(const std::string state, StateOf(call.runtime, call.id()));
  fputs(state.c_str(), stdout);
  return 0;
}

absl::StatusOr<int> RunKill(const Call& call) {
  const std::string name =
      call.args.rest().size() > 1 ? call.args.rest()[1] : "SIGTERM";
  const std::optional<int> signal = SignalNumber(name);
  if (!signal.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("kill: \"", name, "\" is no signal"));
  }
  return Done(Kill(call.runtime, call.id(), *signal, call.args.Has("all")));
}

absl::StatusOr<int> RunDelete(const Call& call) {
  return Done(Delete(call.runtime, call.id(), call.args.Has("force")));
}

absl::StatusOr<int> RunPause(const Call& call) {
  return Done(SetPaused(call.runtime, call.id(), true));
}

absl::StatusOr<int> RunResume(const Call& call) {
  return Done(SetPaused(call.runtime, call.id(), false));
}

// "1000", "1000:1000"; numbers only, as for runc.
absl::Status ReadUser(const std::string& text, Process& process) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  if (parts.size() > 2 || !absl::SimpleAtoi(parts[0], &process.uid) ||
      (parts.size() == 2 && !absl::SimpleAtoi(parts[1], &process.gid))) {
    return absl::InvalidArgumentError(
        absl::StrCat("exec: --user ", text, " is not UID or UID:GID"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Process> ReadExecProcess(const Call& call) {
  const Args& args = call.args;
  if (args.Has("process")) {
    ASSIGN_OR_RETURN(const std::string text,
                     os::ReadFile(args.Get("process"), kMaxConfigBytes));
    absl::StatusOr<Process> process = ParseProcess(text);
    if (!process.ok()) return Annotate(process.status(), args.Get("process"));
    if (args.Has("tty")) process->terminal = true;
    return process;
  }
  ASSIGN_OR_RETURN(Process process, ProcessOf(call.runtime, call.id()));
  process.args.assign(args.rest().begin() + 1, args.rest().end());
  if (process.args.empty()) {
    return absl::InvalidArgumentError(
        "exec: no program: `exec ID PROGRAM`, or --process FILE");
  }
  process.terminal = args.Has("tty");
  if (args.Has("cwd")) process.cwd = args.Get("cwd");
  if (args.Has("user")) {
    RETURN_IF_ERROR(ReadUser(args.Get("user"), process));
  }
  for (const std::string& env : args.GetAll("env")) process.env.push_back(env);
  if (args.Has("no-new-privs")) process.no_new_privileges = true;
  for (const std::string& name : args.GetAll("cap")) {
    const std::optional<int> number = CapabilityNumber(name);
    if (!number.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("exec: \"", name, "\" is no capability"));
    }
    if (!process.capabilities.has_value()) continue;  // has all of them
    const uint64_t bit = uint64_t{1} << *number;
    process.capabilities->bounding |= bit;
    process.capabilities->permitted |= bit;
    process.capabilities->effective |= bit;
  }
  for (const std::string& text : args.GetAll("additional-gids")) {
    uint32_t gid;
    if (!absl::SimpleAtoi(text, &gid)) {
      return absl::InvalidArgumentError(
          absl::StrCat("exec: --additional-gids ", text, " is no number"));
    }
    process.additional_gids.push_back(gid);
  }
  return process;
}

absl::StatusOr<int> RunExec(const Call& call) {
  ExecOptions options;
  options.id = call.id();
  ASSIGN_OR_RETURN(options.process, ReadExecProcess(call));
  options.console_socket = call.args.Get("console-socket");
  options.pid_file = call.args.Get("pid-file");
  options.detach = call.args.Has("detach");
  options.ignore_paused = call.args.Has("ignore-paused");
  ASSIGN_OR_RETURN(const int64_t passed, call.args.GetInt("preserve-fds", 0));
  options.preserve_fds =
      static_cast<int>(std::clamp<int64_t>(passed, -1, 1000));
  return Exec(call.runtime, options);
}

absl::StatusOr<int> RunList(const Call& call) {
  ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                   ListContainers(call.runtime.root));
  Json list = Json::array();
  for (const std::string& id : ids) {
    const absl::StatusOr<std::string> state = StateOf(call.runtime, id);
    if (!state.ok()) continue;  // it was just deleted
    list.push_back(Json::parse(*state));
  }
  if (call.args.Get("format") == "json") {
    printf("%s\n", list.dump().c_str());
    return 0;
  }
  if (call.args.Has("quiet")) {
    for (const Json& state : list) {
      printf("%s\n", state["id"].get<std::string>().c_str());
    }
    return 0;
  }
  printf("%-24s %-8s %-8s %s\n", "ID", "PID", "STATUS", "BUNDLE");
  for (const Json& state : list) {
    printf("%-24s %-8d %-8s %s\n", state["id"].get<std::string>().c_str(),
           state["pid"].get<int>(), state["status"].get<std::string>().c_str(),
           state["bundle"].get<std::string>().c_str());
  }
  return 0;
}

absl::StatusOr<int> RunPs(const Call& call) {
  ASSIGN_OR_RETURN(const std::vector<int> pids,
                   PidsOf(call.runtime, call.id()));
  if (call.args.Get("format", "table") == "json") {
    printf("%s\n", Json(pids).dump().c_str());
    return 0;
  }
  printf("%-8s %s\n", "PID", "COMMAND");
  for (const int pid : pids) {
    absl::StatusOr<std::string> command =
        os::ReadFile(absl::StrCat("/proc/", pid, "/cmdline"), 1 << 20);
    if (!command.ok()) continue;  // it ended
    std::replace(command->begin(), command->end(), '\0', ' ');
    printf("%-8d %s\n", pid, command->c_str());
  }
  return 0;
}

absl::StatusOr<int> RunEvents(const Call& call) {
  absl::Duration interval = absl::Seconds(5);
  if (call.args.Has("interval") &&
      (!absl::ParseDuration(call.args.Get("interval"), &interval) ||
       interval < absl::Milliseconds(10))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "events: --interval ", call.args.Get("interval"), " is no duration"));
  }
  for (;;) {
    const absl::StatusOr<std::string> line = StatsOf(call.runtime, call.id());
    if (!line.ok()) return line.status();
    if (fputs(line->c_str(), stdout) < 0 || fflush(stdout) != 0) return 0;
    if (call.args.Has("stats")) return 0;
    call.runtime.clock.Sleep(interval);
  }
}

absl::StatusOr<int> RunUpdate(const Call& call) {
  ASSIGN_OR_RETURN(const Resources resources, ReadUpdate(call.args));
  return Done(Update(call.runtime, call.id(), resources));
}

absl::StatusOr<int> RunFeatures(const Call&) {
  fputs(FeaturesJson().c_str(), stdout);
  return 0;
}

absl::StatusOr<int> RunSpec(const Call& call) {
  const std::string path =
      absl::StrCat(call.args.Get("bundle", "."), "/config.json");
  const UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd.ok()) return ErrnoStatus("create", path);
  return Done(
      os::WriteAll(fd.get(), DefaultConfig(call.args.Has("rootless")), path));
}

const std::vector<Verb>& Verbs() {
  static const std::vector<Flag> launch = {
      {"bundle", 'b', true, "directory of the bundle"},
      {"console-socket", 0, true, "where the terminal is sent"},
      {"pid-file", 0, true, "gets the process's id"},
      {"preserve-fds", 0, true, "how many files from 3 on are passed on"},
      {"no-new-keyring", 0, false, "none is made in any case"}};
  static const std::vector<Flag> run = [] {
    std::vector<Flag> flags = launch;
    flags.push_back({"detach", 'd', false, "do not wait"});
    flags.push_back({"keep", 0, false, "do not delete it when it ends"});
    return flags;
  }();
  static const std::vector<Flag> exec = {
      {"process", 'p', true, "file with the process, as in config.json"},
      {"console-socket", 0, true, "where the terminal is sent"},
      {"pid-file", 0, true, "gets the process's id"},
      {"preserve-fds", 0, true, "how many files from 3 on are passed on"},
      {"detach", 'd', false, "do not wait"},
      {"tty", 't', false, "with a terminal"},
      {"cwd", 0, true, "working directory"},
      {"env", 'e', true, "KEY=VALUE"},
      {"user", 'u', true, "UID or UID:GID"},
      {"additional-gids", 'g', true, "one more group"},
      {"cap", 'c', true, "one more capability"},
      {"no-new-privs", 0, false, "forbid new privileges"},
      {"ignore-paused", 0, false, "also in a paused container"}};
  static const std::vector<Flag> format = {
      {"format", 'f', true, "table or json"},
      {"quiet", 'q', false, "only ids"}};
  static const auto* const kVerbs = new std::vector<Verb>{
      {"create", "[FLAGS] ID", 1, 1, true, launch, &RunCreate},
      {"start", "ID", 1, 1, true, {}, &RunStart},
      {"run", "[FLAGS] ID", 1, 1, true, run, &RunRun},
      {"state", "ID", 1, 1, true, {}, &RunState},
      {"kill",
       "[--all] ID [SIGNAL]",
       1,
       2,
       true,
       {{"all", 'a', false, "every process"}},
       &RunKill},
      {"delete",
       "[--force] ID",
       1,
       1,
       true,
       {{"force", 'f', false, "also a running one"}},
       &RunDelete},
      {"exec", "[FLAGS] ID [PROGRAM [ARGS]]", 1, SIZE_MAX, false, exec,
       &RunExec},
      {"list", "[--format table|json] [--quiet]", 0, 0, true, format, &RunList},
      {"ps", "[--format table|json] ID", 1, SIZE_MAX, true, format, &RunPs},
      {"pause", "ID", 1, 1, true, {}, &RunPause},
      {"resume", "ID", 1, 1, true, {}, &RunResume},
      {"update", "[FLAGS] ID", 1, 1, true, *kUpdateFlags, &RunUpdate},
      {"events",
       "[--stats] [--interval 5s] ID",
       1,
       1,
       true,
       {{"stats", 0, false, "once"},
        {"interval", 0, true, "between two lines"}},
       &RunEvents},
      {"features", "", 0, 0, true, {}, &RunFeatures},
      {"spec",
       "[--bundle DIRECTORY]",
       0,
       0,
       true,
       {{"bundle", 'b', true, "where config.json is made"},
        {"rootless", 0, false, "for another user than root"}},
       &RunSpec}};
  return *kVerbs;
}

const std::vector<Flag>& GlobalFlags() {
  static const auto* const kFlags = new std::vector<Flag>{
      {"root", 0, true, "where containers are kept (/run/bulwark-oci)"},
      {"log", 0, true, "file that errors are written to as well"},
      {"log-format", 0, true, "text or json"},
      {"systemd-cgroup", 0, false, "cgroupsPath is SLICE:PREFIX:NAME"},
      {"debug", 0, false, "accepted, does nothing"},
      {"rootless", 0, true, "accepted, does nothing"},
      {"version", 'v', false, "print the version"},
      {"help", 'h', false, "print this text"}};
  return *kFlags;
}

const Verb* FindVerb(const std::string& name) {
  for (const Verb& verb : Verbs()) {
    if (name == verb.name) return &verb;
  }
  return nullptr;
}

std::string FlagTexts(const std::vector<Flag>& flags) {
  std::string text;
  for (const Flag& flag : flags) {
    absl::StrAppend(
        &text, absl::StrFormat(
                   "  --%-18s %s\n",
                   absl::StrCat(flag.name, flag.takes_value ? " VALUE" : ""),
                   flag.help));
  }
  return text;
}

absl::StatusOr<int> RunVerb(const Verb& verb, const Words& words,
                            const Runtime& runtime) {
  std::vector<Flag> flags = verb.flags;
  flags.push_back({"help", 'h', false, "print this text"});
  ASSIGN_OR_RETURN(const Args args, Args::Parse(words, flags, verb.mixed));
  if (args.Has("help")) {
    printf("bulwark-oci %s %s\n%s", verb.name, verb.usage,
           FlagTexts(flags).c_str());
    return 0;
  }
  if (args.rest().size() < verb.least || args.rest().size() > verb.most) {
    return absl::InvalidArgumentError(
        absl::StrCat("usage: bulwark-oci ", verb.name, " ", verb.usage));
  }
  return verb.run({runtime, args});
}

}  // namespace

std::string UsageText() {
  std::string text =
      "bulwark-oci [FLAGS] VERB ...\n\nRuns containers as the OCI runtime "
      "specification says.\n\n";
  for (const Verb& verb : Verbs()) {
    absl::StrAppend(&text, "  ", verb.name, " ", verb.usage, "\n");
  }
  return absl::StrCat(text, "\n", FlagTexts(GlobalFlags()));
}

absl::StatusOr<int> Execute(const Words& words, Clock& clock,
                            Invocation& invocation) {
  ASSIGN_OR_RETURN(const Args args,
                   Args::Parse(words, GlobalFlags(), /*mixed=*/false));
  invocation.log = args.Get("log");
  invocation.json_log = args.Get("log-format") == "json";
  if (args.Has("version")) {
    printf("bulwark-oci version %s\nspec: %s\n", kVersion, kSpecVersion);
    return 0;
  }
  if (args.Has("help") || args.rest().empty() || args.rest()[0] == "help") {
    fputs(UsageText().c_str(), stdout);
    return 0;
  }
  invocation.verb = args.rest()[0];
  const Verb* verb = FindVerb(invocation.verb);
  if (verb == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", invocation.verb,
                     "\" is no verb; `bulwark-oci --help` lists them"));
  }
  Runtime runtime = {.clock = clock};
  if (args.Has("root")) {
    runtime.root = args.Get("root");
    if (runtime.root.empty()) {
      return absl::InvalidArgumentError("flag --root is empty");
    }
    if (runtime.root[0] != '/') {
      char cwd[PATH_MAX];
      if (getcwd(cwd, sizeof(cwd)) == nullptr) {
        return ErrnoStatus("find", "the current directory");
      }
      runtime.root = absl::StrCat(cwd, "/", runtime.root);
    }
  }
  runtime.systemd_cgroup = args.Has("systemd-cgroup");
  return RunVerb(*verb, Words(args.rest().begin() + 1, args.rest().end()),
                 runtime);
}

}  // namespace bulwark::engine::oci
