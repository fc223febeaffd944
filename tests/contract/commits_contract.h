// What every engine::ImageCommits must do.
#ifndef TESTS_CONTRACT_COMMITS_CONTRACT_H_
#define TESTS_CONTRACT_COMMITS_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/testing/temp_dir.h"
#include "engine/image_commits.h"
#include "engine/images.h"

namespace bulwark::engine::testing {

class CommitsHarness {
 public:
  virtual ~CommitsHarness() = default;
  virtual Images& images() = 0;
  virtual ImageCommits& commits() = 0;
  // The image "base:1" of one layer: ENTRYPOINT ["/e"], CMD ["c"], X=1, Y=2.
  virtual Image MakeBase() = 0;
};

class CommitsContractTest
    : public ::testing::TestWithParam<
          std::function<std::unique_ptr<CommitsHarness>()>> {
 protected:
  void SetUp() override;

  std::unique_ptr<CommitsHarness> harness_;
  ::bulwark::testing::TempDir upper_;
  Image base_;
  CommitRequest request_;
};

}  // namespace bulwark::engine::testing

#endif  // TESTS_CONTRACT_COMMITS_CONTRACT_H_
