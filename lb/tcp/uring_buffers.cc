#include "lb/tcp/uring_buffers.h"

#include <sys/mman.h>

#include "base/status.h"

namespace bulwark::lb {
namespace {

constexpr size_t kRingBytes = UringBuffers::kCount * sizeof(io_uring_buf);
constexpr size_t kMemoryBytes =
    size_t{UringBuffers::kCount} * UringBuffers::kBytes;

void* Map(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

}  // namespace

UringBuffers::~UringBuffers() {
  if (ring_ != nullptr) munmap(ring_, kRingBytes);
  if (memory_ != nullptr) munmap(memory_, kMemoryBytes);
}

absl::Status UringBuffers::Register(io_uring& ring) {
  ring_ = static_cast<io_uring_buf_ring*>(Map(kRingBytes));
  memory_ = static_cast<char*>(Map(kMemoryBytes));
  if (ring_ == nullptr || memory_ == nullptr) {
    return ErrnoStatus("map", "receive buffers");
  }
  io_uring_buf_reg registration = {};
  registration.ring_addr = reinterpret_cast<uintptr_t>(ring_);
  registration.ring_entries = kCount;
  registration.bgid = kGroup;
  const int error = io_uring_register_buf_ring(&ring, &registration, 0);
  if (error != 0) return ErrnoStatus(-error, "register", "receive buffers");
  io_uring_buf_ring_init(ring_);
  for (uint32_t i = 0; i < kCount; ++i) GiveBack(i);
  return absl::OkStatus();
}

void UringBuffers::GiveBack(uint32_t buffer) {
  io_uring_buf_ring_add(ring_, At(buffer), kBytes,
                        static_cast<uint16_t>(buffer),
                        io_uring_buf_ring_mask(kCount), 0);
  io_uring_buf_ring_advance(ring_, 1);
  ++free_;
}

}  // namespace bulwark::lb
