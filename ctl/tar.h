// Writes a folder as a tar stream.
#ifndef CTL_TAR_H_
#define CTL_TAR_H_

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/ignore_list.h"
#include "base/unique_fd.h"

namespace bulwark::ctl {

// POSIX pax archives (IEEE 1003.1-2008, pax Interchange Format): plain ustar
// headers, with an extended header before an entry whose name, link or size
// does not fit. Holds files, folders and symbolic links with their modes and
// times, owned by 0:0, in the order of their names; sockets, pipes and devices
// are left out. Memory is bounded by one piece. Thread-compatible.
class TarFolder {
 public:
  // NOT_FOUND or FAILED_PRECONDITION if `folder` is no readable folder.
  static absl::StatusOr<std::unique_ptr<TarFolder>> Open(std::string folder);

  // An archive of `path` alone, a file, folder or link, under `name`.
  static std::unique_ptr<TarFolder> Of(std::string path, std::string name);

  // Entries keep their users and groups, instead of 0:0.
  void KeepOwners() { keep_owners_ = true; }

  // Leaves out what `ignored` names, but for `always`. Folders that are left
  // out are looked into for what is taken back.
  void LeaveOut(IgnoreList ignored, std::vector<std::string> always);

  // Adds the content of a file outside the folder under `name`, at the end.
  void AddFile(std::string path, std::string name);

  // The next piece of the archive; empty at its end. A file that shrinks
  // while it is read is FAILED_PRECONDITION; one that vanished is left out.
  absl::StatusOr<std::string> Next();

 private:
  struct Entry {
    // On disk, and in the archive.
    std::string path;
    std::string name;
  };

  explicit TarFolder(std::string folder) : folder_(std::move(folder)) {}
  bool IsLeftOut(const std::string& name) const;
  absl::Status List(const std::string& path, const std::string& name);
  absl::StatusOr<std::string> Header(const Entry& entry);
  absl::StatusOr<std::string> FilePiece();

  const std::string folder_;
  // Still to write; the last comes next.
  std::vector<Entry> stack_;
  bool ended_ = false;
  bool keep_owners_ = false;
  IgnoreList ignored_;
  std::set<std::string> always_;
  UniqueFd file_;
  std::string file_name_;
  int64_t left_ = 0;
  int64_t padding_ = 0;
};

}  // namespace bulwark::ctl

#endif  // CTL_TAR_H_
