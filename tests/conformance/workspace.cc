#include "tests/conformance/workspace.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "tests/conformance/exec.h"

namespace bulwark::conformance {
namespace {

namespace fs = std::filesystem;

constexpr char kCgroups[] = "/sys/fs/cgroup";

struct State {
  bool hidden = false;  // the hierarchy of version 2
  std::string directory;
  std::string parent;
  std::vector<Hierarchy> hierarchies;
  std::vector<std::string> applets;
};

State& TheState() {
  static State* state = new State;
  return *state;
}

std::vector<Hierarchy> FindHierarchies() {
  std::vector<Hierarchy> found;
  std::ifstream mounts("/proc/self/mounts");
  std::string line;
  while (std::getline(mounts, line)) {
    const std::vector<std::string> f = absl::StrSplit(line, ' ');
    if (f.size() < 4) continue;
    if (f[2] == "cgroup2") found.push_back({f[1], "unified", true});
    if (f[2] == "cgroup") {
      found.push_back({f[1], fs::path(f[1]).filename().string(), false});
    }
  }
  return found;
}

void SetReadOnly(const std::string& path, bool read_only, bool recursive) {
  mount_attr attributes = {};
  (read_only ? attributes.attr_set : attributes.attr_clr) = MOUNT_ATTR_RDONLY;
  if (syscall(SYS_mount_setattr, AT_FDCWD, path.c_str(),
              recursive ? AT_RECURSIVE : 0, &attributes,
              sizeof(attributes)) != 0) {
    std::fprintf(stderr, "conformance: cannot make %s read-%s: %s\n",
                 path.c_str(), read_only ? "only" : "write", strerror(errno));
    std::abort();
  }
}

// A directory that stays writable: where the runner of tests wants results.
void KeepWritable(const std::string& path) {
  CHECK(mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0);
  SetReadOnly(path, false, false);
}

// What of the host a runtime shall not be able to change, whatever it does.
void ProtectHost() {
  std::vector<std::string> writable = {"/proc", "/sys"};
  for (const Hierarchy& h : TheState().hierarchies) writable.push_back(h.mount);
  SetReadOnly("/", true, true);
  for (const std::string& path : writable) SetReadOnly(path, false, false);
  if (const char* xml = getenv("XML_OUTPUT_FILE"); xml != nullptr) {
    KeepWritable(fs::path(xml).parent_path());
  }
  for (const char* path : {"/etc", "/usr", "/root", "/tmp", "/var", "/run"}) {
    const std::string file = absl::StrCat(path, "/conformance-", getpid());
    const int fd = open(file.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0) unlink(file.c_str());
    CHECK(fd < 0 && errno == EROFS);
  }
}

void MakeParents() {
  State& s = TheState();
  for (const Hierarchy& h : s.hierarchies) {
    const std::string directory = h.mount + s.parent;
    CHECK(mkdir(directory.c_str(), 0755) == 0);
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      if (h.v2 || access((directory + file).c_str(), F_OK) != 0) continue;
      std::ofstream(directory + file) << ReadFile(h.mount + file);
    }
  }
}

void KillAllIn(const std::string& directory) {
  std::stringstream procs(ReadFile(directory + "/cgroup.procs"));
  pid_t pid;
  while (procs >> pid) {
    if (pid > 0) kill(pid, SIGKILL);
  }
}

}  // namespace

void Workspace::Enter() {
  State& s = TheState();
  CHECK(geteuid() == 0);
  // Containers' processes become children of the test when their parent, the
  // runtime, has left: the test learns their exit status and reaps them.
  CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
  umask(0022);
  CHECK(unshare(CLONE_NEWNS) == 0);
  CHECK(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  s.hierarchies = FindHierarchies();
  ProtectHost();
  // Directories that every host has, so that none is left behind.
  CHECK(mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0);
  CHECK(mount("tmpfs", "/mnt", "tmpfs", 0, "mode=755") == 0);
  s.directory = "/mnt/c";
  CHECK(mkdir(s.directory.c_str(), 0755) == 0);
  s.parent = absl::StrCat("/bulwark-conformance-", getpid());
  MakeParents();
  const Outcome list = Exec({"/bin/busybox", "--list"});
  CHECK(list.ok());
  s.applets = absl::StrSplit(list.out, '\n', absl::SkipEmpty());
}

void Workspace::Leave() {
  HideUnified(false);
  ClearCgroups();
  for (const Hierarchy& h : TheState().hierarchies) {
    rmdir((h.mount + TheState().parent).c_str());
  }
}

const std::string& Workspace::directory() { return TheState().directory; }

std::string Workspace::Runfile(const std::string& path) {
  const char* srcdir = getenv("TEST_SRCDIR");
  const char* workspace = getenv("TEST_WORKSPACE");
  CHECK(srcdir != nullptr && workspace != nullptr);
  return absl::StrCat(srcdir, "/", workspace, "/", path);
}

void Workspace::MakeRootfs(const std::string& path) {
  for (const char* d : {"", "/bin", "/dev", "/etc", "/proc", "/sys", "/tmp",
                        "/run", "/root", "/mnt", "/var", "/home"}) {
    CHECK(mkdir((path + d).c_str(), 0755) == 0);
  }
  CHECK(chmod((path + "/tmp").c_str(), 01777) == 0);
  static const std::string* kept = [] {
    auto* kept = new std::string(directory() + "/programs");
    CHECK(mkdir(kept->c_str(), 0755) == 0);
    fs::copy_file("/bin/busybox", *kept + "/busybox");
    fs::copy_file(Runfile("tests/conformance/probe"), *kept + "/probe");
    return kept;
  }();
  for (const char* program : {"/busybox", "/probe"}) {
    const std::string to = path + "/bin" + program;
    CHECK(link((*kept + program).c_str(), to.c_str()) == 0);
  }
  for (const std::string& applet : TheState().applets) {
    if (applet == "busybox") continue;
    const std::string link_path = path + "/bin/" + applet;
    CHECK(symlink("busybox", link_path.c_str()) == 0);
  }
  WriteFile(path + "/etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nbin:x:1000:1000::/home:/bin/sh\n");
  WriteFile(path + "/etc/group", "root:x:0:\nbin:x:1000:\n");
}

const std::vector<Hierarchy>& Workspace::hierarchies() {
  return TheState().hierarchies;
}

bool Workspace::pure_v2() {
  for (const Hierarchy& h : hierarchies()) {
    if (!h.v2) return false;
  }
  return true;
}

void Workspace::HideUnified(bool hide) {
  if (pure_v2() || hide == TheState().hidden) return;
  TheState().hidden = hide;
  if (!hide) {
    CHECK(umount2(kCgroups, MNT_DETACH) == 0);
    return;
  }
  const std::string view = directory() + "/cgroups";
  CHECK(mkdir(view.c_str(), 0755) == 0 || errno == EEXIST);
  CHECK(mount("cgroups", view.c_str(), "tmpfs", 0, "mode=755") == 0);
  for (const Hierarchy& h : hierarchies()) {
    if (h.v2) continue;
    const std::string at =
        absl::StrCat(view, "/", fs::path(h.mount).filename().string());
    CHECK(mkdir(at.c_str(), 0755) == 0);
    CHECK(mount(h.mount.c_str(), at.c_str(), nullptr, MS_BIND, nullptr) == 0);
  }
  CHECK(mount(view.c_str(), kCgroups, nullptr, MS_BIND | MS_REC, nullptr) == 0);
  CHECK(umount2(view.c_str(), MNT_DETACH) == 0);
}

const std::string& Workspace::cgroup_parent() { return TheState().parent; }

std::string Workspace::CgroupDirectory(const std::string& controller,
                                       const std::string& path) {
  for (const Hierarchy& h : hierarchies()) {
    const std::vector<std::string> names = absl::StrSplit(h.controllers, ',');
    for (const std::string& name : names) {
      if (name == controller) return h.mount + path;
    }
    if (!h.v2) continue;
    const std::string file = h.mount + "/cgroup.controllers";
    for (const auto& name :
         absl::StrSplit(ReadFile(file), absl::ByAnyChar(" \n"))) {
      if (name == controller) return h.mount + path;
    }
  }
  return "";
}

std::vector<std::string> Workspace::CgroupsLeft() {
  std::vector<std::string> left;
  for (const Hierarchy& h : hierarchies()) {
    std::error_code error;
    for (const auto& entry :
         fs::recursive_directory_iterator(h.mount + cgroup_parent(), error)) {
      if (entry.is_directory()) left.push_back(entry.path());
    }
  }
  return left;
}

void Workspace::ClearCgroups() {
  Eventually(
      [] {
        const std::vector<std::string> left = CgroupsLeft();
        for (auto path = left.rbegin(); path != left.rend(); ++path) {
          const std::string freezer = *path + "/freezer.state";
          if (access(freezer.c_str(), F_OK) == 0) {
            std::ofstream(freezer) << "THAWED";
          }
          const std::string freeze = *path + "/cgroup.freeze";
          if (access(freeze.c_str(), F_OK) == 0) std::ofstream(freeze) << "0";
          KillAllIn(*path);
          rmdir(path->c_str());
        }
        return left.empty();
      },
      absl::Seconds(10));
}

}  // namespace bulwark::conformance
