// Manifests, indexes and configurations of images: an error blames the text,
// and what is read can be written and read again.
#include <string>

#include "absl/status/status.h"
#include "engine/image/digest.h"
#include "engine/image/manifest.h"
#include "tests/fuzz/input.h"

namespace bulwark::engine::image {
namespace {

void ExpectBlame(const absl::Status& status) {
  CHECK(!status.message().empty());
  CHECK(status.code() == absl::StatusCode::kInvalidArgument ||
        status.code() == absl::StatusCode::kFailedPrecondition);
}

void ExpectSound(const Descriptor& descriptor) {
  CHECK(IsDigest(descriptor.digest));
  CHECK(descriptor.size >= 0);
}

void TryManifest(const std::string& text) {
  const absl::StatusOr<Manifest> manifest = ParseManifest(text);
  if (!manifest.ok()) return ExpectBlame(manifest.status());
  const absl::StatusOr<std::string> type = DocumentType(text, kOciManifest);
  CHECK(type.ok() && !IsIndexType(*type));
  ExpectSound(manifest->config);
  CHECK(manifest->config.size <= kMaxConfigBytes);
  CHECK(manifest->layers.size() <= kMaxLayers);
  for (const Descriptor& layer : manifest->layers) ExpectSound(layer);
  const std::string written = FormatManifest(*manifest);
  const absl::StatusOr<Manifest> again = ParseManifest(written);
  CHECK(again.ok());
  CHECK(FormatManifest(*again) == written);
  CHECK(again->layers.size() == manifest->layers.size());
}

void TryIndex(const std::string& text) {
  const absl::StatusOr<std::vector<IndexEntry>> index = ParseIndex(text);
  if (!index.ok()) return ExpectBlame(index.status());
  for (const IndexEntry& entry : *index) ExpectSound(entry.descriptor);
  const absl::StatusOr<Descriptor> chosen =
      ChoosePlatform(*index, {"linux", "amd64", ""});
  if (chosen.ok()) return ExpectSound(*chosen);
  CHECK(chosen.status().code() == absl::StatusCode::kNotFound);
}

void TryConfig(const std::string& text) {
  const absl::StatusOr<ConfigFile> config = ParseConfig(text);
  if (!config.ok()) return ExpectBlame(config.status());
  for (const std::string& id : config->diff_ids) CHECK(IsDigest(id));
  for (const auto* list : {&config->config.entrypoint, &config->config.command,
                           &config->config.env}) {
    for (const std::string& word : *list) {
      CHECK(word.find('\0') == std::string::npos);
    }
  }
  if (config->config.healthcheck.has_value()) {
    CHECK(!config->config.healthcheck->command.empty());
    CHECK(config->config.healthcheck->retries >= 0);
  }
  const std::string written = FormatConfig(*config);
  const absl::StatusOr<ConfigFile> again = ParseConfig(written);
  CHECK(again.ok());
  CHECK(FormatConfig(*again) == written);
  CHECK(again->diff_ids == config->diff_ids);
  CHECK(again->config.command == config->config.command);
}

}  // namespace
}  // namespace bulwark::engine::image

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulwark::engine::image;
  bulwark::fuzz::Input input(data, size);
  const std::string text = input.Rest();
  TryManifest(text);
  TryIndex(text);
  TryConfig(text);
  return 0;
}
