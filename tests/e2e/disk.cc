#include "tests/e2e/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/unique_fd.h"
#include "tests/e2e/process.h"

namespace bulwark::e2e {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr int kInodes = 16384;

void MustRun(const std::vector<std::string>& argv) {
  const Result result = Run(argv);
  if (!result.ok()) fprintf(stderr, "%s\n", result.ToString().c_str());
  CHECK(result.ok());
}

}  // namespace

std::string Ballast::PathOf(int file) const {
  return absl::StrCat(directory_, "/ballast", file);
}

int64_t Ballast::FreeBytes() const {
  struct statvfs info {};
  EXPECT_EQ(statvfs(directory_.c_str(), &info), 0) << directory_;
  return static_cast<int64_t>(info.f_bavail * info.f_frsize);
}

void Ballast::Leave(int64_t bytes) {
  // Others may give some back meanwhile.
  constexpr int kTries = 5;
  for (int i = 0; i < kTries; ++i) {
    Take(FreeBytes() - bytes);
    if (FreeBytes() < bytes + kMiB) return;
  }
  ADD_FAILURE() << directory_ << " has " << FreeBytes() << " bytes left";
}

void Ballast::Take(int64_t bytes) {
  const std::string path = PathOf(files_++);
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd.ok()) << path << ": " << strerror(errno);
  // Where the file system needs some for its own books, it takes less.
  for (int64_t at = 0; at < bytes; at += kMiB) {
    if (posix_fallocate(fd.get(), at, std::min(kMiB, bytes - at)) != 0) return;
  }
}

void Ballast::TakeInodes() {
  std::error_code ignored;
  std::filesystem::create_directory(InodesPath(), ignored);
  for (int i = 0;; ++i) {
    const std::string path = absl::StrCat(InodesPath(), "/", i);
    const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (fd.ok()) continue;
    EXPECT_EQ(errno, ENOSPC) << path << ": " << strerror(errno);
    return;
  }
}

void Ballast::Free() {
  while (files_ > 0) unlink(PathOf(--files_).c_str());
  std::error_code ignored;
  std::filesystem::remove_all(InodesPath(), ignored);
}

LoopDisk::LoopDisk(const std::string& file, std::string path, int64_t bytes)
    : path_(std::move(path)) {
  const UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  CHECK(fd.ok() && ftruncate(fd.get(), bytes) == 0);
  MustRun({"mkfs.ext4", "-q", "-m", "0", "-N", absl::StrCat(kInodes), file});
  MustRun({"mount", "-o", "loop", file, path_});
  CountIo();
}

LoopDisk::~LoopDisk() {
  EXPECT_EQ(umount(path_.c_str()), 0) << path_ << ": " << strerror(errno);
  if (!counting_.empty()) {
    EXPECT_EQ(rmdir(counting_.c_str()), 0) << counting_;
  }
}

// Version 1 of cgroups counts only on disks for which some group has a limit;
// one without processes will do.
void LoopDisk::CountIo() {
  constexpr char kBlkio[] = "/sys/fs/cgroup/blkio";
  if (access(kBlkio, F_OK) != 0) return;
  counting_ = absl::StrCat(kBlkio, "/bulwark-counting-", getpid());
  CHECK(mkdir(counting_.c_str(), 0755) == 0);
  struct stat info {};
  CHECK(stat(path_.c_str(), &info) == 0);
  WriteFile(counting_ + "/blkio.throttle.write_bps_device",
            absl::StrCat(major(info.st_dev), ":", minor(info.st_dev),
                         " 1000000000000\n"));
}

void LoopDisk::Freeze(absl::Duration d) {
  MustRun({"sh", "-c",
           absl::StrCat("fsfreeze -f '", path_, "' && { sleep ",
                        absl::ToDoubleSeconds(d), "; fsfreeze -u '", path_,
                        "'; }")});
}

void LoopDisk::Grow() { MustRun({"mount", "-o", "remount,minixdf", path_}); }

}  // namespace bulwark::e2e
