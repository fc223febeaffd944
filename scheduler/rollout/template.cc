#include "scheduler/rollout/template.h"

#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bulwark::scheduler {

v1::Template TemplateOf(const v1::ServiceSpec& spec) {
  v1::Template t;
  *t.mutable_containers() = spec.containers();
  *t.mutable_init_containers() = spec.init_containers();
  *t.mutable_sidecars() = spec.sidecars();
  if (spec.has_stop()) *t.mutable_stop() = spec.stop();
  t.set_network(spec.network());
  return t;
}

// A template holds no map, so its serialization is the same for equal fields.
bool SameTemplate(const v1::Template& a, const v1::Template& b) {
  return a.SerializeAsString() == b.SerializeAsString();
}

std::string TemplateHash(const v1::Template& t,
                         const std::map<std::string, std::string>& digests) {
  std::string input = t.SerializeAsString();
  for (const auto& [image, digest] : digests) {
    absl::StrAppend(&input, "\n", image, "\n", digest);
  }
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(input.data()), input.size(),
         hash);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(hash), sizeof(hash)));
}

std::vector<const v1::Container*> ContainersOf(const v1::Template& t) {
  std::vector<const v1::Container*> all;
  for (const v1::Container& c : t.containers()) all.push_back(&c);
  for (const v1::Container& c : t.init_containers()) all.push_back(&c);
  for (const v1::Container& c : t.sidecars()) all.push_back(&c);
  return all;
}

}  // namespace bulwark::scheduler
