#include "tests/e2e/closed_registry.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace bulwark::e2e {
namespace {

// The password as `htpasswd -B` hashes it.
constexpr char kHtpasswd[] =
    "user:$2b$05$8gDE7.elPrMlEPzHFLpUsup8kiKd9EFTy7qmYN2JqGQzrdNLoA0S2\n";

}  // namespace

ClosedRegistry::ClosedRegistry(World& world, int port)
    : address_(absl::StrCat("127.0.0.1:", port)) {
  const std::string config = world.Path("closed.yml");
  WriteFile(world.Path("htpasswd"), kHtpasswd);
  WriteFile(config,
            absl::StrCat("version: 0.1\nlog: {level: error}\nstorage:\n"
                         "  filesystem: {rootdirectory: ",
                         world.Path("registry"), "}\nhttp: {addr: \"", address_,
                         "\"}\nauth: {htpasswd: {realm: test, path: ",
                         world.Path("htpasswd"), "}}\n"));
  program_ = std::make_unique<Background>(
      std::vector<std::string>{"docker-registry", "serve", config},
      world.Path("closed.log"));
  CHECK(Eventually([&] {
    return Run({"curl", "-s", absl::StrCat("http://", address_, "/v2/")}).ok();
  }));
}

std::string ClosedRegistry::Here(const std::string& reference) const {
  return address_ + reference.substr(reference.find('/'));
}

}  // namespace bulwark::e2e
