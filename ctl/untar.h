// Unpacks a tar stream below a folder.
#ifndef CTL_UNTAR_H_
#define CTL_UNTAR_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/unique_fd.h"

namespace bulwark::ctl {

// One entry of an archive (ustar and pax).
struct UntarEntry {
  std::string name;
  char type = '0';  // as in ustar
  std::string link;
  mode_t mode = 0;
  int64_t uid = 0, gid = 0;
  int64_t size = 0;
  int64_t mtime = 0;
};

// Takes an archive apart, in pieces of any size. Thread-compatible.
class UntarParser {
 public:
  virtual ~UntarParser() = default;

  // DATA_LOSS for what is no archive; errors of the handlers as they are.
  absl::Status Add(absl::string_view piece);
  // The stream has ended: DATA_LOSS in the middle of an entry.
  absl::Status End() const;

 protected:
  virtual absl::Status OnEntry(const UntarEntry& entry) = 0;
  virtual absl::Status OnData(absl::string_view data) = 0;
  virtual absl::Status OnEntryEnd() = 0;

 private:
  absl::Status Header(absl::string_view block);
  absl::Status Extended();

  std::string block_;  // a header that has not come whole
  int64_t left_ = 0;   // of the entry's content
  int64_t padding_ = 0;
  bool in_entry_ = false;
  bool in_extended_ = false;
  std::string extended_;
  std::vector<std::pair<std::string, std::string>> records_;  // for the next
};

struct UntarOptions {
  // Names have a first part in common, which is replaced by `first`, or
  // dropped if that is empty.
  bool has_first = true;
  std::string first;
  bool keep_owners = false;
};

// Whoever made the archive may wish us ill: names with ".." are refused, no
// link in the folder is followed, and what stands in the way of an entry is
// removed unless both, or neither, are folders.
class Untar final : public UntarParser {
 public:
  // `folder` stays the caller's.
  Untar(int folder, UntarOptions options)
      : folder_(folder), options_(std::move(options)) {}

  // Sets the modes of folders. Last.
  absl::Status Finish();

 private:
  absl::Status OnEntry(const UntarEntry& entry) override;
  absl::Status OnData(absl::string_view data) override;
  absl::Status OnEntryEnd() override;

  absl::StatusOr<std::vector<std::string>> Parts(const std::string& name) const;
  // The folder that the last part lies in; made if it is missing.
  absl::StatusOr<UniqueFd> OpenParent(const std::vector<std::string>& parts);
  absl::Status Make(int parent, const std::string& name,
                    const UntarEntry& entry);

  const int folder_;
  const UntarOptions options_;
  UniqueFd file_;
  UntarEntry current_;
  std::vector<std::pair<std::string, UntarEntry>> folders_;
};

}  // namespace bulwark::ctl

#endif  // CTL_UNTAR_H_
