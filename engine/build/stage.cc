#include "engine/build/stage.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "engine/build/owners.h"

namespace bulwark::engine::build {
namespace {

// Changes when the meaning of keys does, so that old entries are not used.
constexpr char kKeyVersion[] = "3";

std::string FormatCreated(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
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

void Stage::Report(absl::string_view status, absl::string_view output,
                   bool is_error) {
  Progress progress;
  progress.id = step_;
  progress.stage = options_.name;
  progress.status = std::string(status);
  progress.output = std::string(output);
  progress.error = is_error;
  context_->reporter->Report(progress);
}

absl::Status Stage::Execute(const Instruction& instruction,
                            const std::string& step) {
  RETURN_IF_ERROR(context_->reporter->Check());
  step_ = step;
  made_layer_ = cached_ = false;
  const absl::Duration began = context_->options.clock->Steady();
  Report("running", instruction.Summary());
  absl::Status status = Dispatch(instruction);
  if (!status.ok()) {
    return AnnotateIn(status, *context_->file, instruction);
  }
  if (instruction.keyword != "ARG") {
    image_.config.history.push_back(
        {FormatCreated(context_->epoch.value_or(image_.config.create_time)),
         instruction.ToString(), "", !made_layer_});
  }
  Progress done;
  done.id = step_;
  done.stage = options_.name;
  done.status = cached_ ? "cached" : "done";
  done.elapsed = context_->options.clock->Steady() - began;
  context_->reporter->Report(done);
  return absl::OkStatus();
}

absl::Status Stage::Dispatch(const Instruction& instruction) {
  const std::string& keyword = instruction.keyword;
  if (keyword == "RUN") return ApplyRun(instruction);
  if (keyword == "COPY" || keyword == "ADD") return ApplyCopy(instruction);
  if (keyword == "WORKDIR") return ApplyWorkdir(instruction);
  return metadata_->Apply(instruction);
}

std::string Stage::LayersKey() const {
  std::vector<std::string> ids;
  for (const BuiltLayer& layer : image_.layers) ids.push_back(layer.diff_id);
  return absl::StrJoin(ids, " ");
}

absl::Status Stage::AddLayer(const std::string& what, const LayerFiller& fill,
                             bool independent) {
  ASSIGN_OR_RETURN(
      StepLayer step,
      MakeLayer(context_,
                absl::StrCat(kKeyVersion, "\n", independent ? "" : LayersKey(),
                             "\n", what),
                options_.use_cache, fill));
  cached_ = step.cached;
  image_.config.create_time = step.create_time;
  made_layer_ = step.layer.has_value();
  if (made_layer_) {
    if (image_.layers.size() >= image::kMaxLayers) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the image has more than ", image::kMaxLayers,
          " layers, which no overlay can stack; join RUN, COPY and ADD"
          " instructions"));
    }
    image_.layers.push_back(*std::move(step.layer));
  }
  return absl::OkStatus();
}

absl::Status Stage::ApplyWorkdir(const Instruction& instruction) {
  RETURN_IF_ERROR(metadata_->Apply(instruction));
  const std::string& directory = image_.config.config.working_dir;
  ASSIGN_OR_RETURN(FileTree below, FileTree::Open(image_.Directories()));
  absl::StatusOr<FileTree::Node> node = below.Lookup(directory, true);
  if (node.ok() && node->IsDirectory()) return absl::OkStatus();
  // It is made here, so that it is there for the instructions that follow,
  // whose user may write to it.
  CopyRequest request;
  request.destination = directory + "/";
  Owner owner;
  if (const std::string& user = image_.config.config.user; !user.empty()) {
    ASSIGN_OR_RETURN(owner, ResolveOwner(user, below));
  }
  request.attributes.owner = owner;
  FileTree empty;
  ASSIGN_OR_RETURN(std::unique_ptr<CopyStep> step,
                   CopyStep::Plan(context_, request, empty, below));
  return AddLayer(
      absl::StrCat("WORKDIR ", directory, " ", owner.uid, ":", owner.gid),
      [&step](const std::string& upper) { return step->Write(upper); });
}

}  // namespace bulwark::engine::build
