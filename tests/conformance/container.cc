#include "tests/conformance/container.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "tests/conformance/workspace.h"

namespace bulwark::conformance {

Container::Container(const Runtime& runtime, const std::string& root,
                     const std::string& bundle, const std::string& id)
    : runtime_(runtime),
      root_(root),
      id_(id),
      bundle_(bundle, id),
      printed_(bundle + "/printed") {}

Container::~Container() {
  if (access((root_ + "/" + id_).c_str(), F_OK) == 0) {
    // A namespace of processes ends only once its dead are reaped, and those
    // whose parents have left are ours.
    if (SignalProcess(SIGKILL)) {
      Eventually(
          [] {
            while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
            return waitpid(-1, nullptr, WNOHANG) < 0;
          },
          absl::Milliseconds(300));
    }
    Delete({"--force"});
  }
  Eventually([] { return waitpid(-1, nullptr, WNOHANG) <= 0; });
}

std::string Container::cgroup() const {
  return Workspace::cgroup_parent() + "/" + id_;
}

Outcome Container::Call(const Flags& args, const ExecOptions& options) {
  std::vector<std::string> argv = {runtime_.path, "--root", root_};
  argv.insert(argv.end(), args.begin(), args.end());
  return conformance::Exec(argv, options);
}

Outcome Container::Run(const Flags& flags) {
  bundle_.Write();
  Flags args = {"run", "--bundle", bundle_.path()};
  args.insert(args.end(), flags.begin(), flags.end());
  args.push_back(id_);
  return Call(args);
}

Outcome Container::RunScript(const std::string& script) {
  bundle_.Script(script);
  return Run();
}

Outcome Container::Create(const Flags& flags, std::vector<int> fds) {
  bundle_.Write();
  Flags args = {"create", "--bundle", bundle_.path()};
  args.insert(args.end(), flags.begin(), flags.end());
  args.push_back(id_);
  ExecOptions options;
  options.out = options.err = printed_;
  options.fds = std::move(fds);
  const Outcome outcome = Call(args, options);
  if (outcome.ok()) pid_ = Pid();
  return outcome;
}

Outcome Container::Start() { return Call({"start", id_}); }

Outcome Container::Kill(const std::string& signal) {
  return Call({"kill", id_, signal});
}

Outcome Container::Delete(const Flags& flags) {
  Flags args = {"delete"};
  args.insert(args.end(), flags.begin(), flags.end());
  args.push_back(id_);
  return Call(args);
}

Outcome Container::Exec(const std::vector<std::string>& argv,
                        const Flags& flags) {
  Flags args = {"exec"};
  args.insert(args.end(), flags.begin(), flags.end());
  args.push_back(id_);
  args.insert(args.end(), argv.begin(), argv.end());
  return Call(args);
}

Outcome Container::QueryState() { return Call({"state", id_}); }

Json Container::State() {
  const Outcome outcome = QueryState();
  if (!outcome.ok()) return Json::object();
  const Json state = Json::parse(outcome.out, nullptr, false);
  return state.is_object() ? state : Json::object();
}

std::string Container::Status() { return State().value("status", ""); }

pid_t Container::Pid() { return State().value("pid", 0); }

bool Container::SignalProcess(int signal) {
  const pid_t pid = Pid();
  return pid > 1 && kill(pid, signal) == 0;
}

bool Container::AwaitStatus(const std::string& status) {
  return Eventually([&] { return Status() == status; });
}

int Container::AwaitExit() {
  if (pid_ <= 0) return -1;
  int status = 0;
  if (!Eventually([&] { return waitpid(pid_, &status, WNOHANG) == pid_; })) {
    return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

::testing::AssertionResult Container::AwaitPrinted(const std::string& text) {
  if (Eventually([&] { return absl::StrContains(Printed(), text); })) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << "not printed: " << text << "; printed: " << Printed();
}

}  // namespace bulwark::conformance
