// User namespaces: made without a process that stays.
#ifndef OS_USER_NAMESPACE_H_
#define OS_USER_NAMESPACE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"

namespace bulwark::os {

// Users and groups 0 to size - 1 of a user namespace are first to
// first + size - 1 of ours.
struct IdRange {
  uint32_t first = 0;
  uint32_t size = 0;  // 0: no user namespace

  bool operator==(const IdRange&) const = default;
  bool Overlaps(const IdRange& other) const {
    return uint64_t{first} < uint64_t{other.first} + other.size &&
           uint64_t{other.first} < uint64_t{first} + size;
  }
};

// Each is alive as long as a descriptor, a pin, a process or a namespace that
// belongs to it.
struct UserNamespace {
  UniqueFd user;
  UniqueFd network;  // belongs to `user`
};

// A user namespace of that range, whose owner is root of ours, with a network
// namespace. RESOURCE_EXHAUSTED if the host allows no more of them
// (user.max_user_namespaces), PERMISSION_DENIED if none at all. Thread-safe;
// its cost does not depend on our size.
absl::StatusOr<UserNamespace> MakeUserNamespace(const IdRange& ids);

// Without ids: nobody is anybody in it until Map() has given it a range.
struct UnmappedUserNamespace {
  // Works once.
  absl::Status Map(const IdRange& ids) const;

  UserNamespace namespaces;
  // Files of a process that was in it: they outlive it.
  UniqueFd uid_map;
  UniqueFd gid_map;
};

// As MakeUserNamespace, otherwise.
absl::StatusOr<UnmappedUserNamespace> MakeUnmappedUserNamespace();

// Whether containers can have user namespaces of their own: those can be made
// and mount proc and sysfs, and a directory like `path` can be mounted with
// other ids. Some milliseconds.
// FAILED_PRECONDITION says what is missing.
absl::Status CheckUserNamespaces(const std::string& path);

}  // namespace bulwark::os

#endif  // OS_USER_NAMESPACE_H_
