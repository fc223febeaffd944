#include "engine/build/owners.h"

#include <limits>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "os/files.h"

namespace bulwark::engine::build {
namespace {

constexpr int64_t kMaxFileBytes = 4 << 20;

std::optional<uint32_t> ParseId(absl::string_view text) {
  uint32_t id = 0;
  if (!absl::SimpleAtoi(text, &id) ||
      id == std::numeric_limits<uint32_t>::max()) {
    return std::nullopt;
  }
  return id;
}

// The line of a colon-separated file whose field `column` is `value`, in
// fields; empty if there is none.
absl::StatusOr<std::vector<std::string>> FindLine(const FileTree& tree,
                                                  const std::string& path,
                                                  size_t column,
                                                  absl::string_view value) {
  absl::StatusOr<FileTree::Node> node = tree.Lookup(path, /*follow=*/true);
  if (!node.ok()) return std::vector<std::string>();
  ASSIGN_OR_RETURN(UniqueFd fd, tree.OpenFile(*node));
  ASSIGN_OR_RETURN(std::string text, os::ReadFd(fd.get(), path, kMaxFileBytes));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    std::vector<std::string> fields = absl::StrSplit(line, ':');
    if (fields.size() > column && fields.size() > 2 &&
        fields[column] == value) {
      return fields;
    }
  }
  return std::vector<std::string>();
}

absl::Status Unknown(absl::string_view what, absl::string_view name,
                     absl::string_view file) {
  return absl::InvalidArgumentError(
      absl::StrCat("unknown ", what, " \"", name, "\": the image's ", file,
                   " does not have it; use a number, or add it first"));
}

}  // namespace

absl::StatusOr<Owner> ResolveOwner(absl::string_view text,
                                   const FileTree& tree) {
  std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  Owner owner;
  if (const std::optional<uint32_t> uid = ParseId(parts[0]); uid.has_value()) {
    owner = {*uid, *uid};
  } else if (!parts[0].empty() || parts.size() == 1) {
    ASSIGN_OR_RETURN(const std::vector<std::string> user,
                     FindLine(tree, "etc/passwd", 0, parts[0]));
    const std::optional<uint32_t> found =
        user.size() > 2 ? ParseId(user[2]) : std::nullopt;
    if (!found.has_value()) return Unknown("user", parts[0], "/etc/passwd");
    const std::optional<uint32_t> first =
        user.size() > 3 ? ParseId(user[3]) : std::nullopt;
    owner = {*found, first.value_or(*found)};
  }
  if (parts.size() == 1) return owner;
  std::optional<uint32_t> gid = ParseId(parts[1]);
  if (!gid.has_value()) {
    ASSIGN_OR_RETURN(std::vector<std::string> group,
                     FindLine(tree, "etc/group", 0, parts[1]));
    if (group.size() > 2) gid = ParseId(group[2]);
  }
  if (!gid.has_value()) return Unknown("group", parts[1], "/etc/group");
  owner.gid = *gid;
  return owner;
}

}  // namespace bulwark::engine::build
