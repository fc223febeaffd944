#include "scheduler/rollout/template.h"

#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace bulwark::scheduler {
namespace {

v1::Template WithoutLimits(v1::Template t) {
  for (auto* list : {t.mutable_containers(), t.mutable_init_containers(),
                     t.mutable_sidecars()}) {
    for (v1::Container& container : *list) container.clear_resources();
  }
  return t;
}

}  // namespace

v1::Template TemplateOf(const v1::ServiceSpec& spec) {
  v1::Template t;
  *t.mutable_containers() = spec.containers();
  *t.mutable_init_containers() = spec.init_containers();
  *t.mutable_sidecars() = spec.sidecars();
  if (spec.has_stop()) *t.mutable_stop() = spec.stop();
  t.set_network(spec.network());
  return t;
}

v1::Template TemplateOf(const v1::JobSpec& spec) {
  v1::Template t;
  *t.mutable_containers() = spec.containers();
  *t.mutable_init_containers() = spec.init_containers();
  if (spec.has_stop()) *t.mutable_stop() = spec.stop();
  t.set_network(spec.network());
  return t;
}

v1::Template TemplateOf(const v1::Object& object) {
  if (object.has_service()) return TemplateOf(object.service().spec());
  if (object.has_job()) return TemplateOf(object.job().spec());
  return v1::Template();
}

// A template holds no map, so its serialization is the same for equal fields.
bool SameTemplate(const v1::Template& a, const v1::Template& b) {
  return WithoutLimits(a).SerializeAsString() ==
         WithoutLimits(b).SerializeAsString();
}

bool SameLimits(const v1::Template& a, const v1::Template& b) {
  v1::Template copy = a;
  CopyLimits(b, copy);
  return copy.SerializeAsString() == a.SerializeAsString();
}

void CopyLimits(const v1::Template& from, v1::Template& to) {
  auto copy = [](const auto& source, auto& target) {
    for (int i = 0; i < std::min(source.size(), target.size()); ++i) {
      if (source[i].has_resources()) {
        *target.Mutable(i)->mutable_resources() = source[i].resources();
      } else {
        target.Mutable(i)->clear_resources();
      }
    }
  };
  copy(from.containers(), *to.mutable_containers());
  copy(from.init_containers(), *to.mutable_init_containers());
  copy(from.sidecars(), *to.mutable_sidecars());
}

std::string TemplateHash(const v1::Template& t,
                         const std::map<std::string, std::string>& digests) {
  std::string input = WithoutLimits(t).SerializeAsString();
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
