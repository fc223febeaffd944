// Tells whether anybody changed the nftables of a network namespace.
#ifndef OS_NFT_GENERATION_H_
#define OS_NFT_GENERATION_H_

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::os {

// The kernel counts the transactions that change the nftables of a network
// namespace, whoever commits them. Move-only, thread-compatible. It reads the
// counter of the namespace that the thread was in at Open(), from whichever
// thread it is used.
class NftGeneration {
 public:
  static absl::StatusOr<NftGeneration> Open();

  // Number of the last transaction; each adds one, and it wraps around. One
  // question to the kernel, of microseconds.
  absl::StatusOr<uint32_t> Read();

 private:
  explicit NftGeneration(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
  uint32_t sequence_ = 0;
};

}  // namespace bulwark::os

#endif  // OS_NFT_GENERATION_H_
