// What every implementation of secrets::Vault and secrets::Delivery does, as
// test suites.
#ifndef TESTS_CONTRACT_SECRETS_CONTRACT_H_
#define TESTS_CONTRACT_SECRETS_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "secrets/delivery.h"
#include "secrets/secrets.h"

namespace bulwark::secrets {

class VaultWorld {
 public:
  virtual ~VaultWorld() = default;
  // A vault that Load() was not called on yet.
  virtual Vault& vault() = 0;
  // What a client does to send a value.
  virtual std::string Seal(const std::string& plaintext) = 0;
  virtual void LoseKeyFile() = 0;
  virtual void FindKeyFile() = 0;
  // A second daemon over the same files.
  virtual void Restart() = 0;
};

class VaultContract : public ::testing::TestWithParam<
                          std::function<std::shared_ptr<VaultWorld>()>> {
 protected:
  // Loads as the daemon does, with what it stored.
  VaultStatus Load();
  Vault& vault() { return world_->vault(); }
  AcceptedValue Accept(const Binding& binding, const std::string& plaintext);
  std::string Open(const Binding& binding, const ValueRows& rows);

  std::shared_ptr<VaultWorld> world_ = GetParam()();
  std::optional<std::string> keyring_;
  bool has_values_ = false;
};

class DeliveryWorld {
 public:
  virtual ~DeliveryWorld() = default;
  virtual Delivery& delivery() = 0;
  virtual Vault& vault() = 0;  // open
  virtual std::string Seal(const std::string& plaintext) = 0;
  // What the container finds, given what Deliver() returned; "" if nothing.
  virtual std::string Read(const std::string& container_id,
                           const std::vector<DeliveredMount>& mounts,
                           const std::string& path) = 0;
};

class DeliveryContract : public ::testing::TestWithParam<
                             std::function<std::shared_ptr<DeliveryWorld>()>> {
 protected:
  Delivery& delivery() { return world_->delivery(); }
  DeliveredFile Secret(const std::string& path, const std::string& plaintext);
  static DeliveredFile Config(const std::string& path,
                              const std::string& content);

  std::shared_ptr<DeliveryWorld> world_ = GetParam()();
};

}  // namespace bulwark::secrets

#endif  // TESTS_CONTRACT_SECRETS_CONTRACT_H_
