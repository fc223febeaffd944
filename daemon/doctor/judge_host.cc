// Disks, clock, and what the host offers beyond the kernel's core.
#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "daemon/doctor/judge.h"

namespace bulwark::daemon {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
// Below this a pull or a burst of logs fills the disk.
constexpr int64_t kLowBytes = 2048 * kMiB;
// Below this the store itself may fail to write.
constexpr int64_t kLeastBytes = 256 * kMiB;
// A clock before this was never set.
const absl::Time kPast = absl::FromUnixSeconds(1704067200);  // 2024-01-01
constexpr absl::Duration kClockSlack = absl::Minutes(5);

std::string Size(int64_t bytes) {
  return absl::StrFormat("%.1f GiB", static_cast<double>(bytes) /
                                         static_cast<double>(1024 * kMiB));
}

// How much of a file system is left; the fraction counts on small ones, and
// `low` and `least` on large ones.
void Disk(const DiskFacts& disk, absl::string_view name, int64_t low,
          int64_t least, v1::DoctorResponse& response) {
  const std::string remedy = absl::StrCat(
      "ctl system df says what takes it, ctl system prune frees it; or enlarge "
      "the file system of ",
      disk.path);
  if (!disk.error.empty()) {
    AddBad(response, name, disk.error, absl::StrCat("look at ", disk.path));
    return;
  }
  if (disk.read_only) {
    AddBad(response, name,
           absl::StrCat(disk.path,
                        " is read-only: nothing can be declared, "
                        "pulled or started"),
           absl::StrCat("dmesg says why; mount -o remount,rw ", disk.path));
    return;
  }
  const std::string text =
      absl::StrCat(Size(disk.available_bytes), " of ", Size(disk.total_bytes),
                   " free below ", disk.path);
  const bool no_inodes = disk.inodes > 0 && disk.free_inodes < 1000;
  const bool few_inodes =
      disk.inodes > 0 && disk.free_inodes * 20 < disk.inodes;
  if (disk.available_bytes < least || no_inodes) {
    AddBad(response, name,
           absl::StrCat(text, no_inodes ? ", and hardly any inode" : "",
                        ": changes are refused and logs lose lines"),
           remedy);
  } else if (disk.available_bytes < low ||
             disk.available_bytes * 20 < disk.total_bytes || few_inodes) {
    AddLimited(response, name,
               absl::StrCat(text, few_inodes ? ", and few inodes" : "",
                            ": the next pull may fail"),
               remedy);
  } else {
    AddGood(response, name, text);
  }
}

void RuntimeDisk(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.runtime_in_memory || !facts.runtime_disk.error.empty()) {
    Disk(facts.runtime_disk, "runtime-dir", 16 * kMiB, 4 * kMiB, response);
    return;
  }
  AddLimited(response, "runtime-dir",
             absl::StrCat(facts.runtime_disk.path,
                          " is on a disk: starts are slower, and what is in it "
                          "outlives a reboot (which is noticed)"),
             "use a folder of /run, a tmpfs");
}

void Time(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.now < kPast) {
    AddBad(response, "clock",
           absl::StrCat("it says ", absl::FormatTime(facts.now),
                        ": registries' certificates are not valid yet"),
           "set it: systemctl enable --now systemd-timesyncd");
  } else if (facts.newest_record > facts.now + kClockSlack) {
    AddBad(response, "clock",
           absl::StrCat("it was set back: the newest record is of ",
                        absl::FormatTime(facts.newest_record),
                        "; ages, back-off and schedules are wrong until then"),
           "set it right; bulwarkd needs no restart");
  } else if (!facts.clock_synchronized) {
    AddLimited(response, "clock",
               "nothing keeps it right: times of logs and schedules drift",
               "systemctl enable --now systemd-timesyncd, or chrony");
  } else {
    AddGood(response, "clock", "synchronized");
  }
}

void IoUring(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.io_uring_error == 0) {
    AddGood(response, "io_uring", "the proxy can use it");
    return;
  }
  AddLimited(
      response, "io_uring",
      absl::StrCat("not available (", std::strerror(facts.io_uring_error),
                   "): the proxy uses epoll, with more processor time "
                   "for each byte"),
      "sysctl kernel.io_uring_disabled=0, on Linux 6.6 or newer");
}

void Loop(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.loop_error == 0) {
    AddGood(response, "loop", "volumes of driver image can be made");
    return;
  }
  AddLimited(response, "loop",
             absl::StrCat("no loop devices (", std::strerror(facts.loop_error),
                          "): volumes of driver image cannot be mounted"),
             "modprobe loop");
}

void Restic(const HostFacts& facts, v1::DoctorResponse& response) {
  if (facts.has_restic) {
    AddGood(response, "restic", "volumes can be backed up");
  } else {
    AddLimited(response, "restic",
               "not installed: volumes cannot be backed up or restored from "
               "backups",
               "apt-get install restic");
  }
}

}  // namespace

void JudgeHost(const HostFacts& facts, v1::DoctorResponse& response) {
  Disk(facts.state_disk, "disk", kLowBytes, kLeastBytes, response);
  RuntimeDisk(facts, response);
  Time(facts, response);
  IoUring(facts, response);
  Loop(facts, response);
  Restic(facts, response);
}

}  // namespace bulwark::daemon
