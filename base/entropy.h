// Randomness as a dependency, and the ids made of it.
#ifndef BASE_ENTROPY_H_
#define BASE_ENTROPY_H_

#include <cstdint>
#include <string>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace bulwark {

// Thread-safe.
class Entropy {
 public:
  virtual ~Entropy() = default;
  // 64 uniform random bits.
  virtual uint64_t Next() = 0;

  // Uniform in [0, 1).
  double Fraction() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
};

// getrandom(2); aborts the process if the kernel has none to give.
class RealEntropy final : public Entropy {
 public:
  uint64_t Next() override;
};

// A reproducible sequence (splitmix64), for tests and the simulator.
class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(uint64_t seed) : state_(seed) {}
  uint64_t Next() override;

 private:
  absl::Mutex mu_;
  uint64_t state_ ABSL_GUARDED_BY(mu_);
};

// A new unique id: 16 characters of [0-9a-v] (80 random bits, base32hex), safe
// in file, cgroup and DNS names.
std::string NewUid(Entropy& entropy);

}  // namespace bulwark

#endif  // BASE_ENTROPY_H_
