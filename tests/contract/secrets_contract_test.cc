#include "tests/contract/secrets_contract.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>

#include "absl/strings/match.h"
#include "base/clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "secrets/fake/fake_delivery.h"
#include "secrets/fake/fake_vault.h"
#include "secrets/keyring/local_vault.h"
#include "secrets/materialize/materializer.h"
#include "secrets/testing/seal.h"

namespace bulwark::secrets {
namespace {

class FakeVaultWorld final : public VaultWorld {
 public:
  Vault& vault() override { return *vault_; }
  std::string Seal(const std::string& plaintext) override {
    return FakeVault::Seal(plaintext);
  }
  void LoseKeyFile() override { lost_ = true; }
  void FindKeyFile() override {
    lost_ = false;
    vault_->LoseKeyFile(false);
  }
  void Restart() override {
    vault_ = std::make_unique<FakeVault>();
    if (lost_) vault_->LoseKeyFile();
  }

 private:
  bool lost_ = false;
  std::unique_ptr<FakeVault> vault_ = std::make_unique<FakeVault>();
};

class LocalVaultWorld final : public VaultWorld {
 public:
  LocalVaultWorld() { Restart(); }
  Vault& vault() override { return *vault_; }
  std::string Seal(const std::string& plaintext) override {
    const std::string key = vault_->Status().public_key;
    return testing::Seal(plaintext, key.empty() ? std::string(32, 'k') : key);
  }
  void LoseKeyFile() override {
    ASSERT_EQ(rename(path_.c_str(), (path_ + ".lost").c_str()), 0);
  }
  void FindKeyFile() override {
    ASSERT_EQ(rename((path_ + ".lost").c_str(), path_.c_str()), 0);
  }
  void Restart() override {
    vault_ = std::make_unique<LocalVault>(path_, clock_);
  }

 private:
  bulwark::testing::TempDir dir_;
  const std::string path_ = dir_ / "key";
  RealClock clock_;
  std::unique_ptr<LocalVault> vault_;
};

void LoadNew(Vault& vault) {
  const auto keyring = vault.Load(std::nullopt, false);
  ASSERT_TRUE(keyring.has_value());
  EXPECT_FALSE(vault.Load(keyring, false).has_value());
  ASSERT_FALSE(vault.Status().sealed) << vault.Status().message;
}

class FakeDeliveryWorld final : public DeliveryWorld {
 public:
  FakeDeliveryWorld() { LoadNew(vault_); }
  Delivery& delivery() override { return delivery_; }
  Vault& vault() override { return vault_; }
  std::string Seal(const std::string& plaintext) override {
    return FakeVault::Seal(plaintext);
  }
  std::string Read(const std::string& container_id,
                   const std::vector<DeliveredMount>&,
                   const std::string& path) override {
    return delivery_.ContentOf(container_id, path);
  }

 private:
  FakeVault vault_;
  FakeDelivery delivery_{vault_};
};

class MaterializerWorld final : public DeliveryWorld {
 public:
  explicit MaterializerWorld(bool tmpfs) {
    LoadNew(vault_);
    EXPECT_OK(materializer_.Open(tmpfs));
  }
  ~MaterializerWorld() override { EXPECT_OK(Materializer::Teardown(path_)); }
  Delivery& delivery() override { return materializer_; }
  Vault& vault() override { return vault_; }
  std::string Seal(const std::string& plaintext) override {
    return FakeVault::Seal(plaintext);
  }
  std::string Read(const std::string&,
                   const std::vector<DeliveredMount>& mounts,
                   const std::string& path) override {
    for (const DeliveredMount& mount : mounts) {
      if (!absl::StartsWith(path, mount.destination)) continue;
      std::stringstream text;
      text << std::ifstream(mount.source +
                            path.substr(mount.destination.size()))
                  .rdbuf();
      return text.str();
    }
    return "";
  }

 private:
  bulwark::testing::TempDir dir_;
  const std::string path_ = dir_ / "inputs";
  FakeVault vault_;
  Materializer materializer_{path_, vault_};
};

INSTANTIATE_TEST_SUITE_P(Fake, VaultContract, ::testing::Values([] {
                           return std::make_shared<FakeVaultWorld>();
                         }));
INSTANTIATE_TEST_SUITE_P(Local, VaultContract, ::testing::Values([] {
                           return std::make_shared<LocalVaultWorld>();
                         }));
INSTANTIATE_TEST_SUITE_P(Fake, DeliveryContract, ::testing::Values([] {
                           return std::make_shared<FakeDeliveryWorld>();
                         }));
INSTANTIATE_TEST_SUITE_P(Materializer, DeliveryContract, ::testing::Values([] {
                           return std::make_shared<MaterializerWorld>(true);
                         }));
INSTANTIATE_TEST_SUITE_P(MaterializerOnRamfs, DeliveryContract,
                         ::testing::Values([] {
                           return std::make_shared<MaterializerWorld>(false);
                         }));

}  // namespace
}  // namespace bulwark::secrets

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  // Mounts of the test are its own.
  if (unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    printf("cannot run: needs root\n");
    return 1;
  }
  return RUN_ALL_TESTS();
}
