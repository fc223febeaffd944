#include "engine/oci/cgroup/cgroup_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/unique_fd.h"

namespace bulwark::engine::oci {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string ReadAll(int fd) {
  std::string text;
  char buffer[8192];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// The names of the groups directly in a directory.
std::vector<std::string> Children(int fd) {
  std::vector<std::string> names;
  const int copy = openat(fd, ".", kDirectory);  // with a position of its own
  DIR* directory = copy < 0 ? nullptr : fdopendir(copy);
  if (directory == nullptr) {
    if (copy >= 0) close(copy);
    return names;
  }
  while (const dirent* entry = readdir(directory)) {
    const absl::string_view name = entry->d_name;
    if (entry->d_type == DT_DIR && name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  closedir(directory);
  return names;
}

bool IsGone(int error) { return error == ENOENT || error == ENODEV; }

// Walks down and up by one descriptor and a list of what is left on each
// level. `leave` sees the parent's directory and the name of each group whose
// own groups are done.
absl::Status Walk(const std::string& group,
                  const std::function<absl::Status(int)>& enter,
                  const std::function<absl::Status(int, const char*)>& leave) {
  UniqueFd here(open(group.c_str(), kDirectory));
  if (!here.ok()) {
    return IsGone(errno) ? absl::OkStatus() : ErrnoStatus("open", group);
  }
  RETURN_IF_ERROR(enter(here.get()));
  std::vector<std::vector<std::string>> left;  // to enter, by level
  left.push_back(Children(here.get()));
  while (!left.empty()) {
    if (!left.back().empty()) {
      UniqueFd down(openat(here.get(), left.back().back().c_str(), kDirectory));
      if (!down.ok()) {
        if (!IsGone(errno)) return ErrnoStatus("open a group below", group);
        left.back().pop_back();
        continue;
      }
      RETURN_IF_ERROR(enter(down.get()));
      left.push_back(Children(down.get()));
      here = std::move(down);
      continue;
    }
    left.pop_back();
    if (left.empty()) break;
    UniqueFd up(openat(here.get(), "..", kDirectory));
    if (!up.ok()) return ErrnoStatus("open the group above one in", group);
    here = std::move(up);
    RETURN_IF_ERROR(leave(here.get(), left.back().back().c_str()));
    left.back().pop_back();
  }
  return absl::OkStatus();
}

absl::Status Nothing(int, const char*) { return absl::OkStatus(); }

}  // namespace

int WriteControl(const std::string& path, absl::string_view text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.ok()) return errno;
  ssize_t n;
  do {
    n = write(fd.get(), text.data(), text.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return errno;
  return static_cast<size_t>(n) == text.size() ? 0 : EIO;
}

absl::Status WriteControlOrError(const std::string& path,
                                 absl::string_view text) {
  const int error = WriteControl(path, text);
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, absl::StrCat("write \"", text, "\" to"), path);
}

std::string ReadControl(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.ok() ? ReadAll(fd.get()) : "";
}

absl::string_view ControlField(absl::string_view text, absl::string_view key) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::ConsumePrefix(&line, key) && absl::ConsumePrefix(&line, " ")) {
      return line;
    }
  }
  return {};
}

uint64_t ControlNumber(absl::string_view text) {
  uint64_t value = 0;
  return absl::SimpleAtoi(text, &value) ? value : 0;
}

bool PathExists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

absl::Status WalkGroups(const std::string& group,
                        const std::function<absl::Status(int)>& visit) {
  return Walk(group, visit, Nothing);
}

absl::Status RemoveGroupTree(const std::string& group) {
  if (rmdir(group.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  // Only groups below it can be in the way, besides processes.
  if (errno != EBUSY && errno != ENOTEMPTY) {
    return ErrnoStatus("remove", group);
  }
  RETURN_IF_ERROR(Walk(
      group, [](int) { return absl::OkStatus(); },
      [&](int parent, const char* name) {
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
          return absl::OkStatus();
        }
        return ErrnoStatus(absl::StrCat("remove the group ", name, " in"),
                           group);
      }));
  if (rmdir(group.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus("remove", group);
}

absl::Status AppendPids(const std::string& group, std::vector<int>& pids) {
  return WalkGroups(group, [&](int directory) {
    const UniqueFd fd(openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC));
    if (!fd.ok()) {
      return IsGone(errno) ? absl::OkStatus()
                           : ErrnoStatus("list the processes of", group);
    }
    const std::string text = ReadAll(fd.get());
    for (absl::string_view line :
         absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      int pid;
      if (absl::SimpleAtoi(line, &pid) && pid > 0) pids.push_back(pid);
    }
    return absl::OkStatus();
  });
}

}  // namespace bulwark::engine::oci
