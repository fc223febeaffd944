#include "tests/contract/secrets_contract.h"

#include <gmock/gmock.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/status_matchers.h"

namespace bulwark::secrets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::StatusIs;

const Binding kDb{"secret", "default", "db", 1};
const Binding kDb2{"secret", "default", "db", 2};

}  // namespace

VaultStatus VaultContract::Load() {
  for (int i = 0; i < 3; ++i) {
    auto next = vault().Load(keyring_, has_values_);
    if (!next.has_value()) break;
    keyring_ = *next;
  }
  return vault().Status();
}

AcceptedValue VaultContract::Accept(const Binding& binding,
                                    const std::string& plaintext) {
  absl::StatusOr<AcceptedValue> value =
      vault().Accept(binding, world_->Seal(plaintext));
  EXPECT_OK(value);
  return value.value_or(AcceptedValue());
}

std::string VaultContract::Open(const Binding& binding, const ValueRows& rows) {
  absl::StatusOr<SecretBytes> opened = vault().Open(binding, rows);
  return opened.ok() ? std::string(opened->Reveal())
                     : opened.status().ToString();
}

TEST_P(VaultContract, WhenNothingIsLoaded_IsSealed) {
  EXPECT_TRUE(vault().Status().sealed);
  EXPECT_FALSE(vault().Status().remedy.empty());
  EXPECT_THAT(vault().Accept(kDb, world_->Seal("x")).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(vault().NextKeyring().status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(VaultContract, WhenAccepted_OpensAgainAlsoAfterARestart) {
  ASSERT_FALSE(Load().sealed);
  const AcceptedValue value = Accept(kDb, "hunter2");
  EXPECT_EQ(value.size_bytes, 7);
  EXPECT_THAT(value.digest, ::testing::SizeIs(64));
  EXPECT_EQ(Open(kDb, value.rows), "hunter2");
  EXPECT_EQ(MasterVersionOf(value.rows.key), vault().Status().key_version);
  has_values_ = true;
  world_->Restart();
  ASSERT_FALSE(Load().sealed);
  EXPECT_EQ(Open(kDb, value.rows), "hunter2");
}

TEST_P(VaultContract, WhenTheSameValueComesAgain_HasTheSameDigest) {
  ASSERT_FALSE(Load().sealed);
  const AcceptedValue first = Accept(kDb, "hunter2");
  EXPECT_EQ(first.digest, Accept(kDb2, "hunter2").digest);
  EXPECT_NE(first.digest, Accept(kDb2, "hunter3").digest);
}

TEST_P(VaultContract, WhenTheValueIsNoneOrTooLarge_Refuses) {
  ASSERT_FALSE(Load().sealed);
  EXPECT_OK(vault().Accept(kDb, world_->Seal(std::string(kMaxValue, 'x'))));
  for (const std::string& sealed :
       {std::string(), std::string("short"), world_->Seal(""),
        world_->Seal(std::string(kMaxValue + 1, 'x')), std::string(100, 'x')}) {
    EXPECT_THAT(vault().Accept(kDb, sealed).status(),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_P(VaultContract, WhenRowsAreSwappedOrChanged_DoesNotOpen) {
  ASSERT_FALSE(Load().sealed);
  const AcceptedValue a = Accept(kDb, "hunter2");
  const AcceptedValue b = Accept(kDb2, "other");
  const auto data_loss = StatusIs(absl::StatusCode::kDataLoss);
  EXPECT_THAT(vault().Open(kDb2, a.rows).status(), data_loss);
  EXPECT_THAT(vault().Open(kDb, {b.rows.value, a.rows.key}).status(),
              data_loss);
  EXPECT_THAT(vault().Open(kDb, {a.rows.value, b.rows.key}).status(),
              data_loss);
  EXPECT_THAT(vault().Open(kDb, {a.rows.value, ""}).status(), data_loss);
  EXPECT_THAT(vault().Open(kDb, {"", a.rows.key}).status(), data_loss);
  EXPECT_THAT(vault().Open(kDb, {"junk", "junk"}).status(), data_loss);
  // Says whose row it is.
  EXPECT_THAT(std::string(vault().Open(kDb, {"", ""}).status().message()),
              HasSubstr("db"));
}

TEST_P(VaultContract, WhenRebound_OpensUnderTheNewNameOnly) {
  ASSERT_FALSE(Load().sealed);
  const AcceptedValue value = Accept(kDb, "hunter2");
  ASSERT_OK_AND_ASSIGN(const ValueRows moved,
                       vault().Rebind(kDb, value.rows, kDb2));
  EXPECT_EQ(Open(kDb2, moved), "hunter2");
  EXPECT_FALSE(vault().Open(kDb, moved).ok());
  EXPECT_EQ(Open(kDb, value.rows), "hunter2");
}

TEST_P(VaultContract, WhenRotated_EverythingOpensWithTheNewKeyAlone) {
  ASSERT_FALSE(Load().sealed);
  const AcceptedValue value = Accept(kDb, "hunter2");
  const int64_t before = vault().Status().key_version;
  ASSERT_OK_AND_ASSIGN(const std::string keyring, vault().NextKeyring());
  EXPECT_EQ(vault().Status().key_version, before);
  ASSERT_OK_AND_ASSIGN(const std::string key,
                       vault().Rewrap(kDb, value.rows.key, keyring));
  EXPECT_EQ(MasterVersionOf(key), before + 1);
  EXPECT_THAT(vault().Rewrap(kDb2, value.rows.key, keyring).status(),
              StatusIs(absl::StatusCode::kDataLoss));
  keyring_ = keyring;
  has_values_ = true;
  EXPECT_EQ(Load().key_version, before + 1);
  EXPECT_EQ(Open(kDb, {value.rows.value, key}), "hunter2");
  // Of somebody who read it before.
  EXPECT_EQ(Open(kDb, value.rows), "hunter2");
  world_->Restart();
  ASSERT_FALSE(Load().sealed);
  EXPECT_EQ(Open(kDb, {value.rows.value, key}), "hunter2");
}

TEST_P(VaultContract, WhenExported_AnotherHostOpensWhatItWraps) {
  ASSERT_FALSE(Load().sealed);
  const AcceptedValue value = Accept(kDb, "hunter2");
  const SecretBytes key = SecretBytes::Random(32);
  ASSERT_OK_AND_ASSIGN(const std::string exported, vault().ExportKeyring(key));
  EXPECT_NE(exported, *keyring_);
  const std::shared_ptr<VaultWorld> home = world_;
  world_ = GetParam()();
  keyring_ = std::nullopt;
  ASSERT_FALSE(Load().sealed);

  EXPECT_THAT(vault().ImportKeyring(exported, SecretBytes::Random(32)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK_AND_ASSIGN(keyring_, vault().ImportKeyring(exported, key));

  has_values_ = true;
  ASSERT_FALSE(Load().sealed);
  EXPECT_EQ(Open(kDb, value.rows), "hunter2");
  world_->Restart();
  ASSERT_FALSE(Load().sealed);
  EXPECT_EQ(Open(kDb, value.rows), "hunter2");
}

TEST_P(VaultContract, WhenTheKeyFileIsGone_IsSealedUntilItIsBack) {
  ASSERT_FALSE(Load().sealed);
  const AcceptedValue value = Accept(kDb, "hunter2");
  has_values_ = true;
  const std::string stored = *keyring_;
  world_->LoseKeyFile();
  world_->Restart();
  const VaultStatus status = Load();
  EXPECT_TRUE(status.sealed);
  EXPECT_THAT(status.remedy, HasSubstr("ctl secret unseal"));
  EXPECT_EQ(*keyring_, stored);
  EXPECT_THAT(
      vault().Open(kDb, value.rows).status(),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("sealed")));
  world_->FindKeyFile();
  EXPECT_FALSE(Load().sealed);
  EXPECT_EQ(Open(kDb, value.rows), "hunter2");
}

TEST_P(VaultContract, WhenValuesExistButNoKeyring_MakesNone) {
  has_values_ = true;
  EXPECT_TRUE(Load().sealed);
  EXPECT_FALSE(keyring_.has_value());
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VaultContract);

DeliveredFile DeliveryContract::Secret(const std::string& path,
                                       const std::string& plaintext) {
  DeliveredFile file;
  file.path = path;
  file.binding = kDb;
  absl::StatusOr<AcceptedValue> value =
      world_->vault().Accept(kDb, world_->Seal(plaintext));
  EXPECT_OK(value);
  if (value.ok()) file.rows = value->rows;
  return file;
}

DeliveredFile DeliveryContract::Config(const std::string& path,
                                       const std::string& content) {
  DeliveredFile file;
  file.path = path;
  file.content = content;
  return file;
}

TEST_P(DeliveryContract, WhenDelivered_FilesOfADirectoryAreOneMount) {
  ASSERT_OK_AND_ASSIGN(
      const auto mounts,
      delivery().Deliver(
          {"c1",
           {Secret("/run/secrets/a", "one"), Secret("/run/secrets/b", "two"),
            Config("/run/configs/c", "three"), Config("/etc/app.conf", "four"),
            Secret("/root/.pgpass", "five")}}));
  std::vector<std::string> destinations;
  for (const DeliveredMount& m : mounts) destinations.push_back(m.destination);
  EXPECT_THAT(destinations, ::testing::UnorderedElementsAre(
                                "/run/secrets", "/run/configs", "/etc/app.conf",
                                "/root/.pgpass"));
  EXPECT_EQ(world_->Read("c1", mounts, "/run/secrets/a"), "one");
  EXPECT_EQ(world_->Read("c1", mounts, "/run/secrets/b"), "two");
  EXPECT_EQ(world_->Read("c1", mounts, "/run/configs/c"), "three");
  EXPECT_EQ(world_->Read("c1", mounts, "/etc/app.conf"), "four");
  EXPECT_EQ(world_->Read("c1", mounts, "/root/.pgpass"), "five");
  EXPECT_THAT(delivery().List(), ElementsAre("c1"));
}

TEST_P(DeliveryContract, WhenDeliveredAgain_IsSwapped) {
  const auto old = Secret("/run/secrets/a", "old");
  ASSERT_OK_AND_ASSIGN(const auto first, delivery().Deliver({"c1", {old}}));
  EXPECT_OK(delivery().Deliver({"c1", {old}}));
  EXPECT_EQ(world_->Read("c1", first, "/run/secrets/a"), "old");
  ASSERT_OK_AND_ASSIGN(
      const auto second,
      delivery().Deliver({"c1",
                          {Secret("/run/secrets/a", "new"),
                           Secret("/run/secrets/b", "more")}}));
  ASSERT_EQ(second.size(), first.size());
  EXPECT_EQ(second[0].source, first[0].source);
  EXPECT_EQ(world_->Read("c1", first, "/run/secrets/a"), "new");
  EXPECT_EQ(world_->Read("c1", first, "/run/secrets/b"), "more");
  EXPECT_OK(delivery().Deliver({"c1", {Secret("/run/secrets/b", "more")}}));
  EXPECT_EQ(world_->Read("c1", first, "/run/secrets/a"), "");
}

TEST_P(DeliveryContract, WhenARowDoesNotOpen_NothingChanges) {
  ASSERT_OK_AND_ASSIGN(
      const auto mounts,
      delivery().Deliver({"c1", {Secret("/run/secrets/a", "old")}}));
  DeliveredFile bad = Secret("/run/secrets/b", "x");
  bad.rows.value += "x";
  bad.binding = kDb2;
  EXPECT_THAT(delivery()
                  .Deliver({"c1", {Secret("/run/secrets/a", "new"), bad}})
                  .status(),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(world_->Read("c1", mounts, "/run/secrets/a"), "old");
}

TEST_P(DeliveryContract, WhenItIsNotToBeWritten_NothingChanges) {
  DeliveryOrder order = {"c1", {Secret("/run/secrets/a", "old")}};
  int asked = 0;
  order.before_write = [&] {
    ++asked;
    return absl::ResourceExhaustedError("no");
  };
  EXPECT_THAT(delivery().Deliver(order).status(),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(delivery().List(), IsEmpty());
  order.before_write = [&] {
    ++asked;
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(const auto mounts, delivery().Deliver(order));
  EXPECT_EQ(world_->Read("c1", mounts, "/run/secrets/a"), "old");
  EXPECT_EQ(asked, 2);
  // Nobody is asked about what does not open.
  order.files[0].binding = kDb2;
  EXPECT_FALSE(delivery().Deliver(order).ok());
  EXPECT_EQ(asked, 2);
  // A swap, too.
  order.files = {Secret("/run/secrets/a", "new")};
  order.before_write = [] { return absl::ResourceExhaustedError("no"); };
  EXPECT_FALSE(delivery().Deliver(order).ok());
  EXPECT_EQ(world_->Read("c1", mounts, "/run/secrets/a"), "old");
}

TEST_P(DeliveryContract, WhenAnOrderIsNoOrder_Refuses) {
  const auto bad = StatusIs(absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(delivery().Deliver({"../x", {}}).status(), bad);
  EXPECT_THAT(delivery().Deliver({"", {}}).status(), bad);
  EXPECT_THAT(delivery().Withdraw(".."), bad);
  EXPECT_THAT(delivery().SetNote("a/b", ""), bad);
  for (const std::string& path :
       {std::string("relative"), std::string("/a/../b"), std::string("/"),
        std::string("/run/secrets/..data"), std::string("/a//b"),
        std::string("/a\0b", 4)}) {
    EXPECT_THAT(delivery().Deliver({"c1", {Config(path, "x")}}).status(), bad)
        << path;
  }
  EXPECT_THAT(
      delivery()
          .Deliver({"c1", {Config("/etc/x", "1"), Config("/etc/x", "2")}})
          .status(),
      bad);
  EXPECT_THAT(delivery().List(), IsEmpty());
}

TEST_P(DeliveryContract, WhenNoted_KeepsTheNoteWithTheFiles) {
  EXPECT_EQ(delivery().NoteOf("c1"), "");
  EXPECT_THAT(delivery().SetNote("c1", "x"),
              StatusIs(absl::StatusCode::kNotFound));
  ASSERT_OK(delivery().Deliver({"c1", {Config("/run/configs/a", "x")}}));
  EXPECT_EQ(delivery().NoteOf("c1"), "");
  EXPECT_OK(delivery().SetNote("c1", "config/a@1"));
  EXPECT_EQ(delivery().NoteOf("c1"), "config/a@1");
  ASSERT_OK(delivery().Deliver({"c1", {Config("/run/configs/a", "y")}}));
  EXPECT_EQ(delivery().NoteOf("c1"), "config/a@1");
}

TEST_P(DeliveryContract, WhenWithdrawn_NothingIsLeft) {
  ASSERT_OK(delivery().Deliver({"c1", {Config("/run/configs/a", "x")}}));
  ASSERT_OK(delivery().Deliver({"c2", {Config("/run/configs/a", "x")}}));
  EXPECT_OK(delivery().Withdraw("c1"));
  EXPECT_THAT(delivery().List(), ElementsAre("c2"));
  EXPECT_OK(delivery().Withdraw("c1"));
  EXPECT_OK(delivery().Withdraw("c2"));
  EXPECT_THAT(delivery().List(), IsEmpty());
}

TEST_P(DeliveryContract, WhenManyContainersGetManyFiles_KeepsThemApart) {
  for (int i = 0; i < 100; ++i) {
    DeliveryOrder order;
    order.container_id = absl::StrCat("c", i);
    for (int n = 0; n < 10; ++n) {
      order.files.push_back(
          Config(absl::StrCat("/run/configs/f", n), absl::StrCat(i, "-", n)));
    }
    ASSERT_OK_AND_ASSIGN(const auto mounts, delivery().Deliver(order));
    EXPECT_EQ(world_->Read(order.container_id, mounts, "/run/configs/f7"),
              absl::StrCat(i, "-7"));
  }
  EXPECT_THAT(delivery().List(), ::testing::SizeIs(100));
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DeliveryContract);

}  // namespace bulwark::secrets
