#include "api/image_progress.h"

#include "api/convert.h"

namespace bulwark::api {
namespace {

constexpr absl::Duration kEvery = absl::Milliseconds(100);
constexpr size_t kMostIds = 10000;

}  // namespace

std::string ToUtf8(const std::string& text) {
  if (google::protobuf::internal::IsStructurallyValidUTF8(text)) return text;
  std::string out = text;
  for (char& c : out) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  }
  return out;
}

v1::ImageInfo ToImageInfo(const engine::Image& image) {
  v1::ImageInfo info;
  for (const std::string& reference : image.references) {
    info.add_references(reference);
  }
  info.set_digest(image.digest);
  info.set_config_digest(image.config_digest);
  info.set_size_bytes(image.size_bytes);
  *info.mutable_create_time() = ToTimestamp(image.create_time);
  info.set_platform(image.platform);
  for (const auto& [name, index] : image.indexes) {
    (*info.mutable_index_digests())[name] = index;
  }
  info.set_is_index(image.is_index);
  return info;
}

bool ProgressFilter::Report(const engine::Progress& progress) {
  if (done_()) return false;
  // Only asks.
  if (progress.id.empty() && progress.status.empty() &&
      progress.output.empty() && progress.warnings.empty()) {
    return true;
  }
  {
    absl::MutexLock lock(&mu_);
    const absl::Duration now = clock_.Steady();
    if (last_.size() >= kMostIds) last_.clear();
    const auto [it, is_new] =
        last_.try_emplace(progress.id, Last{progress.status, now});
    if (!is_new && progress.output.empty() && progress.warnings.empty() &&
        it->second.status == progress.status &&
        now < it->second.time + kEvery) {
      return true;
    }
    it->second = {progress.status, now};
  }
  v1::ImageProgress message;
  message.set_id(ToUtf8(progress.id));
  message.set_status(ToUtf8(progress.status));
  message.set_current(progress.current);
  message.set_total(progress.total);
  message.set_output(ToUtf8(progress.output));
  message.set_error(progress.error);
  message.set_stage(ToUtf8(progress.stage));
  if (progress.elapsed > absl::ZeroDuration()) {
    const int64_t nanos = absl::ToInt64Nanoseconds(progress.elapsed);
    message.mutable_elapsed()->set_seconds(nanos / 1'000'000'000);
    message.mutable_elapsed()->set_nanos(
        static_cast<int32_t>(nanos % 1'000'000'000));
  }
  for (const engine::BuildWarning& warning : progress.warnings) {
    v1::BuildWarning& out = *message.add_warnings();
    out.set_rule(ToUtf8(warning.rule));
    out.set_message(ToUtf8(warning.message));
    out.set_line(warning.line);
    out.set_excerpt(ToUtf8(warning.excerpt));
  }
  return send_(message);
}

bool ProgressFilter::Finish(const std::vector<engine::Image>& images) {
  v1::ImageProgress message;
  for (const engine::Image& image : images) {
    *message.add_images() = ToImageInfo(image);
  }
  return send_(message);
}

}  // namespace bulwark::api
