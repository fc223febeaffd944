#include "engine/build/build_context.h"

#include <sys/stat.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status.h"
#include "engine/build/layer_packer.h"
#include "engine/image/digest.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

absl::StatusOr<BuiltLayer> LayerOf(BuildContext* context,
                                   const StepResult& result) {
  std::string directory =
      context->options.store->layers().Find(result.diff_id, result.diff_id);
  if (directory.empty()) {
    return absl::InternalError(
        absl::StrCat("layer ", result.diff_id, " vanished"));
  }
  return BuiltLayer{{result.zstd ? image::kOciLayerZstd : image::kOciLayerGzip,
                     result.blob, result.size},
                    result.diff_id,
                    std::move(directory)};
}

// Runs `fill` in a new directory and makes that a layer of the store.
absl::StatusOr<StepResult> FillAndStore(BuildContext* context,
                                        const LayerFiller& fill) {
  image::ImageStore& store = *context->options.store;
  ASSIGN_OR_RETURN(std::string path, store.blobs().NewTemporaryDirectory());
  auto remove = absl::MakeCleanup([&path] {
    absl::Status status = os::RemoveTree(path);
    if (!status.ok()) {
      LOG_WARN("cannot remove the files of a build step",
               {{"path", path}, {"error", status}});
    }
  });
  std::string fs = absl::StrCat(path, "/fs");
  if (mkdir(fs.c_str(), 0755) != 0 || chmod(fs.c_str(), 0755) != 0) {
    return ErrnoStatus("make directory", fs);
  }
  RETURN_IF_ERROR(fill(fs));
  PackOptions options;
  options.zstd = context->request.zstd;
  options.latest = context->epoch.value_or(absl::InfiniteFuture());
  ASSIGN_OR_RETURN(PackedLayer packed, PackLayer(
                                           fs, options, &store.blobs(),
                                           [context](absl::string_view digest) {
                                             context->lease->Hold(digest);
                                           },
                                           context->Cancelled()));
  StepResult result;
  result.create_time = context->epoch.value_or(context->options.clock->Now());
  result.zstd = options.zstd;
  if (packed.entries == 0) return result;
  result.blob = packed.blob;
  result.size = packed.size;
  result.diff_id = packed.diff_id;
  // Beside fs an engine may have left its work directory.
  ASSIGN_OR_RETURN(std::vector<std::string> names, os::ListDir(path));
  for (const std::string& name : names) {
    if (name == "fs") continue;
    RETURN_IF_ERROR(os::RemoveTree(absl::StrCat(path, "/", name)));
  }
  RETURN_IF_ERROR(store.layers().Adopt(path, packed.diff_id).status());
  std::move(remove).Cancel();
  return result;
}

}  // namespace

absl::StatusOr<StepLayer> MakeLayer(BuildContext* context,
                                    const std::string& key, bool use_cache,
                                    const LayerFiller& fill) {
  StepCache& cache = *context->options.cache;
  // What decides about the layer's bytes beside its content.
  std::string whole = key;
  if (context->request.zstd) absl::StrAppend(&whole, " zstd");
  if (context->epoch.has_value()) {
    absl::StrAppend(&whole, " epoch ", absl::ToUnixSeconds(*context->epoch));
  }
  whole = image::DigestOf(whole);
  StepLayer step;
  std::optional<StepResult> result;
  if (use_cache) result = cache.Find(whole, context->lease);
  std::optional<image::ImageStore::Claim> claim;
  if (use_cache && !result.has_value()) {
    claim.emplace(context->options.store, absl::StrCat("step ", whole));
    result = cache.Find(whole, context->lease);
  }
  step.cached = result.has_value();
  if (!result.has_value()) {
    RETURN_IF_ERROR(context->reporter->Check());
    ASSIGN_OR_RETURN(result, FillAndStore(context, fill));
    RETURN_IF_ERROR(cache.Put(whole, *result));
  }
  step.create_time = result->create_time;
  if (!result->diff_id.empty()) {
    ASSIGN_OR_RETURN(step.layer, LayerOf(context, *result));
  }
  return step;
}

absl::StatusOr<StageImage> ReadBase(BuildContext* context, const Image& image) {
  image::BlobStore& blobs = context->options.store->blobs();
  context->lease->Hold(image.digest);
  context->lease->Hold(image.config_digest);
  ASSIGN_OR_RETURN(std::string text,
                   blobs.ReadAll(image.digest, image::kMaxManifestBytes));
  ASSIGN_OR_RETURN(image::Manifest manifest, image::ParseManifest(text));
  ASSIGN_OR_RETURN(text,
                   blobs.ReadAll(image.config_digest, image::kMaxConfigBytes));
  StageImage result;
  ASSIGN_OR_RETURN(result.config, image::ParseConfig(text));
  if (manifest.layers.size() != image.layers.size() ||
      result.config.diff_ids.size() != image.layers.size()) {
    return absl::DataLossError(
        absl::StrCat("image ", image.digest, " has contradictory layers"));
  }
  for (size_t i = 0; i < image.layers.size(); ++i) {
    context->lease->Hold(manifest.layers[i].digest);
    context->lease->Hold(result.config.diff_ids[i]);
    result.layers.push_back(
        {manifest.layers[i], result.config.diff_ids[i], image.layers[i]});
  }
  for (const std::string& id : image::ChainIds(result.config.diff_ids)) {
    context->lease->Hold(id);
  }
  return result;
}

}  // namespace bulwark::engine::build
