#include "scheduler/imageupdate/lookup_cache.h"

#include <algorithm>
#include <iterator>

namespace bulwark::scheduler {
namespace {

constexpr absl::Duration kDownTime = absl::Minutes(1);
// Answers older than this are of nobody's use.
constexpr absl::Duration kKept = absl::Hours(24);
constexpr size_t kMany = 10000;

std::string RegistryOf(const std::string& image) {
  const size_t slash = image.find('/');
  return slash == std::string::npos ? "" : image.substr(0, slash);
}

bool IsUnreachable(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

absl::StatusOr<std::string> LookupCache::Get(const std::string& image,
                                             absl::Duration max_age) {
  const std::string registry = RegistryOf(image);
  {
    const auto free = [this, &image]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return !asked_.contains(image);
    };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&free));
    const absl::Duration now = clock_.Steady();
    Forget(now);
    const auto answer = answers_.find(image);
    if (answer != answers_.end() && now - answer->second.time < max_age) {
      return answer->second.digest;
    }
    const auto down = down_.find(registry);
    if (down != down_.end() && now - down->second.time < kDownTime) {
      return down->second.digest;
    }
    asked_.insert(image);
  }
  absl::StatusOr<std::string> digest = images_.Lookup(image);
  absl::MutexLock lock(&mu_);
  asked_.erase(image);
  const absl::Duration now = clock_.Steady();
  if (digest.ok()) {
    answers_[image] = {digest, now};
    down_.erase(registry);
  } else {
    answers_.erase(image);
    if (IsUnreachable(digest.status())) down_[registry] = {digest, now};
  }
  return digest;
}

void LookupCache::Forget(absl::Duration now) {
  if (answers_.size() + down_.size() < kMany) return;
  for (auto* map : {&answers_, &down_}) {
    for (auto it = map->begin(); it != map->end();) {
      it = now - it->second.time > kKept ? map->erase(it) : std::next(it);
    }
  }
}

}  // namespace bulwark::scheduler
