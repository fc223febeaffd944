// What all tests of one program share: a mount namespace of its own, a tmpfs
// in it that everything is made in, the root file system that bundles are
// copied from, and a cgroup in each hierarchy for the containers.
//
// The suite hands bad input to programs of others that run as root. One of them
// has answered an id with the removal of the host's directory of that name. So
// all of the host's file systems are read-only in there, but for the control
// files of the kernel; no test runs unless that has been seen to hold. Nothing
// of the files can outlive the program, however it ends.
#ifndef TESTS_CONFORMANCE_WORKSPACE_H_
#define TESTS_CONFORMANCE_WORKSPACE_H_

#include <string>
#include <vector>

namespace bulwark::conformance {

// One mounted cgroup hierarchy.
struct Hierarchy {
  std::string mount;        // "/sys/fs/cgroup/memory"
  std::string controllers;  // "memory", "cpu,cpuacct"; of v2: "unified"
  bool v2 = false;
};

class Workspace {
 public:
  // Enters the namespaces and makes all of it. Once, before any thread.
  static void Enter();
  // Takes the cgroups down; says what a container left in them.
  static void Leave();

  // The directory of everything; short enough for unix sockets below it.
  static const std::string& directory();
  // A path below the source tree, as the build provides it.
  static std::string Runfile(const std::string& path);
  // Makes a root file system with busybox and the probe at `path`.
  static void MakeRootfs(const std::string& path);

  static const std::vector<Hierarchy>& hierarchies();
  // Whether resources are set by files of version 2 here.
  static bool pure_v2();
  // Takes the hierarchy of version 2 out of sight, in our mount namespace,
  // where there are others beside it; or shows it again.
  static void HideUnified(bool hide);
  // "/bulwark-conformance-PID": the parent of containers' cgroups, in each
  // hierarchy.
  static const std::string& cgroup_parent();
  // The directory of `controller` ("memory") for cgroup `path`, or "" where
  // the controller is not to be had.
  static std::string CgroupDirectory(const std::string& controller,
                                     const std::string& path);
  // Directories below the parent, in any hierarchy.
  static std::vector<std::string> CgroupsLeft();
  // Kills what runs in them and removes them.
  static void ClearCgroups();
};

}  // namespace bulwark::conformance

#endif  // TESTS_CONFORMANCE_WORKSPACE_H_
