// Commits in memory, beside FakeImages.
#ifndef ENGINE_FAKE_IMAGES_FAKE_COMMITS_H_
#define ENGINE_FAKE_IMAGES_FAKE_COMMITS_H_

#include "absl/status/statusor.h"
#include "engine/fake/images/fake_images.h"
#include "engine/image_commits.h"

namespace bulwark::engine {

// Its images appear among those of `images`, which outlives it. The layer of a
// commit is `upper_dir` itself; of changes it carries out USER and ENV
// with one variable. Thread-safe.
class FakeCommits final : public ImageCommits {
 public:
  explicit FakeCommits(FakeImages& images) : images_(images) {}

  absl::StatusOr<Image> Commit(const CommitRequest& request) override;

 private:
  FakeImages& images_;
};

}  // namespace bulwark::engine

#endif  // ENGINE_FAKE_IMAGES_FAKE_COMMITS_H_
