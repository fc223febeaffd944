// COPY and ADD.
#ifndef ENGINE_BUILD_COPY_STEP_H_
#define ENGINE_BUILD_COPY_STEP_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/build/build_context.h"
#include "engine/build/copy_plan.h"

namespace bulwark::engine::build {

// What the instruction says, with variables replaced.
struct CopyRequest {
  bool add = false;  // ADD: sources may be archives, URLs and repositories
  std::vector<std::string> sources;
  // Files whose text stands in the Dockerfile: name and text.
  std::vector<std::pair<std::string, std::string>> texts;
  std::string destination;  // absolute, "/" at its end if it was written so
  CopyFilter filter;
  CopyAttributes attributes;
  // ADD: whether archives are unpacked; nothing: those that are not fetched.
  std::optional<bool> unpack;
  std::string checksum;  // of the one source, which is remote; or empty
  bool keep_git_dir = false;
};

// One COPY or ADD, worked out but not carried out. Borrows the trees.
class CopyStep {
 public:
  // `from` is where the sources are, `below` the image so far. INVALID_ARGUMENT
  // if a source does not exist or the destination cannot take them.
  // Remote sources are fetched now.
  static absl::StatusOr<std::unique_ptr<CopyStep>> Plan(
      BuildContext* context, const CopyRequest& request, const FileTree& from,
      const FileTree& below);
  ~CopyStep();

  // A digest of what will be written.
  absl::StatusOr<std::string> Hash() const;

  // Writes the next layer into the empty `directory`.
  absl::Status Write(const std::string& directory);

 private:
  CopyStep(BuildContext* context, CopyAttributes attributes,
           const FileTree& below)
      : context_(context), attributes_(attributes), below_(below) {}

  // Adds one source; archives are moved from the plan to archives_.
  absl::Status Add(const CopyRequest& request, const FileTree& from,
                   const std::string& source, const std::string& destination,
                   bool into_directory);
  absl::Status AddRemote(const CopyRequest& request, const std::string& url,
                         const std::string& destination, bool into_directory);
  absl::Status AddTexts(const CopyRequest& request,
                        const std::string& destination, bool into_directory);
  // Of the plan's items from `first` on.
  absl::Status SetArchivesAside(size_t first, const std::string& destination);
  absl::Status UnpackArchive(const CopyItem& archive, CopyPlan* plan);
  absl::StatusOr<const FileTree*> NewTree(std::string* path);

  BuildContext* const context_;
  const CopyAttributes attributes_;
  const FileTree& below_;
  CopyPlan plan_;
  std::string commits_;  // of repositories whose own files come along
  std::vector<CopyItem> archives_;  // to be unpacked into their destination
  std::vector<std::string> temporary_;
  std::vector<std::unique_ptr<FileTree>> trees_;
};

}  // namespace bulwark::engine::build

#endif  // ENGINE_BUILD_COPY_STEP_H_
