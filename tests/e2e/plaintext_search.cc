#include "tests/e2e/plaintext_search.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

namespace bulwark::e2e {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

// Reads from `begin` to `end`, as far as that can be read, with an overlap of
// the text's length between the pieces.
bool RangeHolds(int fd, off_t begin, off_t end, const std::string& text) {
  std::string buffer;
  size_t kept = 0;
  for (off_t at = begin; at < end;) {
    const size_t want = std::min<size_t>(kPiece, static_cast<size_t>(end - at));
    buffer.resize(kept + want);
    const ssize_t n = pread(fd, buffer.data() + kept, want, at);
    if (n <= 0) return false;
    buffer.resize(kept + static_cast<size_t>(n));
    if (buffer.find(text) != std::string::npos) return true;
    kept = std::min(buffer.size(), text.size());
    buffer.erase(0, buffer.size() - kept);
    at += n;
  }
  return false;
}

struct Mapping {
  off_t begin = 0, end = 0;
  bool dumped = true;
};

// Those that can be read.
std::vector<Mapping> MappingsOf(pid_t pid) {
  std::ifstream maps(absl::StrCat("/proc/", pid, "/smaps"));
  std::vector<Mapping> found;
  bool readable = false;
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long long begin = 0, end = 0;
    char rights[5] = "";
    if (sscanf(line.c_str(), "%llx-%llx %4s", &begin, &end, rights) == 3) {
      readable = rights[0] == 'r' && !absl::StrContains(line, "[vvar");
      if (readable) {
        found.push_back({static_cast<off_t>(begin), static_cast<off_t>(end)});
      }
    } else if (readable && absl::StartsWith(line, "VmFlags:")) {
      found.back().dumped = !absl::StrContains(line + " ", " dd ");
    }
  }
  return found;
}

UniqueFd OpenMemory(pid_t pid) {
  return UniqueFd(
      open(absl::StrCat("/proc/", pid, "/mem").c_str(), O_RDONLY | O_CLOEXEC));
}

}  // namespace

bool MemoryHolds(pid_t pid, const std::string& text) {
  const std::vector<Mapping> all = MappingsOf(pid);
  const UniqueFd memory = OpenMemory(pid);
  return std::any_of(all.begin(), all.end(), [&](const Mapping& m) {
    return RangeHolds(memory.get(), m.begin, m.end, text);
  });
}

bool DumpableMemoryHolds(pid_t pid, const std::string& text) {
  const std::vector<Mapping> all = MappingsOf(pid);
  const UniqueFd memory = OpenMemory(pid);
  return std::any_of(all.begin(), all.end(), [&](const Mapping& m) {
    return m.dumped && RangeHolds(memory.get(), m.begin, m.end, text);
  });
}

bool FileHolds(const std::string& path, const std::string& text) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.ok()) return false;  // it went away
  return RangeHolds(fd.get(), 0, lseek(fd.get(), 0, SEEK_END), text);
}

std::vector<std::string> FilesThatHold(const std::string& directory,
                                       const std::string& text,
                                       const std::string& skip) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  std::error_code error;
  for (fs::recursive_directory_iterator
           it(directory, fs::directory_options::skip_permission_denied, error),
       last;
       it != last; it.increment(error)) {
    if (!skip.empty() && it->path() == skip) {
      it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file(error) || it->is_symlink(error)) continue;
    if (FileHolds(it->path(), text)) found.push_back(it->path());
  }
  return found;
}

std::set<pid_t> ProcessesOf(World& world) {
  std::set<pid_t> pids;
  std::istringstream report(world.LeakReport());
  std::string line;
  while (std::getline(report, line)) {
    const nlohmann::json item = nlohmann::json::parse(line, nullptr, false);
    if (!item.is_object() || item.value("kind", "") != "process") continue;
    pids.insert(std::atoi(item.value("id", "").c_str()));
  }
  return pids;
}

pid_t ParentOf(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  int parent = 0;
  sscanf(stat.c_str() + stat.rfind(')') + 1, " %*c %d", &parent);
  return parent;
}

}  // namespace bulwark::e2e
