// What ctl build receives: files, or an archive.
#ifndef CTL_BUILD_RESULT_H_
#define CTL_BUILD_RESULT_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"
#include "ctl/build_options.h"
#include "ctl/context.h"
#include "ctl/output_file.h"
#include "ctl/untar.h"

namespace bulwark::ctl {

// Thread-compatible. A file appears only when it is whole; of a folder there
// may be a part after an error.
class BuildResult {
 public:
  // Makes the folder, or sees that the file can be made.
  static absl::StatusOr<std::unique_ptr<BuildResult>> Open(
      Context& context, const BuildOutput& output);

  absl::Status Add(absl::string_view data);
  // All has come.
  absl::Status Finish();

 private:
  explicit BuildResult(Context& context) : context_(context) {}

  Context& context_;
  bool to_stdout_ = false;
  UniqueFd folder_;
  std::optional<Untar> untar_;
  std::optional<OutputFile> file_;
};

}  // namespace bulwark::ctl

#endif  // CTL_BUILD_RESULT_H_
