#include "base/entropy.h"

#include <sys/random.h>

#include "base/check.h"

namespace bulwark {

uint64_t RealEntropy::Next() {
  uint64_t value = 0;
  CHECK(getrandom(&value, sizeof(value), 0) == sizeof(value));
  return value;
}

uint64_t SeededEntropy::Next() {
  absl::MutexLock lock(&mu_);
  // Sebastiano Vigna's splitmix64.
  uint64_t z = (state_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::string NewUid(Entropy& entropy) {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  std::string uid;
  for (int word = 0; word < 2; ++word) {
    uint64_t bits = entropy.Next();
    for (int i = 0; i < 8; ++i, bits >>= 5) uid += kDigits[bits & 31];
  }
  return uid;
}

}  // namespace bulwark
