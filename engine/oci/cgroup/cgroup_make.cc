#include "engine/oci/cgroup/cgroup_make.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "engine/oci/cgroup/cgroup_files.h"

namespace bulwark::engine::oci {
namespace {

// Those that limit or count something that the specification knows.
constexpr const char* kWanted[] = {"cpu",     "cpuset", "io",  "memory",
                                   "hugetlb", "pids",   "rdma"};

// Somebody else removes a group above that is empty while we make ours.
constexpr int kTries = 20;

// "/m", "/m/a", "/m/a/b" for "/m" and "/a/b".
std::vector<std::string> Chain(const std::string& mount,
                               absl::string_view path) {
  std::vector<std::string> chain = {mount};
  for (absl::string_view name : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    chain.push_back(absl::StrCat(chain.back(), "/", name));
  }
  return chain;
}

std::vector<std::string> Words(const std::string& path) {
  return absl::StrSplit(ReadControl(path), ' ', absl::SkipEmpty());
}

bool Has(const std::vector<std::string>& words, absl::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// What `group` could pass on and does not.
std::vector<std::string> NotPassedOn(const std::string& group) {
  const std::vector<std::string> has = Words(group + "/cgroup.controllers");
  const std::vector<std::string> passes =
      Words(group + "/cgroup.subtree_control");
  std::vector<std::string> missing;
  for (const char* controller : kWanted) {
    if (Has(has, controller) && !Has(passes, controller)) {
      missing.push_back(absl::StrCat("+", controller));
    }
  }
  return missing;
}

}  // namespace

std::map<std::string, std::string> V1Directories(
    const CgroupHost& host, const std::set<std::string>& controllers,
    const std::string& path) {
  std::set<std::string> mounts;
  for (const std::string& controller : controllers) {
    const auto mount = host.v1.find(controller);
    if (mount != host.v1.end()) mounts.insert(mount->second);
  }
  std::map<std::string, std::string> directories;
  for (const auto& [controller, mount] : host.v1) {
    if (mounts.count(mount) > 0) directories[controller] = mount + path;
  }
  return directories;
}

absl::Status MakeGroup(const std::string& mount, absl::string_view path,
                       std::vector<std::string>& made) {
  const std::vector<std::string> chain = Chain(mount, path);
  const std::string& group = chain.back();
  for (int tries = kTries;; --tries) {
    if (mkdir(group.c_str(), 0755) == 0) {
      made.push_back(group);
      return absl::OkStatus();
    }
    if (errno == EEXIST) return absl::OkStatus();
    if (errno != ENOENT || tries == 0) return ErrnoStatus("make", group);
    for (size_t i = 1; i + 1 < chain.size(); ++i) {
      if (mkdir(chain[i].c_str(), 0755) == 0) {
        if (std::find(made.begin(), made.end(), chain[i]) == made.end()) {
          made.push_back(chain[i]);
        }
      } else if (errno != EEXIST && errno != ENOENT) {
        return ErrnoStatus("make", chain[i]);
      }
    }
  }
}

absl::Status FillCpusets(const std::string& mount, absl::string_view path) {
  const std::vector<std::string> chain = Chain(mount, path);
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    for (size_t i = 1; i < chain.size(); ++i) {
      if (!ReadControl(chain[i] + file).empty()) continue;
      RETURN_IF_ERROR(WriteControlOrError(chain[i] + file,
                                          ReadControl(chain[i - 1] + file)));
    }
  }
  return absl::OkStatus();
}

void EnableControllers(const std::string& mount, absl::string_view path) {
  const std::vector<std::string> chain = Chain(mount, path);
  const std::vector<std::string> host = Words(mount + "/cgroup.controllers");
  const std::vector<std::string> ours =
      Words(chain.back() + "/cgroup.controllers");
  const bool complete = std::all_of(
      std::begin(kWanted), std::end(kWanted), [&](const char* controller) {
        return Has(ours, controller) || !Has(host, controller);
      });
  if (complete) return;
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    const std::vector<std::string> missing = NotPassedOn(chain[i]);
    const std::string file = chain[i] + "/cgroup.subtree_control";
    if (missing.empty() ||
        WriteControl(file, absl::StrJoin(missing, " ")) == 0) {
      continue;
    }
    // All or nothing: one that is refused (processor time with real-time
    // processes about) does not take the others with it.
    for (const std::string& one : missing) WriteControl(file, one);
  }
}

absl::Status CheckEmpty(const std::string& group) {
  std::vector<int> pids;
  RETURN_IF_ERROR(AppendPids(group, pids));
  // The kernel's count knows those too that our PID namespace does not show.
  const bool populated =
      ControlField(ReadControl(group + "/cgroup.events"), "populated") == "1";
  if (pids.empty() && !populated) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "make the container's control group: ", group, " exists and has ",
      pids.empty() ? "processes"
                   : absl::StrCat(pids.size(), " processes (", pids[0], ")"),
      ": name another in linux.cgroupsPath, or end them"));
}

}  // namespace bulwark::engine::oci
