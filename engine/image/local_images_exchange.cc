#include "absl/status/status.h"
#include "engine/image/local_images.h"

namespace bulwark::engine {

absl::StatusOr<std::string> LocalImages::Push(const PushRequest&,
                                              const ProgressSink&) {
  return absl::UnimplementedError("push image");
}

absl::Status LocalImages::Save(const SaveRequest&, int, const ProgressSink&) {
  return absl::UnimplementedError("save images");
}

absl::StatusOr<Image> LocalImages::Import(const ImportRequest&, int,
                                          const ProgressSink&) {
  return absl::UnimplementedError("import image");
}

absl::StatusOr<TagsPage> LocalImages::ListTags(const TagsRequest&) {
  return absl::UnimplementedError("list tags");
}

absl::StatusOr<Referrers> LocalImages::ListReferrers(const ReferrersRequest&) {
  return absl::UnimplementedError("list referrers");
}

}  // namespace bulwark::engine
