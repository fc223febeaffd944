// An exchange of images that does what the test says, and notes what it was
// asked.
#ifndef TESTS_INTEGRATION_API_SCRIPTED_EXCHANGE_H_
#define TESTS_INTEGRATION_API_SCRIPTED_EXCHANGE_H_

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/status.h"
#include "engine/image_content.h"
#include "engine/image_exchange.h"

namespace bulwark::api::testing {

inline constexpr char kDigest[] =
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

class ScriptedExchange final : public engine::ImageExchange,
                               public engine::ImageContent {
 public:
  absl::StatusOr<std::string> Push(
      const engine::PushRequest& request,
      const engine::ProgressSink& progress) override {
    pushes.push_back(request);
    progress({kDigest, "uploading", 1, 2, ""});
    RETURN_IF_ERROR(result);
    return std::string(kDigest);
  }
  absl::Status Save(const engine::SaveRequest& request, int fd,
                    const engine::ProgressSink& progress) override {
    save = request;
    int64_t written = 0;
    while (written < archive_bytes) {
      if (!progress({"", "saving", written, archive_bytes, ""})) {
        save_ended.Notify();
        return absl::CancelledError("cancelled");
      }
      const std::string piece(
          std::min<int64_t>(100'000, archive_bytes - written), 's');
      const ssize_t n = write(fd, piece.data(), piece.size());
      if (n < 0) {
        save_ended.Notify();
        return ErrnoStatus("write", "the archive");
      }
      written += n;
    }
    save_ended.Notify();
    return result;
  }
  absl::StatusOr<engine::Image> Import(
      const engine::ImportRequest& request, int fd,
      const engine::ProgressSink& progress) override {
    import = request;
    char buffer[100];
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    import_data = std::string(buffer, n > 0 ? n : 0);
    engine::Image image;
    image.digest = kDigest;
    return image;
  }
  absl::StatusOr<engine::Image> MakeIndex(
      const engine::IndexRequest& request) override {
    index = request;
    RETURN_IF_ERROR(result);
    engine::Image image;
    image.indexes = {{"other:1", "sha256:o"}, {"app:1", kDigest}};
    return image;
  }
  absl::StatusOr<engine::TagsPage> ListTags(
      const engine::TagsRequest& request) override {
    tags = request;
    RETURN_IF_ERROR(result);
    return tags_page;
  }
  absl::StatusOr<engine::Referrers> ListReferrers(
      const engine::ReferrersRequest& request) override {
    referrers = request;
    return engine::Referrers{
        kDigest,
        {{kDigest, "a/manifest", "a/signature", 12, {{"by", "me\xff"}}}}};
  }
  absl::StatusOr<engine::ImageDocuments> Documents(
      absl::string_view reference) override {
    if (reference != "app:1") return absl::NotFoundError("no such image");
    engine::ImageDocuments documents;
    documents.image.digest = kDigest;
    documents.manifest = "{\"m\":\xff}";
    documents.config = "{}";
    documents.layers = {{kDigest, "sha256:d", "layer", 7}};
    documents.history = {
        {absl::FromUnixSeconds(5), "COPY", "", documents.layers[0]},
        {absl::FromUnixSeconds(6), "CMD \xff", "last", std::nullopt}};
    return documents;
  }
  absl::StatusOr<std::vector<engine::ImageDamage>> Verify(
      const engine::VerifyRequest& request,
      const engine::VerifyProgress& progress) override {
    verify = request;
    if (!progress(5, 10)) return absl::CancelledError("cancelled");
    engine::ImageDamage damage;
    damage.kind = engine::ImageDamage::Kind::kLayer;
    damage.digest = kDigest;
    damage.problem = "changed";
    damage.references = {"app:1"};
    return std::vector<engine::ImageDamage>{damage};
  }

  absl::Status result;
  std::vector<engine::PushRequest> pushes;
  engine::SaveRequest save;
  int64_t archive_bytes = 0;
  absl::Notification save_ended;
  engine::IndexRequest index;
  engine::ImportRequest import;
  std::string import_data;
  engine::TagsRequest tags;
  engine::TagsPage tags_page;
  engine::ReferrersRequest referrers;
  engine::VerifyRequest verify;
};

}  // namespace bulwark::api::testing

#endif  // TESTS_INTEGRATION_API_SCRIPTED_EXCHANGE_H_
