#include "api/audit/secret_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"

namespace bulwark::api {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SecretReadLogTest : public ::testing::Test {
 protected:
  static secrets::SecretReads Reads(int64_t slot = 0, int64_t version = 3) {
    secrets::SecretReads reads;
    reads.project = "shop";
    reads.owner_kind = "service";
    reads.owner = "web";
    reads.slot = slot;
    reads.replica = absl::StrCat("web-", slot, "-abcde");
    reads.container = "app";
    reads.secrets = {{"db", version}, {"token", 1}};
    return reads;
  }
  std::vector<v1::AuditRecord> All(const std::string& object = "") {
    std::vector<v1::AuditRecord> records;
    v1::AuditRequest request;
    request.set_object(object);
    EXPECT_OK(log_.Read(
        request,
        [&](const v1::AuditRecord& record) {
          records.push_back(record);
          return true;
        },
        [] { return false; }));
    return records;
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  AuditLog log_{store_, clock_};
  SecretReadLog reads_{log_, clock_};
};

TEST_F(SecretReadLogTest, WhenRead_TheRecordSaysWhoWhatAndWhen) {
  ASSERT_OK(reads_.Record(Reads()));
  const std::vector<v1::AuditRecord> all = All();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].actor().name(), "system");
  EXPECT_EQ(all[0].method(), "secrets/deliver");
  EXPECT_EQ(all[0].project(), "shop");
  EXPECT_EQ(all[0].detail(),
            "container app of replica web-0-abcde got db version 3, token "
            "version 1");
  EXPECT_TRUE(all[0].has_time());
  EXPECT_THAT(All("secret/token"), SizeIs(1));
  EXPECT_THAT(All("service/web"), SizeIs(1));
  EXPECT_THAT(All("secret/other"), IsEmpty());
  EXPECT_OK(log_.Verify());
}

TEST_F(SecretReadLogTest, WhenThereAreMany_NoneIsCutOff) {
  secrets::SecretReads reads = Reads();
  reads.secrets.clear();
  for (int i = 0; i < 25; ++i) {
    reads.secrets.push_back({absl::StrCat(std::string(60, 'a'), i), i});
  }
  ASSERT_OK(reads_.Record(reads));
  std::string text;
  for (const v1::AuditRecord& record : All()) text += record.detail();
  for (const auto& [name, version] : reads.secrets) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat(name, " version ", version)));
  }
  EXPECT_THAT(All(), SizeIs(3));
}

TEST_F(SecretReadLogTest, WhenTheSameIsReadAgainAndAgain_TheLogDoesNotFill) {
  for (int i = 0; i < 1000; ++i) ASSERT_OK(reads_.Record(Reads()));
  EXPECT_THAT(All(), SizeIs(SecretReadLog::kAnHour));
  // Another slot, and another version, are something else.
  ASSERT_OK(reads_.Record(Reads(1)));
  ASSERT_OK(reads_.Record(Reads(0, 4)));
  EXPECT_THAT(All(), SizeIs(SecretReadLog::kAnHour + 2));
  // An hour later it is told how often.
  clock_.Advance(absl::Hours(1));
  ASSERT_OK(reads_.Record(Reads()));
  EXPECT_THAT(All().back().detail(),
              HasSubstr("after 990 times in its slot that are not kept"));
  ASSERT_OK(reads_.Record(Reads()));
  EXPECT_EQ(All().back().detail().find("after"), std::string::npos);
}

TEST_F(SecretReadLogTest, WhenItCannotBeWritten_ItIsNotCountedAsKept) {
  store_.SetFault(
      [](const store::Batch&) { return absl::ResourceExhaustedError("full"); });
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(reads_.Record(Reads()),
                testing::StatusIs(absl::StatusCode::kResourceExhausted));
  }
  // On a disk that is nearly full there is room kept for it.
  store_.SetFault([](const store::Batch& batch) {
    return batch.essential() ? absl::OkStatus()
                             : absl::ResourceExhaustedError("full");
  });
  EXPECT_OK(reads_.Record(Reads()));
  EXPECT_THAT(All(), SizeIs(1));
}

TEST_F(SecretReadLogTest, WhenManyReadAtOnce_AllAreKept) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) EXPECT_OK(reads_.Record(Reads(t * 50 + i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(All(), SizeIs(400));
  EXPECT_OK(log_.Verify());
}

}  // namespace
}  // namespace bulwark::api
