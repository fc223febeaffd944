#include "engine/build/stage.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "engine/build/glob.h"
#include "engine/build/instruction_flags.h"
#include "engine/build/instruction_form.h"
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
  metadata_.emplace(context_->escape, global_, &image_.config, image_.args);
  std::vector<std::string> triggers;
  triggers.swap(image_.config.on_build);
  for (const std::string& trigger : triggers) {
    ASSIGN_OR_RETURN(Instruction instruction,
                     ParseInstruction(trigger, from.line, context_->file_name,
                                      context_->escape));
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
  if (!status.ok() && context_->file != nullptr) {
    return AnnotateIn(status, *context_->file, instruction);
  }
  if (!status.ok()) {
    return Annotate(
        status, absl::StrCat(context_->file_name, ":", instruction.line, ": ",
                             instruction.Summary()));
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
  if (keyword == "WORKDIR") return ApplyWorkdir(instruction);
  RETURN_IF_ERROR(metadata_->Apply(instruction));
  image_.args = metadata_->scope().values();
  return absl::OkStatus();
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

absl::StatusOr<std::vector<std::string>> Stage::RunArgs(
    const Instruction& instruction) const {
  if (instruction.heredocs.empty()) {
    return CommandWords(instruction, image_.config.shell);
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
    Instruction script = instruction;
    script.rest = first.text;
    return CommandWords(script, image_.config.shell);
  }
  Instruction script = instruction;
  absl::StrAppend(&script.rest, "\n");
  for (const Heredoc& heredoc : instruction.heredocs) {
    absl::StrAppend(&script.rest, heredoc.text, heredoc.name, "\n");
  }
  return CommandWords(script, image_.config.shell);
}

absl::Status Stage::ApplyRun(const Instruction& instruction) {
  RunStep run;
  ASSIGN_OR_RETURN(const RunFlags flags,
                   ReadRunFlags(instruction, [this](absl::string_view text) {
                     return metadata_->ExpandText(text);
                   }));
  if (!flags.mounts.empty() || flags.insecure ||
      flags.network == RunFlags::Network::kHost) {
    return absl::InvalidArgumentError(
        "--mount, --security=insecure and --network=host are not supported");
  }
  run.network = flags.network == RunFlags::Network::kDefault;
  ASSIGN_OR_RETURN(run.args, RunArgs(instruction));
  run.env = image_.config.config.env;
  for (const auto& [name, value] : metadata_->scope().values()) {
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

absl::StatusOr<CopyRequest> Stage::ReadCopy(const Instruction& instruction,
                                            const FileTree& below,
                                            std::string* from) {
  CopyRequest request;
  request.unpack = instruction.keyword == "ADD";
  ASSIGN_OR_RETURN(const CopyFlags flags,
                   ReadCopyFlags(instruction, [this](absl::string_view text) {
                     return metadata_->ExpandText(text);
                   }));
  if (flags.parents || !flags.exclude.empty() || flags.keep_git_dir ||
      !flags.checksum.empty() || flags.unpack.has_value()) {
    return absl::InvalidArgumentError(
        "--parents, --exclude, --keep-git-dir, --checksum and --unpack are not"
        " supported");
  }
  *from = flags.from;
  if (!flags.chown.empty()) {
    ASSIGN_OR_RETURN(request.attributes.owner,
                     ResolveOwner(flags.chown, below));
    request.attributes.owner_asked_for = true;
  }
  if (!flags.chmod.empty()) {
    ASSIGN_OR_RETURN(request.attributes.mode, ParseMode(flags.chmod));
  }
  if (from->empty() && !request.attributes.owner_asked_for) {
    request.attributes.owner = Owner{0, 0};
  }
  ASSIGN_OR_RETURN(std::vector<std::string> words,
                   metadata_->ExpandWordsOf(instruction));
  request.destination = metadata_->AbsolutePath(words.back());
  words.pop_back();
  for (const Heredoc& heredoc : instruction.heredocs) {
    std::string text = heredoc.text;
    if (heredoc.expand) {
      ASSIGN_OR_RETURN(text, ExpandHeredoc(heredoc.text, context_->escape,
                                           metadata_->Variables()));
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
  RETURN_IF_ERROR(metadata_->Apply(instruction));
  const std::string& directory = image_.config.config.working_dir;
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
