// Network and mount namespaces of a test's own, so that nothing it makes
// touches the machine or outlives it.
#ifndef NETMESH_LINUX_TESTING_NAMESPACES_H_
#define NETMESH_LINUX_TESTING_NAMESPACES_H_

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "os/netlink.h"

namespace bulwark::netmesh::testing {

// Set in the environment of a test binary that a test starts to share its
// namespaces.
inline constexpr char kInherit[] = "BULWARK_TEST_INHERIT_NAMESPACES";

// Moves the process, which must have one thread, into new namespaces and sets
// loopback up. Register with ::testing::AddGlobalTestEnvironment.
class Namespaces final : public ::testing::Environment {
 public:
  void SetUp() override {
    if (std::getenv(kInherit) != nullptr) return;
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
      std::perror("unshare (this test needs root)");
      CHECK(false);
    }
    CHECK(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    auto netlink = os::Netlink::Open();
    CHECK(netlink.ok());
    auto lo = netlink->GetLink("lo");
    CHECK(lo.ok());
    CHECK(netlink->ChangeLink(lo->index, {.up = true}).ok());
  }
};

}  // namespace bulwark::netmesh::testing

#endif  // NETMESH_LINUX_TESTING_NAMESPACES_H_
