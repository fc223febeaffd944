// RUN.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/instruction_form.h"
#include "engine/build/platforms.h"
#include "engine/build/stage.h"
#include "engine/image/json.h"

namespace bulwark::engine::build {
namespace {

// Of one step's output; what comes after it is counted only.
constexpr int64_t kMaxOutputBytes = 2 << 20;
// Where a script with an interpreter of its own is mounted.
constexpr char kScript[] = "/.build-script";

}  // namespace

absl::StatusOr<std::vector<std::string>> Stage::RunArgs(
    const Instruction& instruction, std::optional<std::string>* script) const {
  const std::vector<std::string>& shell = image_.config.shell;
  if (instruction.heredocs.empty()) {
    std::vector<std::string> args = CommandWords(instruction, shell);
    if (args.empty()) return absl::InvalidArgumentError("no command");
    return args;
  }
  const Heredoc& first = instruction.heredocs[0];
  bool alone = instruction.heredocs.size() == 1 &&
               absl::StartsWith(instruction.rest, "<<") &&
               SplitWords(instruction.rest, context_->escape).size() == 1;
  Instruction command = instruction;
  if (alone) {
    if (absl::StartsWith(first.text, "#!")) {
      *script = first.text;
      return std::vector<std::string>{kScript};
    }
    command.rest = first.text;
    return CommandWords(command, shell);
  }
  absl::StrAppend(&command.rest, "\n");
  for (const Heredoc& heredoc : instruction.heredocs) {
    absl::StrAppend(&command.rest, heredoc.text, heredoc.name, "\n");
  }
  return CommandWords(command, shell);
}

absl::StatusOr<RunStep> Stage::ReadRun(const Instruction& instruction,
                                       const RunFlags& flags) {
  const BuildRequest& request = context_->request;
  RunStep run;
  bool given = false;
  for (const auto& [name, value] : instruction.flags) {
    given = given || name == "network";
  }
  using Network = RunStep::Network;
  switch (flags.network) {
    case RunFlags::Network::kNone:
      run.network = Network::kNone;
      break;
    case RunFlags::Network::kHost:
      run.network = Network::kHost;
      break;
    case RunFlags::Network::kDefault:
      if (!given && request.network == "none") run.network = Network::kNone;
      if (!given && request.network == "host") run.network = Network::kHost;
      break;
  }
  if (run.network == Network::kHost && !request.allow_host_network) {
    return absl::InvalidArgumentError(
        "the network of the host has to be allowed for the build: --allow"
        " network.host");
  }
  run.insecure = flags.insecure;
  if (run.insecure && !request.allow_insecure) {
    return absl::InvalidArgumentError(
        "--security=insecure has to be allowed for the build: --allow"
        " security.insecure");
  }
  run.env = image_.config.config.env;
  for (const auto& [name, value] : metadata_->scope().values()) {
    if (!FindEnv(run.env, name).has_value()) SetEnv(&run.env, name, value);
  }
  run.cwd = image_.config.config.working_dir;
  run.user = image_.config.config.user;
  return run;
}

absl::Status Stage::ApplyRun(const Instruction& instruction) {
  RETURN_IF_ERROR(CheckRunnable(image_.config.platform));
  ASSIGN_OR_RETURN(const RunFlags flags,
                   ReadRunFlags(instruction, [this](absl::string_view text) {
                     return metadata_->ExpandText(text);
                   }));
  ASSIGN_OR_RETURN(RunStep run, ReadRun(instruction, flags));
  std::optional<std::string> script;
  ASSIGN_OR_RETURN(run.args, RunArgs(instruction, &script));
  RunMounts mounts(context_, flags.mounts, run.cwd);
  RETURN_IF_ERROR(mounts.Resolve(options_.find_source));
  ASSIGN_OR_RETURN(const std::string mounts_key, mounts.Key());
  image::Json key = {{"run", run.args},
                     {"env", run.env},
                     {"cwd", run.cwd},
                     {"user", run.user},
                     {"network", static_cast<int>(run.network)},
                     {"insecure", run.insecure},
                     {"mounts", mounts_key}};
  if (script.has_value()) key["script"] = *script;
  // Proxies are the builder's own affair, and do not count.
  for (const auto& [name, value] : global_->Proxies()) {
    if (!FindEnv(run.env, name).has_value()) SetEnv(&run.env, name, value);
  }
  int64_t printed = 0;
  const auto print = [&](absl::string_view line, bool is_error) {
    if (printed > kMaxOutputBytes) return;
    printed += static_cast<int64_t>(line.size()) + 1;
    Report("running",
           printed > kMaxOutputBytes
               ? "[the rest of the output, after 2 MiB, is not shown]"
               : line,
           is_error);
  };
  return AddLayer(image::Dump(key), [&](const std::string& directory) {
    if (script.has_value()) RETURN_IF_ERROR(mounts.AddScript(kScript, *script));
    ASSIGN_OR_RETURN(const IdRange ids, IdsFor(context_, run, &sandbox_));
    RETURN_IF_ERROR(mounts.Prepare(ids));
    RunStep step = run;
    step.mounts = mounts.mounts();
    for (const std::string& entry : mounts.env()) {
      SetEnv(&step.env, entry.substr(0, entry.find('=')),
             entry.substr(entry.find('=') + 1));
    }
    return RunInContainer(context_, image_, step, directory, &sandbox_, print);
  });
}

}  // namespace bulwark::engine::build
