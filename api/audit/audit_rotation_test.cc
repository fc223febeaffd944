// What Verify() finds in an audit log that has removed its oldest records.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "api/audit/audit_log.h"
#include "api/audit/chain.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"

namespace bulwark::api {
namespace {

using ::bulwark::record::v1::AuditHead;
using ::bulwark::testing::StatusIs;
using ::testing::HasSubstr;

constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

class AuditRotationTest : public ::testing::Test {
 protected:
  // After several rotations: records precede and follow the newest one's.
  void SetUp() override {
    for (int i = 1; i <= 33; ++i) ASSERT_OK(Append(absl::StrCat(i)));
    head_ = Head();
    for (int64_t i = head_.removed() + 1; i <= head_.last(); ++i) {
      if (Read(i).method() == kRotation) rotation_ = i;
    }
    ASSERT_GT(head_.removed(), 12);
    ASSERT_GT(rotation_, head_.removed() + 3);
    ASSERT_GT(head_.last(), rotation_ + 2);
    ASSERT_OK(log_.Verify());
  }

  absl::Status Append(const std::string& detail) {
    v1::AuditRecord record;
    record.mutable_actor()->set_name("alice");
    record.set_method("/bulwark.v1.Services/Scale");
    record.set_detail(detail);
    return log_.Append(record);
  }
  AuditHead Head() {
    AuditHead head;
    EXPECT_TRUE(head.ParseFromString(store_.Get(AuditHeadKey())->value));
    return head;
  }
  v1::AuditRecord Read(int64_t sequence) {
    v1::AuditRecord record;
    const auto row = store_.Get(AuditKey(sequence));
    EXPECT_OK(row.status());
    if (row.ok()) EXPECT_TRUE(record.ParseFromString(row->value));
    return record;
  }
  // Commits `batch`, by another hand, looks, and undoes it.
  void ExpectFound(const store::Batch& batch, const std::string& what) {
    ASSERT_OK_AND_ASSIGN(const store::Listing before, store_.List({}));
    ASSERT_OK(store_.Commit(batch));
    EXPECT_THAT(log_.Verify(), StatusIs(kDataLoss, HasSubstr(what)));
    // Who comes next has not seen the log before.
    EXPECT_THAT(AuditLog(store_, clock_).Verify(),
                StatusIs(kDataLoss, HasSubstr(what)));
    store::Batch undo;
    for (const store::Record& row : before.records) {
      undo.Put(row.key, row.value);
    }
    ASSERT_OK(store_.Commit(undo));
    ASSERT_OK(log_.Verify());
  }
  store::Batch Remove(int64_t first, int64_t last) {
    store::Batch batch;
    for (int64_t i = first; i <= last; ++i) batch.Delete(AuditKey(i));
    return batch;
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  AuditLog log_{store_, clock_, {.records = 14, .removed_at_once = 6}};
  AuditHead head_;
  int64_t rotation_ = 0;  // the newest record of one
};

TEST_F(AuditRotationTest, WhenNothingIsChanged_WhatIsKeptVerifies) {
  ASSERT_OK_AND_ASSIGN(const auto verified, log_.Verify());
  EXPECT_EQ(verified.records(), head_.last() - head_.removed());
  EXPECT_EQ(verified.last_hash(), head_.last_hash());
  // One that did not write it.
  EXPECT_OK(AuditLog(store_, clock_).Verify());
}

TEST_F(AuditRotationTest, WhenAnyRecordIsChanged_ItIsNamed) {
  for (int64_t i = head_.removed() + 1; i <= head_.last(); ++i) {
    v1::AuditRecord record = Read(i);
    record.mutable_actor()->set_name("mallory");
    ExpectFound(store::Batch().Put(AuditKey(i), record.SerializeAsString()),
                absl::StrCat("record ", i, " was changed"));
  }
}

TEST_F(AuditRotationTest, WhenRecordsAreMissing_TheFirstIsNamed) {
  for (int64_t i = head_.removed() + 1; i <= head_.last(); ++i) {
    const std::string what = absl::StrCat("record ", i, " is missing");
    ExpectFound(Remove(i, i), what);
    // With those that follow it.
    ExpectFound(Remove(i, std::min(i + 3, head_.last())), what);
    // All from there to the rotation, and to the end.
    if (i < rotation_) ExpectFound(Remove(i, rotation_ - 1), what);
    ExpectFound(Remove(i, head_.last()), what);
  }
}

TEST_F(AuditRotationTest, WhenTheHeadIsMissing_TheRecordsTell) {
  ExpectFound(store::Batch().Delete(AuditHeadKey()), "its head is missing");
}

TEST_F(AuditRotationTest, WhenTheHeadNamesAnotherOldest_ItIsFound) {
  for (int64_t i = head_.removed() + 1; i < rotation_; ++i) {
    AuditHead head = head_;
    head.set_removed(i);
    head.set_removed_hash(Read(i).hash());
    ExpectFound(Remove(head_.removed() + 1, i)
                    .Put(AuditHeadKey(), head.SerializeAsString()),
                "by another hand");
  }
  AuditHead none = head_;
  none.clear_removed();
  none.clear_removed_hash();
  ExpectFound(store::Batch().Put(AuditHeadKey(), none.SerializeAsString()),
              "record 1 is missing");
}

// With a head that fits, so that the end that is cut off is the newest part.
TEST_F(AuditRotationTest, WhenTheEndIsCutBeforeTheRotation_ItIsFound) {
  for (int64_t i = head_.removed() + 1; i < rotation_; ++i) {
    AuditHead head = head_;
    head.set_last(i);
    head.set_last_hash(Read(i).hash());
    ExpectFound(Remove(i + 1, head_.last())
                    .Put(AuditHeadKey(), head.SerializeAsString()),
                "by another hand");
  }
}

TEST_F(AuditRotationTest, WhenRecordsFollowAHeadThatFits_TheFirstIsNamed) {
  for (int64_t i = rotation_; i < head_.last(); ++i) {
    AuditHead head = head_;
    head.set_last(i);
    head.set_last_hash(Read(i).hash());
    for (int64_t rest = i + 1; rest <= head_.last(); ++rest) {
      ExpectFound(
          Remove(i + 1, rest - 1).Put(AuditHeadKey(), head.SerializeAsString()),
          absl::StrCat("record ", rest, " follows the last one"));
    }
  }
}

TEST_F(AuditRotationTest, WhenItRotatesMeanwhile_VerifySaysItIsGood) {
  std::thread writer([this] {
    for (int i = 0; i < 400; ++i) ASSERT_OK(Append("meanwhile"));
  });
  for (int i = 0; i < 200; ++i) EXPECT_OK(log_.Verify());
  writer.join();
  EXPECT_OK(log_.Verify());
}

}  // namespace
}  // namespace bulwark::api
