#include "engine/build/builder.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "base/ignore_list.h"
#include "base/status.h"
#include "engine/build/check_build.h"
#include "engine/build/dockerfile.h"
#include "engine/build/image_writer.h"
#include "engine/build/scope.h"
#include "engine/build/sources.h"
#include "engine/build/stage.h"
#include "engine/build/stage_plan.h"
#include "engine/build/task_graph.h"
#include "engine/build/tree_export.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr int64_t kMaxDockerfileBytes = 4 << 20;
// Stages side by side, whatever the number of processors.
constexpr int kMaxStages = 4;
// How long nobody asks whether the build is still wanted.
constexpr absl::Duration kAskEvery = absl::Milliseconds(200);

// A text file of the build context.
absl::StatusOr<std::string> ReadText(const FileTree& files,
                                     const std::string& path) {
  ASSIGN_OR_RETURN(FileTree::Node node, files.Lookup(path, /*follow=*/true));
  ASSIGN_OR_RETURN(UniqueFd fd, files.OpenFile(node));
  return os::ReadFd(fd.get(), path, kMaxDockerfileBytes);
}

// What a stage left.
struct Finished {
  StageImage image;
  std::vector<std::string> unused;  // arguments that it did not ask for
};

// One build.
class Builder {
 public:
  Builder(const BuilderOptions& options, const BuildRequest& request,
          image::Reporter* reporter)
      : options_(options),
        lease_(options.store),
        context_{options, request, reporter, &lease_},
        sources_(&context_) {}

  absl::StatusOr<Image> Run() {
    const BuildRequest& request = context_.request;
    ASSIGN_OR_RETURN(std::vector<std::string> names, ParseTags(request.tags));
    ASSIGN_OR_RETURN(platform_, image::ParsePlatform(request.platform));
    RETURN_IF_ERROR(OpenContext());
    ASSIGN_OR_RETURN(const image::Platform host, image::ParsePlatform(""));
    GlobalScope global(request.args, platform_, host, request.target);
    contexts_ = sources_.Names();
    ASSIGN_OR_RETURN(plan_,
                     PlanBuild(file_, request.target, contexts_, &global));
    ASSIGN_OR_RETURN(context_.epoch, global.SourceDateEpoch());
    RETURN_IF_ERROR(Check(global));
    if (request.output == BuildRequest::Output::kCheckOnly) return Image();
    RETURN_IF_ERROR(BuildStages(global));
    WarnOfUnused();
    StageImage image = std::move(finished_[plan_.target].image);
    if (request.output == BuildRequest::Output::kFiles) return Export(image);
    for (const auto& [name, value] : request.labels) {
      image.config.config.labels[name] = value;
    }
    return StoreImage(options_.store, &lease_, std::move(image), names);
  }

 private:
  // Reads the Dockerfile and what of the context does not count.
  absl::Status OpenContext() {
    const BuildRequest& request = context_.request;
    std::string text = request.dockerfile_text;
    ASSIGN_OR_RETURN(const std::string directory, sources_.OpenMain(&text));
    context_.files.directories = {directory};
    ASSIGN_OR_RETURN(const FileTree files, FileTree::Open({directory}));
    if (text.empty()) {
      absl::StatusOr<std::string> read = ReadText(files, request.dockerfile);
      if (absl::IsNotFound(read.status())) {
        return absl::InvalidArgumentError(absl::StrCat(
            "there is no ", request.dockerfile, " in the build context"));
      }
      if (!read.ok()) return read.status();
      text = *std::move(read);
    }
    for (const std::string& name : IgnoreFilesOf(request.dockerfile)) {
      absl::StatusOr<std::string> ignored = ReadText(files, name);
      if (absl::IsNotFound(ignored.status())) continue;
      if (!ignored.ok()) return ignored.status();
      ASSIGN_OR_RETURN(context_.files.ignored,
                       IgnoreList::Parse(*ignored, name));
      break;
    }
    ASSIGN_OR_RETURN(file_, ParseDockerfile(text, request.dockerfile));
    context_.file = &file_;
    context_.file_name = file_.name;
    context_.escape = file_.escape;
    return absl::OkStatus();
  }

  // Says what is questionable; an error if the file wants it to be one.
  absl::Status Check(const GlobalScope& global) {
    CheckInput input;
    input.file = &file_;
    input.plan = &plan_;
    input.global = &global;
    input.given = &context_.request.args;
    input.platform = platform_;
    input.ignored = &context_.files.ignored;
    ASSIGN_OR_RETURN(CheckResult result, CheckBuild(input));
    if (result.fail) return LintError(file_, result.warnings);
    if (result.warnings.empty()) return absl::OkStatus();
    Progress progress;
    progress.id = "check";
    progress.status = "done";
    progress.warnings = std::move(result.warnings);
    context_.reporter->Report(progress);
    return absl::OkStatus();
  }

  absl::Status BuildStages(const GlobalScope& global) {
    std::map<size_t, std::set<size_t>> needs;
    for (size_t index : plan_.order) {
      const StagePlan& stage = plan_.stages[index];
      needs[index].insert(stage.needs.begin(), stage.needs.end());
      first_step_[index] = steps_;
      steps_ += stage.instructions.size() + 1;
      (void)finished_[index];  // so that the map itself stays as it is
    }
    const int processors =
        std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    return RunGraph(
        needs, std::min(kMaxStages, std::max(2, processors)),
        [&](size_t index) { return BuildStage(index, global); },
        [this] { context_.reporter->Cancel(); });
  }

  // Progress of a stage shows its name if there are several.
  std::string NameOf(size_t index) const {
    if (plan_.order.size() < 2) return "";
    const std::string& name = plan_.stages[index].name;
    return name.empty() ? absl::StrCat("stage-", index) : name;
  }

  bool UsesCache(size_t index) const {
    const BuildRequest& request = context_.request;
    const std::set<std::string>& without = request.no_cache_stages;
    return !request.no_cache && without.count(absl::StrCat(index)) == 0 &&
           without.count(plan_.stages[index].name) == 0;
  }

  absl::Status BuildStage(size_t index, const GlobalScope& global) {
    const StagePlan& plan = plan_.stages[index];
    size_t step = first_step_.at(index);
    const auto next_step = [&] { return absl::StrCat(++step, "/", steps_); };
    Progress progress;
    progress.id = next_step();
    progress.stage = NameOf(index);
    progress.status = "running";
    progress.output = plan.from.ToString();
    context_.reporter->Report(progress);
    absl::StatusOr<StageImage> base = Base(plan);
    if (!base.ok()) return AnnotateIn(base.status(), file_, plan.from);
    progress.status = "done";
    progress.output.clear();
    context_.reporter->Report(progress);
    GlobalScope own = global;  // it notes what was asked for
    StageOptions options;
    options.name = NameOf(index);
    options.use_cache = UsesCache(index);
    options.find_source = [this, index](const std::string& from) {
      return FilesOf(from, index);
    };
    Stage stage(&context_, &own, std::move(options));
    RETURN_IF_ERROR(stage.Start(*std::move(base), plan.from));
    for (const Instruction& instruction : plan.instructions) {
      RETURN_IF_ERROR(stage.Execute(instruction, next_step()));
    }
    // Others read it only after this stage has ended.
    finished_.at(index) = {stage.image(), own.Unused()};
    return absl::OkStatus();
  }

  absl::StatusOr<StageImage> Base(const StagePlan& plan) {
    if (plan.base_stage >= 0) return finished_.at(plan.base_stage).image;
    const std::string platform =
        plan.platform.empty() ? context_.request.platform : plan.platform;
    if (!plan.base_context.empty()) {
      return sources_.Base(plan.base_context, platform);
    }
    if (plan.base == "scratch") {
      StageImage empty;
      ASSIGN_OR_RETURN(empty.config.platform, image::ParsePlatform(platform));
      empty.config.create_time = absl::UnixEpoch();
      return empty;
    }
    return sources_.ReadImage(plan.base, platform);
  }

  absl::StatusOr<SourceFiles> FilesOf(const std::string& from, size_t index) {
    ASSIGN_OR_RETURN(const Source source,
                     ResolveSource(plan_.stages, contexts_, from));
    if (source.IsMainContext()) return context_.files;
    if (!source.context.empty()) return sources_.Files(source.context);
    if (!source.image.empty()) return sources_.ImageFiles(source.image);
    const std::vector<int>& needs = plan_.stages[index].needs;
    if (std::find(needs.begin(), needs.end(), source.stage) == needs.end()) {
      // Known too late: the instruction came with the base image.
      return absl::InvalidArgumentError(absl::StrCat(
          "--from=", from,
          ": a trigger of the base image cannot take files from a stage that"
          " this one does not need by itself"));
    }
    const StageImage& image = finished_.at(source.stage).image;
    SourceFiles files;
    files.directories = image.Directories();
    files.key = absl::StrJoin(image.layers, " ",
                              [](std::string* out, const BuiltLayer& layer) {
                                out->append(layer.diff_id);
                              });
    return files;
  }

  // Arguments that no stage asked for are most likely misspelt.
  void WarnOfUnused() {
    std::map<std::string, size_t> counts;
    for (const auto& [index, finished] : finished_) {
      for (const std::string& name : finished.unused) ++counts[name];
    }
    for (const auto& [name, count] : counts) {
      if (count < finished_.size()) continue;
      Progress warning;
      warning.id = "build";
      warning.status = "running";
      warning.output = absl::StrCat(
          "warning: no ARG asks for the build argument \"", name, "\"");
      context_.reporter->Report(warning);
    }
  }

  absl::StatusOr<Image> Export(const StageImage& image) {
    ASSIGN_OR_RETURN(const FileTree tree, FileTree::Open(image.Directories()));
    RETURN_IF_ERROR_CTX(
        ExportTree(tree, context_.epoch.value_or(absl::InfiniteFuture()),
                   context_.request.output_fd, context_.Cancelled()),
        "write the files");
    return Image();
  }

  const BuilderOptions& options_;
  image::ImageStore::Lease lease_;
  BuildContext context_;
  Sources sources_;
  Dockerfile file_;
  image::Platform platform_;
  std::set<std::string> contexts_;  // their names
  BuildPlan plan_;
  std::map<size_t, Finished> finished_;  // an entry for each needed stage
  std::map<size_t, size_t> first_step_;
  size_t steps_ = 0;
};

// A sink that is also asked while there is nothing to say: a step may be silent
// for hours. Thread-safe.
class Pulse {
 public:
  Pulse(Clock& clock, const ProgressSink& sink)
      : clock_(clock), sink_(sink), asked_(clock.Steady()) {}

  bool Report(const Progress& progress) {
    absl::MutexLock lock(&mu_);
    asked_ = clock_.Steady();
    return sink_(progress);
  }

  bool IsWanted() {
    // Whoever has it asks.
    if (!mu_.TryLock()) return true;
    const absl::Duration now = clock_.Steady();
    bool wanted = true;
    if (now >= asked_ + kAskEvery) {
      asked_ = now;
      wanted = sink_(Progress());
    }
    mu_.Unlock();
    return wanted;
  }

 private:
  Clock& clock_;
  const ProgressSink& sink_;
  absl::Mutex mu_;
  absl::Duration asked_ ABSL_GUARDED_BY(mu_);
};

absl::StatusOr<Image> Annotated(absl::StatusOr<Image> image) {
  if (image.ok()) return image;
  return Annotate(image.status(), "build");
}

}  // namespace

absl::StatusOr<Image> BuildImage(const BuilderOptions& options,
                                 const BuildRequest& request,
                                 const ProgressSink& progress) {
  if (progress == nullptr) {
    image::Reporter reporter(nullptr);
    return Annotated(Builder(options, request, &reporter).Run());
  }
  Pulse pulse(*options.clock, progress);
  image::Reporter reporter(
      [&pulse](const Progress& said) { return pulse.Report(said); },
      [&pulse] { return pulse.IsWanted(); });
  return Annotated(Builder(options, request, &reporter).Run());
}

}  // namespace bulwark::engine::build
