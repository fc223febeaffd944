// Images in memory, for tests of what uses them.
#ifndef ENGINE_FAKE_IMAGES_FAKE_IMAGES_H_
#define ENGINE_FAKE_IMAGES_FAKE_IMAGES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/images.h"

namespace bulwark::engine {

// A registry of images that the test declares, and the local store that pulls
// fill from it. References are taken as they are, without normalizing; what
// was published once can be pulled by its digest, "NAME@sha256:…", for ever.
// Thread-safe.
class FakeImages final : public Images {
 public:
  // Puts an image into the registry; its digest is made of `reference` and
  // `version`.
  Image Publish(const std::string& reference, int version = 1,
                ImageConfig config = {});
  // The same for an index that lists this image, or if not `for_this_host`,
  // only one for another platform. Its digest.
  std::string PublishIndex(const std::string& reference,
                           bool for_this_host = true);
  // Puts an image that was made of others into the local store, under these
  // names, with a digest of its own.
  Image Keep(Image image, const std::vector<std::string>& names);
  // The next `count` pulls fail so.
  void FailPulls(absl::Status status, int count = 1);
  int pulls() const;
  // max_age of the last request to Pull().
  absl::Duration last_max_age() const;
  // From now on CheckTrust() and Pull() refuse images of this digest so; OK
  // takes it back.
  void Distrust(const std::string& digest, absl::Status why);
  // The next `count` lookups fail so.
  void FailLookups(absl::Status status, int count = 1);
  int lookups() const;

  absl::StatusOr<Image> Pull(const PullRequest& request,
                             const ProgressSink& progress) override;
  absl::Status CheckTrust(const TrustRequest& request) override;
  absl::StatusOr<std::string> Lookup(absl::string_view reference) override;
  absl::StatusOr<std::vector<Image>> Load(
      int fd, const ProgressSink& progress) override;
  absl::StatusOr<Image> Build(const BuildRequest& request,
                              const ProgressSink& progress) override;
  absl::StatusOr<Image> Get(absl::string_view reference) override;
  std::vector<Image> List() override;
  absl::Status Tag(absl::string_view source, absl::string_view target) override;
  absl::Status Remove(absl::string_view reference,
                      const std::vector<std::string>& in_use) override;
  absl::Status Untag(absl::string_view reference) override;
  // Every image takes 1000 bytes, and every build is one cached step of 100.
  absl::StatusOr<ImagesUsage> Usage(
      const std::vector<std::string>& in_use) override;
  absl::StatusOr<PruneImagesResult> Prune(
      const PruneImagesRequest& request) override;

 private:
  absl::Status TrustOf(const std::string& digest) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Local images by digest, with all their names.
  std::map<std::string, Image> ByDigest() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  std::map<std::string, Image> registry_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Image> local_ ABSL_GUARDED_BY(mu_);  // by reference
  absl::Status failure_ ABSL_GUARDED_BY(mu_);
  int failures_ ABSL_GUARDED_BY(mu_) = 0;
  int pulls_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration last_max_age_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Image> published_ ABSL_GUARDED_BY(mu_);  // by digest
  std::map<std::string, absl::Status> distrusted_ ABSL_GUARDED_BY(mu_);
  absl::Status lookup_failure_ ABSL_GUARDED_BY(mu_);
  int lookup_failures_ ABSL_GUARDED_BY(mu_) = 0;
  int lookups_ ABSL_GUARDED_BY(mu_) = 0;
  // Images that lost their last name while in use, by digest.
  std::map<std::string, Image> unnamed_ ABSL_GUARDED_BY(mu_);
  int64_t steps_ ABSL_GUARDED_BY(mu_) = 0;
  int kept_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace bulwark::engine

#endif  // ENGINE_FAKE_IMAGES_FAKE_IMAGES_H_
