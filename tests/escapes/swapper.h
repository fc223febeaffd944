// A busy neighbour that puts one name in the place of another, and back, as
// often as it can: what a race for a path looks like from the other side.
#ifndef TESTS_ESCAPES_SWAPPER_H_
#define TESTS_ESCAPES_SWAPPER_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace bulwark::escapes {

class Swapper {
 public:
  // Both must exist.
  Swapper(std::string a, std::string b);
  Swapper(const Swapper&) = delete;
  Swapper& operator=(const Swapper&) = delete;
  ~Swapper();

  int64_t swaps() const { return swaps_; }

 private:
  void Loop();

  const std::string a_;
  const std::string b_;
  std::atomic<bool> stop_ = false;
  std::atomic<int64_t> swaps_ = 0;
  std::thread thread_;
};

}  // namespace bulwark::escapes

#endif  // TESTS_ESCAPES_SWAPPER_H_
