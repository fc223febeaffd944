// The receive buffers that all sessions of an io_uring engine share.
#ifndef LB_TCP_URING_BUFFERS_H_
#define LB_TCP_URING_BUFFERS_H_

#include <liburing.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace bulwark::lb {

// A provided-buffer ring: the kernel takes a buffer when it has bytes to put
// there, so that an idle connection owns none.
class UringBuffers {
 public:
  static constexpr uint32_t kCount = 512;
  static constexpr uint32_t kBytes = 16 << 10;
  static constexpr int kGroup = 1;

  UringBuffers() = default;
  UringBuffers(const UringBuffers&) = delete;
  UringBuffers& operator=(const UringBuffers&) = delete;
  // The ring that it is registered with must be gone.
  ~UringBuffers();

  absl::Status Register(io_uring& ring);

  char* At(uint32_t buffer) { return memory_ + size_t{buffer} * kBytes; }
  // A completion has brought this one to us.
  void Taken() { --free_; }
  // The kernel may use it again.
  void GiveBack(uint32_t buffer);
  uint32_t free_count() const { return free_; }

 private:
  io_uring_buf_ring* ring_ = nullptr;
  char* memory_ = nullptr;
  uint32_t free_ = 0;
};

}  // namespace bulwark::lb

#endif  // LB_TCP_URING_BUFFERS_H_
