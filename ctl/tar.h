// Writes a folder as a tar stream.
#ifndef CTL_TAR_H_
#define CTL_TAR_H_

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
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

  // What the archive will hold, in its order, but for what changes meanwhile.
  struct Listed {
    std::string path;
    std::string name;  // in the archive, without "/" at its end
    struct stat info;
    std::string target;  // of a symbolic link
  };
  absl::StatusOr<std::vector<Listed>> ListAll() const;

  // Leaves out these files.
  void Skip(std::set<std::string> names) { skipped_ = std::move(names); }

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
  static absl::Status List(const std::string& path, const std::string& name,
                           std::vector<Entry>& stack);
  // What is at the entry, and whether it belongs to the archive; then pushes
  // what is below it.
  absl::StatusOr<std::optional<struct stat>> Visit(
      const Entry& entry, std::vector<Entry>& stack) const;
  absl::StatusOr<std::string> Header(const Entry& entry);
  absl::StatusOr<std::string> FilePiece();

  const std::string folder_;
  // Still to write; the last comes next.
  std::vector<Entry> stack_;
  bool ended_ = false;
  bool keep_owners_ = false;
  IgnoreList ignored_;
  std::set<std::string> always_;
  std::set<std::string> skipped_;
  UniqueFd file_;
  std::string file_name_;
  int64_t left_ = 0;
  int64_t padding_ = 0;
};

}  // namespace bulwark::ctl

#endif  // CTL_TAR_H_
