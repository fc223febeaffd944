// Disks, clock, and what the host offers; bulwarkd's own process.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/unique_fd.h"
#include "daemon/doctor/gather.h"

namespace bulwark::daemon {
namespace {

struct Capability {
  int number;
  const char* name;
};
// What containers, networks and images need of us.
constexpr Capability kCapabilities[] = {
    {CAP_CHOWN, "CHOWN"},
    {CAP_DAC_OVERRIDE, "DAC_OVERRIDE"},
    {CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH"},
    {CAP_FOWNER, "FOWNER"},
    {CAP_FSETID, "FSETID"},
    {CAP_KILL, "KILL"},
    {CAP_SETGID, "SETGID"},
    {CAP_SETUID, "SETUID"},
    {CAP_SETPCAP, "SETPCAP"},
    {CAP_NET_BIND_SERVICE, "NET_BIND_SERVICE"},
    {CAP_NET_ADMIN, "NET_ADMIN"},
    {CAP_NET_RAW, "NET_RAW"},
    {CAP_SYS_CHROOT, "SYS_CHROOT"},
    {CAP_SYS_PTRACE, "SYS_PTRACE"},
    {CAP_SYS_ADMIN, "SYS_ADMIN"},
    {CAP_SYS_RESOURCE, "SYS_RESOURCE"},
    {CAP_MKNOD, "MKNOD"},
    {CAP_SETFCAP, "SETFCAP"},
};

DiskFacts DiskOf(const std::string& path) {
  DiskFacts disk;
  disk.path = path;
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) {
    disk.error = absl::StrCat("look at ", path, ": ", std::strerror(errno));
    return disk;
  }
  const auto block = static_cast<int64_t>(info.f_frsize);
  disk.total_bytes = static_cast<int64_t>(info.f_blocks) * block;
  disk.available_bytes = static_cast<int64_t>(info.f_bavail) * block;
  disk.inodes = static_cast<int64_t>(info.f_files);
  disk.free_inodes = static_cast<int64_t>(info.f_favail);
  disk.read_only = (info.f_flag & ST_RDONLY) != 0;
  return disk;
}

bool IsInMemory(const std::string& path) {
  struct statfs info;
  return statfs(path.c_str(), &info) == 0 &&
         (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

bool IsSynchronized() {
  timex state{};
  return adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

int IoUringError() {
  io_uring_params params{};
  UniqueFd ring(static_cast<int>(syscall(SYS_io_uring_setup, 1, &params)));
  return ring.ok() ? 0 : errno;
}

int LoopError() {
  UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  return control.ok() ? 0 : errno;
}

bool IsInPath(const char* program) {
  const char* path = std::getenv("PATH");
  for (absl::string_view folder :
       absl::StrSplit(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path,
                      ':', absl::SkipEmpty())) {
    if (access(absl::StrCat(folder, "/", program).c_str(), X_OK) == 0) {
      return true;
    }
  }
  return false;
}

void GatherCapabilities(HostFacts& facts) {
  uint64_t effective = 0;
  const std::string status = SmallFile("/proc/self/status");
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::ConsumePrefix(&line, "CapEff:")) continue;
    const std::string hex(absl::StripAsciiWhitespace(line));
    effective = std::strtoull(hex.c_str(), nullptr, 16);
  }
  for (const Capability& capability : kCapabilities) {
    if ((effective >> capability.number & 1) == 0) {
      facts.missing_capabilities.insert(capability.name);
    }
  }
}

void GatherSocket(const Config& config, HostFacts& facts) {
  facts.socket = config.socket;
  struct stat info;
  if (stat(config.socket.c_str(), &info) != 0) return;
  facts.socket_mode = info.st_mode & 07777;
  group entry;
  group* found = nullptr;
  std::string buffer(1 << 16, '\0');
  if (getgrgid_r(info.st_gid, &entry, buffer.data(), buffer.size(), &found) !=
          0 ||
      found == nullptr) {
    facts.socket_group = absl::StrCat(info.st_gid);
    return;
  }
  facts.socket_group = found->gr_name;
  for (char** member = found->gr_mem; *member != nullptr; ++member) {
    facts.socket_group_members.emplace_back(*member);
  }
}

// `path` without links, as far as it exists.
std::string RealPath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real =
      std::filesystem::weakly_canonical(path, error);
  return error ? path : real.string();
}

void GatherKeyFile(const Config& config, HostFacts& facts) {
  facts.key_file = config.key_file;
  if (config.key_file.empty()) return;
  const std::string real = RealPath(config.key_file);
  for (const std::string& folder : {config.state_dir, config.runtime_dir}) {
    if (absl::StartsWith(real, RealPath(folder) + "/")) {
      facts.key_file_folder = folder;
    }
  }
  // As the vault opens it.
  const UniqueFd fd(
      open(config.key_file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!fd.ok() || fstat(fd.get(), &info) != 0) {
    facts.key_file_error =
        absl::StrCat("open ", config.key_file, ": ", std::strerror(errno));
    return;
  }
  if (!S_ISREG(info.st_mode)) {
    facts.key_file_error =
        absl::StrCat("open ", config.key_file, ": it is not a regular file");
    return;
  }
  facts.key_file_mode = info.st_mode & 07777;
  facts.key_file_owner = static_cast<int>(info.st_uid);
}

}  // namespace

void GatherHost(const Config& config, HostFacts& facts) {
  facts.state_disk = DiskOf(config.state_dir);
  facts.runtime_disk = DiskOf(config.runtime_dir);
  facts.runtime_in_memory = IsInMemory(config.runtime_dir);
  facts.clock_synchronized = IsSynchronized();
  facts.io_uring_error = IoUringError();
  facts.loop_error = LoopError();
  facts.has_restic = IsInPath("restic");
}

void GatherDaemon(const Config& config, HostFacts& facts) {
  facts.oom_score = static_cast<int>(NumberIn("/proc/self/oom_score_adj"));
  GatherCapabilities(facts);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    facts.max_open_files = static_cast<int64_t>(files.rlim_cur);
  }
  facts.under_systemd =
      getppid() == 1 && std::getenv("INVOCATION_ID") != nullptr;
  GatherSocket(config, facts);
  GatherKeyFile(config, facts);
}

}  // namespace bulwark::daemon
