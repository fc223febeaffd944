// Rights, and the roles that bring them. docs/access.md is their reference.
#ifndef API_RIGHTS_H_
#define API_RIGHTS_H_

#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"

namespace bulwark::api {

// What a caller may do in a project.
enum class Right : uint8_t {
  kView,        // read what is declared and what runs
  kDeploy,      // declare, delete and roll back
  kImages,      // bring in, name and remove images
  kOperate,     // scale, stop, start; snapshots and restores of volumes
  kExec,        // run commands in containers
  kSecrets,     // declare secrets, and what reads them
  kHostPaths,   // mount, or write backups to, paths of the host
  kPrivileged,  // declare privileged containers
  kAdmin,       // members; in project "default" the whole host
};
inline constexpr int kRights = 9;

// "view", "host-paths", … as in docs/access.md.
absl::string_view NameOf(Right right);

// A set of rights.
class Rights {
 public:
  constexpr Rights() = default;
  constexpr Rights(std::initializer_list<Right> rights) {
    for (const Right right : rights) Add(right);
  }
  static constexpr Rights All() {
    Rights all;
    all.bits_ = (1u << kRights) - 1;
    return all;
  }

  constexpr void Add(Right right) {
    bits_ |= 1u << static_cast<unsigned>(right);
  }
  constexpr void Add(Rights rights) { bits_ |= rights.bits_; }
  constexpr bool Has(Right right) const {
    return (bits_ >> static_cast<unsigned>(right) & 1u) != 0;
  }
  constexpr bool empty() const { return bits_ == 0; }
  friend constexpr bool operator==(Rights a, Rights b) {
    return a.bits_ == b.bits_;
  }

 private:
  uint32_t bits_ = 0;
};

// Of a role alone; nothing for a role that is unspecified or unknown.
Rights RightsOf(v1::Member::Role role);
// Of a member: the role's, and those given beside it.
Rights RightsOf(const v1::Member& member);

// The field of a Member that would bring `right`, as in a manifest:
// "role: deployer", "role: viewer, rights: [secrets]".
std::string GrantOf(Right right);

}  // namespace bulwark::api

#endif  // API_RIGHTS_H_
