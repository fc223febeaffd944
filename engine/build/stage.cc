#include "engine/build/stage.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "engine/build/glob.h"
#include "engine/build/run_step.h"
#include "engine/image/digest.h"
#include "engine/image/json.h"

namespace bulwark::engine::build {
namespace {

// Changes when the meaning of keys does, so that old entries are not used.
constexpr char kKeyVersion[] = "1";

std::string FormatCreated(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
}

absl::StatusOr<mode_t> ParseMode(const std::string& text) {
  mode_t mode = 0;
  for (char c : text) {
    if (c < '0' || c > '7' || text.size() > 5) mode = 010000;
    mode = mode > 07777 ? mode : mode * 8 + (c - '0');
  }
  if (text.empty() || mode > 07777) {
    return absl::InvalidArgumentError(
        absl::StrCat("--chmod=", text, ": not an octal mode such as 0755"));
  }
  return mode;
}

}  // namespace

absl::Status Stage::Start(StageImage base, const Instruction& from) {
  image_ = std::move(base);
  std::vector<std::string> triggers;
  triggers.swap(image_.config.on_build);
  for (const std::string& trigger : triggers) {
    ASSIGN_OR_RETURN(Instruction instruction,
                     ParseInstruction(trigger, from.line, context_->file_name));
    RETURN_IF_ERROR(Execute(instruction, "ONBUILD"));
  }
  return absl::OkStatus();
}

absl::Status Stage::Execute(const Instruction& instruction,
                            const std::string& step) {
  RETURN_IF_ERROR(context_->reporter->Check());
  step_ = step;
  made_layer_ = cached_ = false;
  Progress progress;
  progress.id = step;
  progress.status = "running";
  progress.output = instruction.ToString();
  context_->reporter->Report(progress);
  absl::Status status = Dispatch(instruction);
  if (!status.ok()) {
    return Annotate(
        status, absl::StrCat(context_->file_name, ":", instruction.line, ": ",
                             instruction.ToString()));
  }
  if (instruction.keyword != "ARG") {
    image_.config.history.push_back({FormatCreated(image_.config.create_time),
                                     instruction.ToString(), "", !made_layer_});
  }
  context_->reporter->Report(step, cached_ ? "cached" : "done");
  return absl::OkStatus();
}

absl::Status Stage::Dispatch(const Instruction& instruction) {
  const std::string& keyword = instruction.keyword;
  if (keyword == "RUN") return ApplyRun(instruction);
  if (keyword == "COPY" || keyword == "ADD") return ApplyCopy(instruction);
  if (keyword != "HEALTHCHECK" && !instruction.flags.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown flag --", instruction.flags[0].first));
  }
  return ApplyMetadata(instruction);
}

std::string Stage::LayersKey() const {
  std::vector<std::string> ids;
  for (const BuiltLayer& layer : image_.layers) ids.push_back(layer.diff_id);
  return absl::StrCat(kKeyVersion, "\n", absl::StrJoin(ids, " "), "\n");
}

absl::Status Stage::AddLayer(const std::string& what, const LayerFiller& fill) {
  absl::Time create_time;
  ASSIGN_OR_RETURN(
      std::optional<BuiltLayer> layer,
      MakeLayer(context_, image::DigestOf(absl::StrCat(LayersKey(), what)),
                fill, &cached_, &create_time));
  image_.config.create_time = create_time;
  made_layer_ = layer.has_value();
  if (layer.has_value()) image_.layers.push_back(*std::move(layer));
  return absl::OkStatus();
}

std::vector<std::string> Stage::ShellWords(const std::string& command) const {
  std::vector<std::string> words = image_.config.shell;
  if (words.empty()) words = {"/bin/sh", "-c"};
  words.push_back(command);
  return words;
}

std::vector<std::string> Stage::CommandOf(
    const Instruction& instruction) const {
  return instruction.exec_form ? instruction.words
                               : ShellWords(instruction.rest);
}

absl::StatusOr<std::vector<std::string>> Stage::RunArgs(
    const Instruction& instruction) const {
  if (instruction.heredocs.empty()) {
    std::vector<std::string> args = CommandOf(instruction);
    if (args.empty()) return absl::InvalidArgumentError("no command");
    return args;
  }
  const Heredoc& first = instruction.heredocs[0];
  bool alone = instruction.heredocs.size() == 1 &&
               absl::StartsWith(instruction.rest, "<<") &&
               SplitWords(instruction.rest, context_->escape).size() == 1;
  if (alone) {
    if (absl::StartsWith(first.text, "#!")) {
      return absl::InvalidArgumentError(
          "a script with its own interpreter (#!) is not supported here; COPY"
          " it, and RUN the file");
    }
    return ShellWords(first.text);
  }
  std::string script = absl::StrCat(instruction.rest, "\n");
  for (const Heredoc& heredoc : instruction.heredocs) {
    absl::StrAppend(&script, heredoc.text, heredoc.name, "\n");
  }
  return ShellWords(script);
}

absl::Status Stage::ApplyRun(const Instruction& instruction) {
  RunStep run;
  for (const auto& [name, value] : instruction.flags) {
    if (name == "network" && (value == "none" || value == "default")) {
      run.network = value == "default";
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, "=", value, " is not supported"));
    }
  }
  ASSIGN_OR_RETURN(run.args, RunArgs(instruction));
  run.env = image_.config.config.env;
  for (const auto& [name, value] : scope_.values()) {
    if (!FindEnv(run.env, name).has_value()) SetEnv(&run.env, name, value);
  }
  run.cwd = image_.config.config.working_dir;
  run.user = image_.config.config.user;
  const std::string key = image::Dump(image::Json{{"run", run.args},
                                                  {"env", run.env},
                                                  {"cwd", run.cwd},
                                                  {"user", run.user},
                                                  {"network", run.network}});
  // Proxies are the builder's own affair, and do not count.
  for (const auto& [name, value] : global_->Proxies()) {
    if (!FindEnv(run.env, name).has_value()) SetEnv(&run.env, name, value);
  }
  return AddLayer(key, [&](const std::string& directory) {
    return RunInContainer(context_, image_, run, directory,
                          [this](absl::string_view line) {
                            Progress progress;
                            progress.id = step_;
                            progress.status = "running";
                            progress.output = std::string(line);
                            context_->reporter->Report(progress);
                          });
  });
}

std::string Stage::AbsolutePath(const std::string& path) const {
  std::string base =
      absl::StartsWith(path, "/") ? "" : image_.config.config.working_dir;
  bool slash =
      absl::EndsWith(path, "/") || path == "." || absl::EndsWith(path, "/.");
  std::string clean = CleanRelative(absl::StrCat(base, "/", path));
  return absl::StrCat("/", clean, slash && !clean.empty() ? "/" : "");
}

absl::StatusOr<CopyRequest> Stage::ReadCopy(const Instruction& instruction,
                                            const FileTree& below,
                                            std::string* from) {
  CopyRequest request;
  request.unpack = instruction.keyword == "ADD";
  std::string chown;
  for (const auto& [name, written] : instruction.flags) {
    ASSIGN_OR_RETURN(std::string value, ExpandText(written));
    if (name == "from" && !request.unpack) {
      *from = value;
    } else if (name == "chown") {
      ASSIGN_OR_RETURN(request.attributes.owner, ResolveOwner(value, below));
      request.attributes.owner_asked_for = true;
    } else if (name == "chmod") {
      ASSIGN_OR_RETURN(request.attributes.mode, ParseMode(value));
    } else if (name != "link") {  // which says how, not what
      return absl::InvalidArgumentError(
          absl::StrCat("flag --", name, " is not supported"));
    }
  }
  if (from->empty() && !request.attributes.owner_asked_for) {
    request.attributes.owner = Owner{0, 0};
  }
  ASSIGN_OR_RETURN(std::vector<std::string> words, ExpandWords(instruction));
  if (words.size() < 2) {
    return absl::InvalidArgumentError("it needs a source and a destination");
  }
  request.destination = AbsolutePath(words.back());
  words.pop_back();
  for (const Heredoc& heredoc : instruction.heredocs) {
    std::string text = heredoc.text;
    if (heredoc.expand) {
      ASSIGN_OR_RETURN(
          text, ExpandHeredoc(heredoc.text, context_->escape, Variables()));
    }
    request.texts.emplace_back(heredoc.name, std::move(text));
  }
  for (std::string& word : words) {
    if (absl::StartsWith(word, "<<") && !instruction.heredocs.empty()) continue;
    if (absl::StartsWith(word, "http://") ||
        absl::StartsWith(word, "https://") || absl::StartsWith(word, "git@")) {
      return absl::InvalidArgumentError(absl::StrCat(
          word,
          ": sources on the network are not supported; RUN a command that"
          " fetches it"));
    }
    request.sources.push_back(std::move(word));
  }
  return request;
}

absl::Status Stage::ApplyCopy(const Instruction& instruction) {
  ASSIGN_OR_RETURN(FileTree below, FileTree::Open(image_.Directories()));
  std::string from;
  ASSIGN_OR_RETURN(CopyRequest request, ReadCopy(instruction, below, &from));
  FileTree other;
  const FileTree* tree = context_->files;
  if (!from.empty()) {
    ASSIGN_OR_RETURN(std::vector<std::string> layers, find_layers_(from));
    ASSIGN_OR_RETURN(other, FileTree::Open(layers));
    tree = &other;
  }
  ASSIGN_OR_RETURN(
      std::unique_ptr<CopyStep> step,
      CopyStep::Plan(context_, request, *tree,
                     from.empty() ? context_->ignored : IgnoreList(), below));
  ASSIGN_OR_RETURN(std::string hash, step->Hash());
  return AddLayer(
      absl::StrCat(instruction.keyword, " ", hash, " ", request.destination),
      [&step](const std::string& directory) { return step->Write(directory); });
}

absl::Status Stage::ApplyWorkdir(const Instruction& instruction) {
  ASSIGN_OR_RETURN(std::string path, ExpandText(instruction.rest));
  std::string directory = AbsolutePath(path);
  if (directory.size() > 1 && absl::EndsWith(directory, "/")) {
    directory.pop_back();
  }
  image_.config.config.working_dir = directory;
  ASSIGN_OR_RETURN(FileTree below, FileTree::Open(image_.Directories()));
  absl::StatusOr<FileTree::Node> node = below.Lookup(directory, true);
  if (node.ok() && node->IsDirectory()) return absl::OkStatus();
  // It is made here, so that it is there for the instructions that follow.
  CopyRequest request;
  request.destination = directory + "/";
  FileTree empty;
  ASSIGN_OR_RETURN(
      std::unique_ptr<CopyStep> step,
      CopyStep::Plan(context_, request, empty, IgnoreList(), below));
  return AddLayer(
      absl::StrCat("WORKDIR ", directory),
      [&step](const std::string& upper) { return step->Write(upper); });
}

}  // namespace bulwark::engine::build
