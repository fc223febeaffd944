#include "secrets/keyring/local_vault.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "base/testing/temp_dir.h"
#include "secrets/testing/seal.h"

namespace bulwark::secrets {
namespace {

using bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Seal;

class LocalVaultTest : public ::testing::Test {
 protected:
  // As the daemon does it: commit what comes out, and load again.
  VaultStatus Load(LocalVault& vault) {
    for (int i = 0; i < 3; ++i) {
      auto next = vault.Load(keyring_, has_values_);
      if (!next.has_value()) break;
      keyring_ = *next;
    }
    return vault.Status();
  }
  std::string ReadKey() {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  void WriteKey(const std::string& text) {
    unlink(path_.c_str());
    std::ofstream(path_) << text;
    ASSERT_EQ(chmod(path_.c_str(), 0400), 0);
  }
  AcceptedValue Set(LocalVault& vault, const Binding& binding,
                    const std::string& text) {
    auto value = vault.Accept(binding, Seal(text, vault.Status().public_key));
    EXPECT_OK(value);
    return *value;
  }

  bulwark::testing::TempDir dir_;
  bulwark::testing::FakeClock clock_;
  const std::string path_ = dir_ / "key";
  std::optional<std::string> keyring_;
  bool has_values_ = false;
  const Binding db_{"secret", "default", "db", 1};
};

TEST_F(LocalVaultTest, WhenNothingIsThere_MakesKeyFileAndKeyring) {
  LocalVault vault(path_, clock_);
  EXPECT_TRUE(vault.Status().sealed);
  const VaultStatus status = Load(vault);
  EXPECT_FALSE(status.sealed) << status.message;
  EXPECT_EQ(status.key_version, 1);
  EXPECT_EQ(status.key_time, clock_.Now());
  EXPECT_EQ(status.public_key.size(), 32u);
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
  ASSERT_TRUE(keyring_.has_value());
}

TEST_F(LocalVaultTest, WhenItDiedBeforeTheKeyringWasStored_UsesTheKeyFile) {
  LocalVault first(path_, clock_);
  ASSERT_TRUE(first.Load(std::nullopt, false).has_value());
  EXPECT_TRUE(first.Status().sealed);
  const std::string key = ReadKey();
  LocalVault second(path_, clock_);
  EXPECT_FALSE(Load(second).sealed);
  EXPECT_EQ(ReadKey(), key);
}

TEST_F(LocalVaultTest, WhenValuesExistWithoutKeyring_MakesNothing) {
  has_values_ = true;
  LocalVault vault(path_, clock_);
  const VaultStatus status = Load(vault);
  EXPECT_TRUE(status.sealed);
  EXPECT_THAT(status.message, HasSubstr("no keyring"));
  EXPECT_FALSE(keyring_.has_value());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
}

TEST_F(LocalVaultTest, WhenTheKeyFileIsMissing_IsSealedUntilItIsBack) {
  {
    LocalVault vault(path_, clock_);
    Load(vault);
  }
  has_values_ = true;
  const std::string key = ReadKey();
  const std::string row = *keyring_;
  unlink(path_.c_str());
  LocalVault vault(path_, clock_);
  VaultStatus status = Load(vault);
  EXPECT_TRUE(status.sealed);
  EXPECT_THAT(status.remedy,
              AllOf(HasSubstr(path_), HasSubstr("ctl secret unseal")));
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  EXPECT_EQ(*keyring_, row);
  EXPECT_THAT(vault.Accept(db_, "x").status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("sealed"), HasSubstr(path_))));
  WriteKey(key);
  EXPECT_FALSE(Load(vault).sealed);
}

TEST_F(LocalVaultTest, WhenTheKeyFileIsWrong_IsSealedAndOverwritesNothing) {
  {
    LocalVault vault(path_, clock_);
    Load(vault);
  }
  const std::string row = *keyring_;
  const std::string key = ReadKey();
  for (const std::string& wrong :
       {std::string(64, 'a'), std::string("junk"), std::string()}) {
    WriteKey(wrong);
    LocalVault vault(path_, clock_);
    EXPECT_TRUE(Load(vault).sealed);
    EXPECT_EQ(*keyring_, row);
    EXPECT_EQ(ReadKey(), wrong);
  }
  WriteKey(key);
  ASSERT_EQ(chmod(path_.c_str(), 0444), 0);
  LocalVault vault(path_, clock_);
  EXPECT_THAT(Load(vault).remedy, HasSubstr("chmod 0400"));
}

TEST_F(LocalVaultTest, WhenTheFolderCannotBeWritten_IsSealed) {
  LocalVault vault("/proc/no/such/key", clock_);
  const VaultStatus status = Load(vault);
  EXPECT_TRUE(status.sealed);
  EXPECT_THAT(status.remedy, HasSubstr("/proc/no/such/key"));
}

TEST_F(LocalVaultTest, WhenOpenAndTheKeyFileGoes_StaysOpen) {
  LocalVault vault(path_, clock_);
  Load(vault);
  const AcceptedValue value = Set(vault, db_, "hunter2");
  EXPECT_EQ(Load(vault).message, "");
  const std::string key = ReadKey();
  unlink(path_.c_str());
  VaultStatus status = Load(vault);
  EXPECT_FALSE(status.sealed);
  EXPECT_THAT(status.message, HasSubstr("No such file"));
  EXPECT_THAT(status.remedy, HasSubstr("put the key file back"));
  WriteKey(std::string(64, 'a'));
  status = Load(vault);
  EXPECT_FALSE(status.sealed);
  EXPECT_THAT(status.message, AllOf(HasSubstr(path_), HasSubstr("not hold")));
  EXPECT_THAT(status.remedy, HasSubstr("old key"));
  EXPECT_OK(vault.Open(db_, value.rows));
  WriteKey(key);
  EXPECT_EQ(Load(vault).message, "");
}

TEST_F(LocalVaultTest, WhenAValueIsNotSealed_SaysSo) {
  LocalVault vault(path_, clock_);
  Load(vault);
  for (const std::string& sealed :
       {std::string(5, 'x'), std::string(99, 'x')}) {
    EXPECT_THAT(
        vault.Accept(db_, sealed).status(),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not sealed")));
  }
}

TEST_F(LocalVaultTest, WhenTheKeyringWasChanged_IsSealed) {
  LocalVault vault(path_, clock_);
  Load(vault);
  const std::string good = *keyring_;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 0x10;
    LocalVault other(path_, clock_);
    EXPECT_FALSE(other.Load(bad, true).has_value());
    const VaultStatus status = other.Status();
    EXPECT_TRUE(status.sealed) << "byte " << i;
    EXPECT_FALSE(status.remedy.empty());
  }
}

TEST_F(LocalVaultTest, WhenANewRootKeyIsPutAbove_TheOldOneCanGo) {
  LocalVault vault(path_, clock_);
  Load(vault);
  const AcceptedValue value = Set(vault, db_, "hunter2");
  const std::string old = ReadKey();
  const std::string fresh(64, 'c');
  WriteKey(fresh + "\n" + old);
  EXPECT_FALSE(Load(vault).sealed);
  EXPECT_OK(vault.Open(db_, value.rows));
  WriteKey(fresh);
  LocalVault next(path_, clock_);
  EXPECT_FALSE(Load(next).sealed);
  EXPECT_OK(next.Open(db_, value.rows));
  WriteKey(old);
  LocalVault late(path_, clock_);
  EXPECT_TRUE(Load(late).sealed);
}

TEST_F(LocalVaultTest, WhenRotated_RewrappedValuesOpenAndOldRowsToo) {
  LocalVault vault(path_, clock_);
  Load(vault);
  const AcceptedValue value = Set(vault, db_, "hunter2");
  EXPECT_EQ(MasterVersionOf(value.rows.key), 1);
  ASSERT_OK_AND_ASSIGN(const std::string next, vault.NextKeyring());
  ASSERT_OK_AND_ASSIGN(const std::string key,
                       vault.Rewrap(db_, value.rows.key, next));
  EXPECT_EQ(MasterVersionOf(key), 2);
  // Nothing holds before the store has it.
  EXPECT_FALSE(vault.Open(db_, {value.rows.value, key}).ok());
  EXPECT_OK(vault.Open(db_, value.rows));
  keyring_ = next;
  EXPECT_EQ(Load(vault).key_version, 2);
  EXPECT_OK(vault.Open(db_, {value.rows.value, key}));
  EXPECT_OK(vault.Open(db_, value.rows));  // read before the rotation
  LocalVault restarted(path_, clock_);
  EXPECT_FALSE(Load(restarted).sealed);
  EXPECT_OK(restarted.Open(db_, {value.rows.value, key}));
  EXPECT_THAT(restarted.Open(db_, value.rows).status(),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(
      vault.Rewrap({"secret", "default", "other", 1}, key, next).status(),
      StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace bulwark::secrets
