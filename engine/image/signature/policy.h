// Which images must be signed, and by whom.
#ifndef ENGINE_IMAGE_SIGNATURE_POLICY_H_
#define ENGINE_IMAGE_SIGNATURE_POLICY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/image/signature/key.h"

namespace bulwark::engine::image {

// What holds below one prefix.
struct SignatureRule {
  std::string prefix;  // "registry.local:5000/team", "docker.io", "*"
  // One of them has to have signed; empty: nobody has to.
  std::vector<std::shared_ptr<const SignatureKey>> keys;

  // "team.pub or ops.pub".
  std::string KeyNames() const;
};

// Immutable.
class SignaturePolicy {
 public:
  // Each entry is "PREFIX=FILE" or "PREFIX=none". Several files of one prefix:
  // any of them will do. Reads the files. INVALID_ARGUMENT names the entry and
  // says what is wrong.
  static absl::StatusOr<SignaturePolicy> Parse(
      const std::vector<std::string>& entries);

  // Nobody has to sign anything.
  bool empty() const { return rules_.empty(); }

  // The rule of the longest prefix, by whole parts of the path, of "REGISTRY/
  // REPOSITORY"; else that of "*". Null if nothing is required.
  const SignatureRule* Find(absl::string_view registry,
                            absl::string_view repository) const;
  // That of "*": for images that are used by their digest alone.
  const SignatureRule* Default() const;

 private:
  const SignatureRule* Exact(const std::string& prefix) const;

  std::map<std::string, SignatureRule> rules_;  // by prefix
};

}  // namespace bulwark::engine::image

#endif  // ENGINE_IMAGE_SIGNATURE_POLICY_H_
