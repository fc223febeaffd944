#include "engine/local/testing/local_world.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "base/testing/status_matchers.h"
#include "os/files.h"

namespace bulwark::engine::testing {
namespace {

std::string ShimPath() {
  const char* explicit_path = std::getenv("BULWARK_SHIM");
  if (explicit_path != nullptr) return explicit_path;
  const char* runfiles = std::getenv("TEST_SRCDIR");
  return absl::StrCat(runfiles == nullptr ? "" : runfiles,
                      runfiles == nullptr ? "" : "/bulwark/",
                      "engine/shim/bulwark-shim");
}

// Reads commands from a pipe that stays open on both ends.
constexpr char kObey[] =
    "exec 3<>/ctl/fifo; while read -r line <&3; do "
    "case $line in say\\ *) echo \"${line#say }\";; *) eval \"$line\";; esac; "
    "done";

}  // namespace

LocalWorld::LocalWorld(const std::string& max_kernel) {
  static int count = 0;
  config_.instance = absl::StrCat("bwtest-", getpid(), "-", ++count);
  config_.runtime_dir = dir_ / "run";
  config_.state_dir = dir_ / "state";
  config_.shim_path = ShimPath();
  config_.max_kernel = max_kernel;
  namespace fs = std::filesystem;
  fs::create_directories(Layer() + "/bin");
  fs::create_directories(Layer() + "/etc");
  fs::create_directories(dir_ / "ctl");
  CHECK(chmod(Layer().c_str(), 0755) == 0);
  fs::copy_file("/bin/busybox", Layer() + "/bin/busybox");
  for (const char* applet :
       {"sh",   "cat",      "echo",     "sleep", "ls",    "id",    "stty",
        "tty",  "mount",    "ps",       "seq",   "true",  "dd",    "env",
        "grep", "readlink", "hostname", "ip",    "touch", "mknod", "head",
        "wc",   "pwd",      "kill",     "yes",   "chroot"}) {
    fs::create_symlink("busybox", Layer() + "/bin/" + applet);
  }
  CHECK(os::WriteFileDurably(Layer() + "/etc/passwd",
                             "root:x:0:0::/root:/bin/sh\n"
                             "app:x:1000:1000::/home/app:/bin/sh\n",
                             0644)
            .ok());
  CHECK(os::WriteFileDurably(Layer() + "/etc/group",
                             "root:x:0:\napp:x:1000:\nlog:x:44:app\n", 0644)
            .ok());
  Reopen();
}

LocalWorld::~LocalWorld() {
  if (engine_ == nullptr) {
    Reopen();
    EXPECT_OK(engine_->Recover([](absl::string_view) {}));
  }
  for (const ContainerInfo& info : engine_->List()) {
    EXPECT_OK(engine_->Kill(info.id));
    EXPECT_OK(engine_->Remove(info.id));
  }
  engine_.reset();
  const std::string mounts =
      os::ReadFile("/proc/self/mountinfo", 1 << 20).value_or("");
  absl::StatusOr<os::CgroupLayout> layout = os::ParseCgroupLayout(mounts);
  CHECK(layout.ok());
  os::Cgroups cgroups(*layout, config_.instance, clock_);
  EXPECT_TRUE(cgroups.List().empty());
  EXPECT_OK(cgroups.Cleanup());
}

void LocalWorld::Reopen() {
  engine_.reset();
  absl::StatusOr<std::unique_ptr<LocalEngine>> engine =
      LocalEngine::Create(config_, clock_);
  EXPECT_OK(engine);
  CHECK(engine.ok());
  engine_ = *std::move(engine);
}

ContainerSpec LocalWorld::Shell(const std::string& id,
                                const std::string& script) {
  ContainerSpec spec;
  spec.id = id;
  spec.layers = {Layer()};
  spec.args = {"/bin/sh", "-c", script};
  spec.env = {"PATH=/bin"};
  spec.ids = ids_;
  return spec;
}

ContainerSpec LocalWorld::Obedient(const std::string& id) {
  const std::string directory = dir_ / ("ctl/" + id);
  const std::string fifo = directory + "/fifo";
  mkdir(directory.c_str(), 0755);
  mkfifo(fifo.c_str(), 0666);
  UniqueFd& fd = fifos_[id];
  if (!fd.ok()) fd.Reset(open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  CHECK(fd.ok());
  ContainerSpec spec = Shell(id, kObey);
  spec.mounts = {{Mount::Kind::kBind, directory, "/ctl"}};
  return spec;
}

void LocalWorld::Command(const std::string& id, const std::string& command) {
  const std::string line = command + "\n";
  CHECK(write(fifos_[id].get(), line.data(), line.size()) ==
        static_cast<ssize_t>(line.size()));
}

ContainerInfo LocalWorld::AwaitExit(const std::string& id) {
  const absl::Duration deadline = clock_.Steady() + absl::Seconds(20);
  for (;;) {
    absl::StatusOr<ContainerInfo> info = engine_->Inspect(id);
    EXPECT_OK(info);
    if (!info.ok() || info->state == ContainerState::kExited) {
      return info.value_or(ContainerInfo());
    }
    if (clock_.Steady() > deadline) {
      ADD_FAILURE() << id << " does not exit";
      return *info;
    }
    clock_.Sleep(absl::Milliseconds(2));
  }
}

std::string LocalWorld::Run(const std::string& id,
                            std::vector<std::string> args) {
  ExecSpec spec;
  spec.args = std::move(args);
  absl::StatusOr<std::unique_ptr<ExecSession>> session =
      engine_->Exec(id, spec);
  if (!session.ok()) return session.status().ToString();
  (*session)->CloseInput();
  std::string text;
  for (const int fd : {(*session)->output(), (*session)->error()}) {
    char buffer[4096];
    for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(n));
    }
  }
  const absl::StatusOr<int> code = (*session)->Wait();
  if (!code.ok()) return code.status().ToString();
  if (*code != 0) absl::StrAppend(&text, "exit ", *code);
  return text;
}

std::string LocalWorld::Output(const std::string& id) {
  absl::StatusOr<std::unique_ptr<LogReader>> reader = engine_->Logs(id, {});
  EXPECT_OK(reader);
  std::string text;
  while (reader.ok()) {
    absl::StatusOr<LogEntry> entry = (*reader)->Next(absl::Seconds(1));
    if (!entry.ok()) break;
    absl::StrAppend(&text, entry->line, entry->partial ? "" : "\n");
  }
  return text;
}

Resources CountResources() {
  Resources r;
  const std::string mounts =
      os::ReadFile("/proc/self/mountinfo", 1 << 20).value_or("");
  r.mounts = static_cast<int>(std::count(mounts.begin(), mounts.end(), '\n'));
  r.open_files = static_cast<int>(
      os::ListDir("/proc/self/fd").value_or(std::vector<std::string>()).size());
  const std::string children =
      os::ReadFile(absl::StrCat("/proc/self/task/", getpid(), "/children"),
                   1 << 20)
          .value_or("");
  r.children =
      static_cast<int>(std::count(children.begin(), children.end(), ' '));
  return r;
}

}  // namespace bulwark::engine::testing
