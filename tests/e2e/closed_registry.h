// A registry that wants a name and a password.
#ifndef TESTS_E2E_CLOSED_REGISTRY_H_
#define TESTS_E2E_CLOSED_REGISTRY_H_

#include <memory>
#include <string>

#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Debian's registry on a port of loopback, with what is in the world's own
// registry. Ends with the object.
class ClosedRegistry {
 public:
  static constexpr char kUser[] = "user";
  static constexpr char kPassword[] = "closed-registry-d41c7a90f2-password";

  // Blocks until it answers.
  ClosedRegistry(World& world, int port);

  // "127.0.0.1:PORT".
  const std::string& address() const { return address_; }
  // The name here of an image of the world's registry.
  std::string Here(const std::string& reference) const;

 private:
  const std::string address_;
  std::unique_ptr<Background> program_;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_CLOSED_REGISTRY_H_
