// What every engine::ContainerFiles must do.
#ifndef TESTS_CONTRACT_FILES_CONTRACT_H_
#define TESTS_CONTRACT_FILES_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/container_files.h"
#include "engine/engine.h"

namespace bulwark::engine {

// The container "a" runs; its image has /etc/group and /keep/one.
class FilesHarness {
 public:
  virtual ~FilesHarness() = default;

  virtual Engine& engine() = 0;
  virtual ContainerFiles& files() = 0;
  // What the container does itself.
  virtual void Write(const std::string& path, const std::string& text) = 0;
  virtual void Erase(const std::string& path) = 0;
};

struct FilesContractParam {
  std::string name;
  std::function<std::unique_ptr<FilesHarness>()> make;
};

class FilesContractTest : public ::testing::TestWithParam<FilesContractParam> {
 protected:
  void SetUp() override { harness_ = GetParam().make(); }

  ContainerFiles& files() { return harness_->files(); }
  // "name size uid" of all entries.
  absl::StatusOr<std::vector<std::string>> From(const std::string& path,
                                                bool follow = false);
  absl::StatusOr<std::vector<std::string>> Exported();
  absl::StatusOr<int64_t> To(const std::string& path, const std::string& tar,
                             bool keep_ids = false);
  // "A /path", "C /path", "D /path".
  std::vector<std::string> Changes();

  std::unique_ptr<FilesHarness> harness_;
};

}  // namespace bulwark::engine

#endif  // TESTS_CONTRACT_FILES_CONTRACT_H_
