#include "tests/e2e/docker.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"

namespace bulwark::e2e {
namespace {

namespace fs = std::filesystem;

// Debian's, whatever else is called so: a newer client wants a plugin to build.
constexpr char kClient[] = "/usr/bin/docker";
constexpr char kDaemon[] = "/usr/sbin/dockerd";

// The groups that the daemon and BuildKit make for theirs are empty by now.
void RemoveGroups(const std::string& name) {
  std::vector<fs::path> hierarchies = {"/sys/fs/cgroup"};
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(hierarchies[0], error)) {
    if (entry.is_directory() && !entry.is_symlink()) {
      hierarchies.push_back(entry.path());
    }
  }
  for (const fs::path& hierarchy : hierarchies) {
    for (const std::string& group : {name + "/buildkit", name}) {
      rmdir((hierarchy / group).c_str());
    }
  }
}

}  // namespace

void CoverStateOfOthers() {
  for (const char* path : {"/run", "/var/lib"}) {
    CHECK(mount("none", path, "tmpfs", 0, "mode=755") == 0);
  }
}

bool Docker::IsInstalled() {
  return fs::exists(kClient) && fs::exists(kDaemon);
}

Docker::Docker(World& world)
    : folder_(world.Path("docker")),
      socket_("unix://" + folder_ + "/socket"),
      cgroup_(world.name() + "-docker") {
  for (const char* part : {"/upper", "/work"}) {
    fs::create_directories(folder_ + part);
  }
  CHECK(mount("none", "/etc", "overlay", 0,
              absl::StrCat("lowerdir=/etc,upperdir=", folder_,
                           "/upper,workdir=", folder_, "/work")
                  .c_str()) == 0);
  const std::string log = folder_ + "/log";
  daemon_ = std::make_unique<Background>(
      std::vector<std::string>{
          kDaemon, "--data-root", folder_ + "/data", "--exec-root",
          folder_ + "/x", "--pidfile", folder_ + "/pid", "-H", socket_,
          "--cgroup-parent", "/" + cgroup_, "--storage-driver", "vfs",
          "--bridge", "none", "--iptables=false", "--ip6tables=false"},
      log);
  const bool up = Eventually([this] { return Try({"version"}, false).ok(); });
  if (!up) fprintf(stderr, "%s\n", ReadFile(log).c_str());
  CHECK(up);
}

Docker::~Docker() {
  daemon_->Signal(SIGTERM);
  daemon_->Wait(absl::Seconds(30));
  daemon_.reset();
  RemoveGroups(cgroup_);
  umount2("/etc", MNT_DETACH);
}

Result Docker::Do(const std::vector<std::string>& words, bool buildkit) const {
  Result result = Try(words, buildkit);
  EXPECT_TRUE(result.ok()) << "docker " << absl::StrJoin(words, " ") << ": "
                           << result.ToString();
  return result;
}

Result Docker::Try(const std::vector<std::string>& words, bool buildkit) const {
  std::vector<std::string> all = {
      "env",
      absl::StrCat("DOCKER_BUILDKIT=", buildkit ? 1 : 0),
      kClient,
      "--config",
      folder_ + "/config",
      "-H",
      socket_};
  all.insert(all.end(), words.begin(), words.end());
  return Run(all, absl::Seconds(100));
}

}  // namespace bulwark::e2e
