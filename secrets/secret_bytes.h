// Memory for what must not be seen.
#ifndef SECRETS_SECRET_BYTES_H_
#define SECRETS_SECRET_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <utility>

#include "absl/strings/string_view.h"

namespace bulwark::secrets {

// Bytes in pages of their own: locked in memory, left out of core dumps,
// between pages that nobody may touch, wiped when they go. Moves, but does not
// copy, and has no way to be printed. Thread-compatible.
class SecretBytes {
 public:
  SecretBytes() = default;
  // `size` bytes of zero. Aborts the process if there is no memory.
  explicit SecretBytes(size_t size);
  SecretBytes(SecretBytes&& other) noexcept { *this = std::move(other); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SecretBytes();

  // Random bytes, for keys.
  static SecretBytes Random(size_t size);

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // For handing the bytes to the kernel; what is copied out of it is no longer
  // protected.
  absl::string_view Reveal() const {
    return absl::string_view(reinterpret_cast<const char*>(data_), size_);
  }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

std::ostream& operator<<(std::ostream&, const SecretBytes&) = delete;

}  // namespace bulwark::secrets

#endif  // SECRETS_SECRET_BYTES_H_
