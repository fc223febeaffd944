// Internal to RegistryClient.
#ifndef ENGINE_REGISTRY_POOLED_H_
#define ENGINE_REGISTRY_POOLED_H_

#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "engine/registry/client.h"
#include "engine/registry/http.h"

namespace bulwark::engine::registry {

// Borrows an idle client, or makes one, and puts it back.
class RegistryClient::Pooled {
 public:
  explicit Pooled(RegistryClient* owner) : owner_(owner) {
    absl::MutexLock lock(&owner_->mu_);
    if (owner_->idle_.empty()) {
      client_ = std::make_unique<HttpClient>();
    } else {
      client_ = std::move(owner_->idle_.back());
      owner_->idle_.pop_back();
    }
  }
  ~Pooled() {
    absl::MutexLock lock(&owner_->mu_);
    owner_->idle_.push_back(std::move(client_));
  }
  HttpClient* operator->() { return client_.get(); }

 private:
  RegistryClient* owner_;
  std::unique_ptr<HttpClient> client_;
};

}  // namespace bulwark::engine::registry

#endif  // ENGINE_REGISTRY_POOLED_H_
