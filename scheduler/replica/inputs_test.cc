// What a container reads is on record before it can read it.
#include "scheduler/replica/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "secrets/fake/fake_delivery.h"
#include "secrets/fake/fake_vault.h"
#include "store/mem/mem_store.h"
#include "store/objects.h"
#include "store/values.h"

namespace bulwark::scheduler {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPath[] = "/run/secrets/db";

class InputFilesTest : public ::testing::Test {
 protected:
  InputFilesTest() {
    const auto keyring = vault_.Load(std::nullopt, false);
    vault_.Load(keyring, true);
    SetSecret(1, "one");
    container_.set_name("app");
    v1::SecretMount& mount = *container_.add_secrets();
    mount.set_name("db");
    mount.set_path(kPath);
    replica_.mutable_metadata()->set_project("default");
    replica_.mutable_metadata()->set_name("web-2-abcde");
    replica_.mutable_spec()->set_service("web");
    replica_.mutable_spec()->set_slot(2);
  }

  void SetSecret(int64_t version, const std::string& text) {
    v1::Object object;
    object.mutable_secret()->mutable_metadata()->set_name("db");
    object.mutable_secret()->mutable_metadata()->set_project("default");
    object.mutable_secret()->mutable_status()->set_version(version);
    const auto value = vault_.Accept({"secret", "default", "db", version},
                                     secrets::FakeVault::Seal(text));
    ASSERT_OK(value);
    const auto row = [&](const char* kind) {
      return store::ValueKey(kind, "default", "db", version);
    };
    ASSERT_OK(
        store_.Commit(store::Batch()
                          .Put(store::KeyOf(object), store::Encode(object))
                          .Put(row(store::kSecretValueKind), value->rows.value)
                          .Put(row(store::kSecretKeyKind), value->rows.key)));
  }

  InputReader Reader() { return {replica_, revision_, container_, "c1"}; }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  secrets::FakeVault vault_;
  secrets::FakeDelivery delivery_{vault_};
  absl::Status answer_;
  std::vector<std::string> told_;
  InputFiles files_{
      store_, delivery_, [this](const secrets::SecretReads& r) {
        told_.push_back(absl::StrCat(
            r.project, " ", r.owner_kind, "/", r.owner, " ", r.slot, " ",
            r.replica, " ", r.container, " ",
            absl::StrJoin(r.secrets, ",", absl::PairFormatter("@"))));
        return answer_;
      }};
  v1::Replica replica_;
  v1::Revision revision_;
  v1::Container container_;
};

TEST_F(InputFilesTest, WhenDelivered_ItIsOnRecordOnce) {
  ASSERT_OK(files_.Deliver(Reader()));
  EXPECT_THAT(told_, ElementsAre("default service/web 2 web-2-abcde app db@1"));
  EXPECT_EQ(delivery_.ContentOf("c1", kPath), "one");
  // The start is tried again.
  ASSERT_OK(files_.Deliver(Reader()));
  EXPECT_EQ(told_.size(), 1u);
  // The next container of that id.
  ASSERT_OK(files_.Withdraw("c1"));
  ASSERT_OK(files_.Deliver(Reader()));
  EXPECT_EQ(told_.size(), 2u);
}

TEST_F(InputFilesTest, WhenItCannotBeRecorded_TheContainerWaits) {
  answer_ = absl::DataLossError("the log is broken");
  EXPECT_THAT(files_.Deliver(Reader()).status(),
              testing::StatusIs(absl::StatusCode::kUnavailable,
                                AllOf(HasSubstr("start container app"),
                                      HasSubstr("audit log"),
                                      HasSubstr("the log is broken"))));
  EXPECT_EQ(delivery_.ContentOf("c1", kPath), "");
  answer_ = absl::OkStatus();
  ASSERT_OK(files_.Deliver(Reader()));
  EXPECT_EQ(delivery_.ContentOf("c1", kPath), "one");
}

TEST_F(InputFilesTest, WhenSealed_NothingIsOnRecord) {
  vault_.LoseKeyFile();
  EXPECT_THAT(files_.Deliver(Reader()).status(),
              testing::StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(InputFilesTest, WhenSwapped_TheNewVersionIsOnRecordFirst) {
  ASSERT_OK(files_.Deliver(Reader()));
  ASSERT_OK_AND_ASSIGN(const bool swapped, files_.Swap(Reader()));
  EXPECT_FALSE(swapped);
  SetSecret(2, "two");
  answer_ = absl::ResourceExhaustedError("full");
  EXPECT_FALSE(files_.Swap(Reader()).ok());
  EXPECT_EQ(delivery_.ContentOf("c1", kPath), "one");
  answer_ = absl::OkStatus();
  ASSERT_OK_AND_ASSIGN(const bool again, files_.Swap(Reader()));
  EXPECT_TRUE(again);
  EXPECT_EQ(delivery_.ContentOf("c1", kPath), "two");
  // The container could not be told yet: the same swap again.
  ASSERT_OK(files_.Swap(Reader()));
  EXPECT_EQ(told_.size(), 3u);
  ASSERT_OK(files_.Acknowledge(Reader()));
  EXPECT_THAT(told_.back(), HasSubstr("db@2"));
}

TEST_F(InputFilesTest, WhenOnlyConfigsAreRead_NobodyIsTold) {
  container_.clear_secrets();
  container_.add_configs()->set_name("app");
  container_.mutable_configs(0)->set_path("/run/configs/app");
  v1::Object object;
  object.mutable_config()->mutable_metadata()->set_name("app");
  object.mutable_config()->mutable_metadata()->set_project("default");
  object.mutable_config()->mutable_status()->set_version(1);
  ASSERT_OK(store_.Commit(
      store::Batch()
          .Put(store::KeyOf(object), store::Encode(object))
          .Put(store::ValueKey(store::kConfigValueKind, "default", "app", 1),
               "text")));
  ASSERT_OK(files_.Deliver(Reader()));
  EXPECT_THAT(told_, IsEmpty());
}

}  // namespace
}  // namespace bulwark::scheduler
