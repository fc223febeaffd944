// Debian's Docker, to compare with and to exchange images with.
#ifndef TESTS_E2E_DOCKER_H_
#define TESTS_E2E_DOCKER_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Covers /run and /var/lib with what goes with the test's mount namespace:
// other tools keep things there.
void CoverStateOfOthers();

// Docker's daemon in the namespaces of the test, with storage of its own below
// the world's folder and no network but the test's. Its end takes everything
// with it.
class Docker {
 public:
  static bool IsInstalled();

  // Blocks until the daemon answers; dies with a CHECK if it does not. Covers
  // /etc, into which it writes a key; /run and /var/lib are covered already.
  explicit Docker(World& world);
  Docker(const Docker&) = delete;
  Docker& operator=(const Docker&) = delete;
  ~Docker();

  // Its client with these words, which are expected to succeed. `buildkit`:
  // what `build` builds with.
  Result Do(const std::vector<std::string>& words, bool buildkit = false) const;

 private:
  Result Try(const std::vector<std::string>& words, bool buildkit) const;

  const std::string folder_, socket_, cgroup_;
  std::unique_ptr<Background> daemon_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_DOCKER_H_
