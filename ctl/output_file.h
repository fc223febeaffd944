// A file that appears whole, or not at all.
#ifndef CTL_OUTPUT_FILE_H_
#define CTL_OUTPUT_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::ctl {

// Until Commit() the file has no name where the file system can do that, and
// else one of its own beside `path`; nothing is left of it when this object
// goes before. Mode 0600. Move-only, thread-compatible.
class OutputFile {
 public:
  // With `replace` a regular file that is there is replaced by Commit(), and
  // stays as it is until then. Otherwise, and for whatever is no regular file,
  // ALREADY_EXISTS. NOT_FOUND if there is no such folder.
  static absl::StatusOr<OutputFile> Create(const std::string& path,
                                           bool replace);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  // RESOURCE_EXHAUSTED if the disk is full, with what to do.
  absl::Status Write(absl::string_view bytes);

  // On disk, and named, when it returns OK. Once.
  absl::Status Commit();

  int64_t size() const { return size_; }

 private:
  OutputFile(std::string path, bool replace)
      : path_(std::move(path)), replace_(replace) {}
  absl::Status Open();
  absl::Status GiveName(const std::string& name);
  absl::Status Explain(const absl::Status& status) const;

  std::string path_;   // empty: moved from
  std::string draft_;  // its name for now; empty: it has none
  bool replace_;
  UniqueFd folder_, fd_;
  int64_t size_ = 0;
};

}  // namespace bulwark::ctl

#endif  // CTL_OUTPUT_FILE_H_
