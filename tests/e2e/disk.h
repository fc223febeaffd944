// Disks for state directories, and what befalls disks.
#ifndef TESTS_E2E_DISK_H_
#define TESTS_E2E_DISK_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace bulwark::e2e {

// Fills the file system of a directory, and frees it again at its end.
class Ballast {
 public:
  explicit Ballast(std::string directory) : directory_(std::move(directory)) {}
  Ballast(const Ballast&) = delete;
  Ballast& operator=(const Ballast&) = delete;
  ~Ballast() { Free(); }

  int64_t FreeBytes() const;
  // Takes what is free, but for so many bytes. Expects that not much more is
  // left then.
  void Leave(int64_t bytes);
  // Takes what it has for files, however small.
  void TakeInodes();
  // Gives back all that was taken.
  void Free();

 private:
  void Take(int64_t bytes);
  std::string PathOf(int file) const;
  std::string InodesPath() const { return directory_ + "/ballast-inodes"; }

  const std::string directory_;
  int files_ = 0;
};

// An ext4 in a file, on a loop device: the kernel counts for each group what it
// reads and writes; it can be slow, and grow. Needs a mount namespace of the
// test's own.
class LoopDisk {
 public:
  // Made of `file` and mounted at `path`, which exists. Dies with a CHECK if it
  // cannot be.
  LoopDisk(const std::string& file, std::string path, int64_t bytes);
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;
  // Expects that nobody uses it.
  ~LoopDisk();

  // Nothing can be written for so long. Returns after that; a program of its
  // own ends it, whatever becomes of the test.
  void Freeze(absl::Duration d);
  // Shows what it keeps for itself, too: as one that is larger.
  void Grow();

 private:
  void CountIo();

  const std::string path_;
  std::string counting_;  // a cgroup of ours
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_DISK_H_
