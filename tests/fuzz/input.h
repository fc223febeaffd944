// What a fuzz target is given: bytes that it turns into values. A target is one
// file that defines LLVMFuzzerTestOneInput; it aborts (CHECK) where the code
// under test is wrong. tests/fuzz/README.md says how they are run.
#ifndef TESTS_FUZZ_INPUT_H_
#define TESTS_FUZZ_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace bulwark::fuzz {

// Takes values from the front; zeros once the bytes have run out.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), left_(size) {}

  bool empty() const { return left_ == 0; }
  uint64_t Int(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes && left_ > 0; ++i, --left_) {
      value |= static_cast<uint64_t>(*at_++) << (8 * i);
    }
    return value;
  }
  // Of 0 to `count` - 1.
  uint32_t Below(uint32_t count) {
    return static_cast<uint32_t>(Int(count > 256 ? 2 : 1) % count);
  }
  // Up to 255 bytes.
  std::string Text() {
    size_t size = Int(1);
    if (size > left_) size = left_;
    std::string text(reinterpret_cast<const char*>(at_), size);
    at_ += size;
    left_ -= size;
    return text;
  }
  std::string Rest() {
    std::string text(reinterpret_cast<const char*>(at_), left_);
    left_ = 0;
    return text;
  }

 private:
  const uint8_t* at_;
  size_t left_;
};

}  // namespace bulwark::fuzz

#endif  // TESTS_FUZZ_INPUT_H_
