#include "engine/image/signature/policy.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "engine/image/reference.h"
#include "os/files.h"

namespace bulwark::engine::image {
namespace {

constexpr int64_t kMaxKeyBytes = 64 << 10;
constexpr char kAll[] = "*";
constexpr char kNobody[] = "none";

absl::Status Bad(absl::string_view entry, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", entry, "\": ", why,
                   "; write PREFIX=FILE, such as "
                   "registry.local:5000/team=/etc/bulwark/keys/team.pub, or "
                   "PREFIX=none"));
}

// A registry, or a registry and the beginning of a repository's path.
bool IsPrefix(const std::string& prefix) {
  if (prefix == kAll) return true;
  const std::string below = absl::StrCat(prefix, "/a");
  const absl::StatusOr<Reference> parsed = ParseReference(below);
  // Short forms would mean another registry than it seems.
  return parsed.ok() &&
         below == absl::StrCat(parsed->registry, "/", parsed->repository);
}

}  // namespace

std::string SignatureRule::KeyNames() const {
  return absl::StrJoin(keys, " or ", [](std::string* out, const auto& key) {
    absl::StrAppend(out, key->name());
  });
}

absl::StatusOr<SignaturePolicy> SignaturePolicy::Parse(
    const std::vector<std::string>& entries) {
  SignaturePolicy policy;
  for (const std::string& entry : entries) {
    const size_t equal = entry.find('=');
    if (equal == std::string::npos) return Bad(entry, "it has no \"=\"");
    const std::string prefix = entry.substr(0, equal);
    const std::string file = entry.substr(equal + 1);
    if (!IsPrefix(prefix)) {
      return Bad(entry,
                 absl::StrCat("\"", prefix,
                              "\" is not a full prefix of images' names (a "
                              "registry, or a registry and a path without "
                              "tag; Docker Hub is docker.io, its own images "
                              "docker.io/library)"));
    }
    const bool known = policy.rules_.contains(prefix);
    SignatureRule& rule = policy.rules_[prefix];
    if (known && (file == kNobody || rule.keys.empty())) {
      return Bad(entry,
                 absl::StrCat(prefix, " is given twice, once with \"none\""));
    }
    rule.prefix = prefix;
    if (file == kNobody) continue;
    if (!absl::StartsWith(file, "/")) {
      return Bad(entry, "the key's file is not an absolute path");
    }
    const absl::StatusOr<std::string> pem = os::ReadFile(file, kMaxKeyBytes);
    if (!pem.ok()) return Bad(entry, pem.status().message());
    absl::StatusOr<std::shared_ptr<const SignatureKey>> key =
        SignatureKey::Parse(*pem, file);
    if (!key.ok()) return Bad(entry, key.status().message());
    rule.keys.push_back(*std::move(key));
  }
  return policy;
}

const SignatureRule* SignaturePolicy::Exact(const std::string& prefix) const {
  const auto it = rules_.find(prefix);
  return it == rules_.end() ? nullptr : &it->second;
}

const SignatureRule* SignaturePolicy::Find(absl::string_view registry,
                                           absl::string_view repository) const {
  if (rules_.empty()) return nullptr;
  std::string name = absl::StrCat(registry, "/", repository);
  const SignatureRule* rule = Exact(name);
  while (rule == nullptr && !name.empty()) {
    const size_t slash = name.rfind('/');
    name.resize(slash == std::string::npos ? 0 : slash);
    rule = Exact(name);
  }
  if (rule == nullptr) rule = Exact(kAll);
  return rule == nullptr || rule->keys.empty() ? nullptr : rule;
}

const SignatureRule* SignaturePolicy::Default() const {
  const SignatureRule* rule = Exact(kAll);
  return rule == nullptr || rule->keys.empty() ? nullptr : rule;
}

}  // namespace bulwark::engine::image
