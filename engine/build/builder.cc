#include "engine/build/builder.h"

#include <fcntl.h>

#include <map>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "engine/build/dockerfile.h"
#include "engine/build/scope.h"
#include "engine/build/stage.h"
#include "engine/build/stage_plan.h"
#include "engine/image/digest.h"
#include "engine/image/reference.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr int64_t kMaxDockerfileBytes = 4 << 20;

// A text file of the build context.
absl::StatusOr<std::string> ReadText(const FileTree& files,
                                     const std::string& path) {
  ASSIGN_OR_RETURN(FileTree::Node node, files.Lookup(path, /*follow=*/true));
  ASSIGN_OR_RETURN(UniqueFd fd, files.OpenFile(node));
  return os::ReadFd(fd.get(), path, kMaxDockerfileBytes);
}

// One build.
class Builder {
 public:
  Builder(const BuilderOptions& options, const BuildRequest& request,
          image::Reporter* reporter)
      : options_(options),
        lease_(options.store),
        context_{options, request, reporter, &lease_} {}

  absl::StatusOr<Image> Run() {
    const BuildRequest& request = context_.request;
    ASSIGN_OR_RETURN(std::vector<std::string> names, ParseTags());
    ASSIGN_OR_RETURN(platform_, image::ParsePlatform(""));
    ASSIGN_OR_RETURN(FileTree files, FileTree::Open({request.context_dir}));
    context_.files = &files;
    ASSIGN_OR_RETURN(Dockerfile file, ReadDockerfile(files));
    context_.file_name = file.name;
    context_.escape = file.escape;
    context_.file = &file;
    GlobalScope global(request.args, platform_);
    ASSIGN_OR_RETURN(plan_,
                     PlanBuild(file, request.target, contexts_, &global));
    for (size_t i : plan_.order) {
      steps_ += plan_.stages[i].instructions.size() + 1;
    }
    for (size_t i : plan_.order) RETURN_IF_ERROR(BuildStage(i, &global));
    Progress warning;
    warning.id = "build";
    warning.status = "running";
    for (const std::string& name : global.Unused()) {
      warning.output = absl::StrCat(
          "warning: no ARG asks for the build"
          " argument \"",
          name, "\"");
      context_.reporter->Report(warning);
    }
    return Store(images_.at(plan_.target), names);
  }

 private:
  absl::StatusOr<std::vector<std::string>> ParseTags() const {
    std::vector<std::string> names;
    for (const std::string& tag : context_.request.tags) {
      ASSIGN_OR_RETURN(image::Reference reference, image::ParseReference(tag));
      if (!reference.digest.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("tag ", tag, ": a new name cannot hold a digest"));
      }
      names.push_back(reference.ToString());
    }
    return names;
  }

  absl::StatusOr<Dockerfile> ReadDockerfile(const FileTree& files) {
    const std::string& path = context_.request.dockerfile;
    absl::StatusOr<std::string> text = ReadText(files, path);
    if (absl::IsNotFound(text.status())) {
      return absl::InvalidArgumentError(absl::StrCat(
          "there is no ", path, " in ", context_.request.context_dir));
    }
    if (!text.ok()) return text.status();
    for (const std::string& name : IgnoreFilesOf(path)) {
      absl::StatusOr<std::string> ignored = ReadText(files, name);
      if (absl::IsNotFound(ignored.status())) continue;
      if (!ignored.ok()) return ignored.status();
      ASSIGN_OR_RETURN(context_.ignored, IgnoreList::Parse(*ignored, name));
      break;
    }
    return ParseDockerfile(*text, path);
  }

  std::string NextStep() { return absl::StrCat(++step_, "/", steps_); }

  absl::Status BuildStage(size_t index, GlobalScope* global) {
    const StagePlan& plan = plan_.stages[index];
    const std::string step = NextStep();
    Progress progress;
    progress.id = step;
    progress.status = "running";
    progress.output = plan.from.ToString();
    context_.reporter->Report(progress);
    absl::StatusOr<StageImage> base = Base(plan);
    if (!base.ok()) {
      return AnnotateIn(base.status(), *context_.file, plan.from);
    }
    context_.reporter->Report(step, "done");
    Stage stage(&context_, global,
                [this](const std::string& name) { return LayersBehind(name); });
    RETURN_IF_ERROR(stage.Start(*std::move(base), plan.from));
    for (const Instruction& instruction : plan.instructions) {
      RETURN_IF_ERROR(stage.Execute(instruction, NextStep()));
    }
    images_[index] = stage.image();
    return absl::OkStatus();
  }

  absl::StatusOr<StageImage> Base(const StagePlan& plan) {
    if (plan.base_stage >= 0) return images_.at(plan.base_stage);
    if (plan.base == "scratch") {
      StageImage empty;
      empty.config.platform = platform_;
      empty.config.create_time = absl::UnixEpoch();
      return empty;
    }
    ASSIGN_OR_RETURN(Image image, options_.resolve(plan.base, plan.platform));
    return ReadBase(&context_, image);
  }

  absl::StatusOr<std::vector<std::string>> LayersBehind(
      const std::string& name) {
    ASSIGN_OR_RETURN(const Source source,
                     ResolveSource(plan_.stages, contexts_, name));
    if (source.stage >= 0) return images_.at(source.stage).Directories();
    ASSIGN_OR_RETURN(Image image, options_.resolve(source.image, ""));
    ASSIGN_OR_RETURN(StageImage base, ReadBase(&context_, image));
    return base.Directories();
  }

  absl::StatusOr<Image> Store(StageImage image,
                              const std::vector<std::string>& names) {
    image::BlobStore& blobs = options_.store->blobs();
    image::Manifest manifest;
    image.config.diff_ids.clear();
    for (const BuiltLayer& layer : image.layers) {
      image.config.diff_ids.push_back(layer.diff_id);
      manifest.layers.push_back(layer.blob);
    }
    std::string config = image::FormatConfig(image.config);
    lease_.Hold(image::DigestOf(config));
    manifest.config.media_type = image::kOciConfig;
    manifest.config.size = config.size();
    ASSIGN_OR_RETURN(manifest.config.digest, blobs.Put(config));
    std::string text = image::FormatManifest(manifest);
    lease_.Hold(image::DigestOf(text));
    ASSIGN_OR_RETURN(std::string digest, blobs.Put(text));
    return options_.store->Add(digest, names);
  }

  const BuilderOptions& options_;
  image::ImageStore::Lease lease_;
  BuildContext context_;
  image::Platform platform_;
  std::set<std::string> contexts_;  // the names of those beside the main one
  BuildPlan plan_;
  std::map<size_t, StageImage> images_;  // of the stages that are done
  size_t step_ = 0;
  size_t steps_ = 0;
};

}  // namespace

absl::StatusOr<Image> BuildImage(const BuilderOptions& options,
                                 const BuildRequest& request,
                                 const ProgressSink& progress) {
  image::Reporter reporter(progress);
  absl::StatusOr<Image> image = Builder(options, request, &reporter).Run();
  if (image.ok()) return image;
  return Annotate(image.status(), "build");
}

}  // namespace bulwark::engine::build
