// The audit log over a store in memory.
#include <gtest/gtest.h>
#include <sodium.h>

#include <functional>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "api/audit/audit_log.h"
#include "api/audit/call_record.h"
#include "api/audit/chain.h"
#include "api/audit/describe.h"
#include "api/convert.h"
#include "api/errors.h"
#include "base/testing/fake_clock.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"

namespace bulwark::api {
namespace {

using ::bulwark::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr auto kDataLoss = absl::StatusCode::kDataLoss;

class AuditLogTest : public ::testing::Test {
 protected:
  static v1::AuditRecord Record(const std::string& detail,
                                const std::string& actor = "alice") {
    v1::AuditRecord record;
    record.mutable_actor()->set_name(actor);
    record.mutable_actor()->set_uid(1001);
    record.set_method("/bulwark.v1.Services/Scale");
    record.set_detail(detail);
    return record;
  }

  void Fill(int records) {
    for (int i = 1; i <= records; ++i) {
      clock_.Advance(absl::Seconds(1));
      ASSERT_OK(log_.Append(Record(absl::StrCat(i))));
    }
  }

  std::vector<std::string> Details(const v1::AuditRequest& request) {
    std::vector<std::string> details;
    EXPECT_OK(log_.Read(
        request,
        [&](const v1::AuditRecord& record) {
          details.push_back(record.detail());
          return true;
        },
        [] { return false; }));
    return details;
  }

  // Changes the stored bytes of record `sequence`.
  void Tamper(int64_t sequence,
              const std::function<void(v1::AuditRecord&)>& change) {
    ASSERT_OK_AND_ASSIGN(const store::Record row,
                         store_.Get(AuditKey(sequence)));
    v1::AuditRecord record;
    ASSERT_TRUE(record.ParseFromString(row.value));
    change(record);
    ASSERT_OK(
        store_.Commit(store::Batch().Put(row.key, record.SerializeAsString())));
  }

  testing::FakeClock clock_;
  store::MemStore store_{clock_};
  AuditLog log_{store_, clock_};
};

TEST_F(AuditLogTest, WhenNothingWasWritten_TheChainIsGood) {
  ASSERT_OK_AND_ASSIGN(const auto verified, log_.Verify());
  EXPECT_EQ(verified.records(), 0);
  EXPECT_THAT(Details({}), IsEmpty());
}

TEST_F(AuditLogTest, WhenRecordsAreAppended_TheyAreNumberedAndChained) {
  Fill(3);
  ASSERT_OK_AND_ASSIGN(const auto verified, log_.Verify());
  EXPECT_EQ(verified.records(), 3);
  EXPECT_EQ(verified.last_hash().size(), 32);
  EXPECT_THAT(Details({}), ElementsAre("1", "2", "3"));
  // Another program goes on where this one ended.
  AuditLog other(store_, clock_);
  ASSERT_OK(other.Append(Record("4")));
  ASSERT_OK(other.Verify());
  // And this one finds that.
  ASSERT_OK(log_.Append(Record("5")));
  EXPECT_EQ(log_.Verify()->records(), 5);
}

// The format is fixed: docs/formats/audit-log.md.
TEST_F(AuditLogTest, WhenHashed_TheBytesAreThoseOfTheFormat) {
  v1::AuditRecord record;
  record.set_sequence(1);
  record.set_method("m");
  // Field 1, varint 1; field 4, one byte "m".
  const std::string bytes =
      std::string(32, '\0') + std::string("\x08\x01\x22\x01m", 5);
  std::string hash(32, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(hash.data()),
                     reinterpret_cast<const unsigned char*>(bytes.data()),
                     bytes.size());
  record.set_hash("whatever");
  EXPECT_EQ(ChainHash("", record), hash);
}

TEST_F(AuditLogTest, WhenEachBitOfARecordFlips_ItIsFound) {
  Fill(3);
  ASSERT_OK_AND_ASSIGN(const store::Record row, store_.Get(AuditKey(2)));
  for (size_t bit = 0; bit < row.value.size() * 8; ++bit) {
    std::string value = row.value;
    value[bit / 8] = static_cast<char>(value[bit / 8] ^ (1 << bit % 8));
    ASSERT_OK(store_.Commit(store::Batch().Put(row.key, value)));
    EXPECT_THAT(log_.Verify(), StatusIs(kDataLoss, HasSubstr("record 2")))
        << "bit " << bit;
  }
  ASSERT_OK(store_.Commit(store::Batch().Put(row.key, row.value)));
  EXPECT_OK(log_.Verify());
}

TEST_F(AuditLogTest, WhenARecordIsRewrittenWithAGoodHash_TheNextTells) {
  Fill(4);
  std::string previous;
  ASSERT_OK_AND_ASSIGN(const store::Record first, store_.Get(AuditKey(1)));
  v1::AuditRecord record;
  ASSERT_TRUE(record.ParseFromString(first.value));
  Tamper(2, [&](v1::AuditRecord& changed) {
    changed.mutable_actor()->set_name("mallory");
    changed.set_hash(ChainHash(record.hash(), changed));
  });
  EXPECT_THAT(log_.Verify(), StatusIs(kDataLoss, HasSubstr("record 3")));
}

TEST_F(AuditLogTest, WhenRecordsAreRemovedOrAdded_TheFirstGapIsNamed) {
  Fill(5);
  ASSERT_OK_AND_ASSIGN(const store::Record third, store_.Get(AuditKey(3)));
  ASSERT_OK(store_.Commit(store::Batch().Delete(AuditKey(3))));
  const absl::Status status = log_.Verify().status();
  EXPECT_THAT(status, StatusIs(kDataLoss, HasSubstr("record 3 is missing")));
  EXPECT_THAT(DetailOf(status)->remedy(), Not(IsEmpty()));
  // Readers go on.
  EXPECT_THAT(Details({}), ElementsAre("1", "2", "4", "5"));
  ASSERT_OK(store_.Commit(store::Batch().Put(third.key, third.value)));
  ASSERT_OK(log_.Verify());

  // The end, and the head with it but for its hash.
  ASSERT_OK(store_.Commit(store::Batch().Delete(AuditKey(5))));
  EXPECT_THAT(log_.Verify(),
              StatusIs(kDataLoss, HasSubstr("record 5 is missing")));
  record::v1::AuditHead head;
  ASSERT_TRUE(head.ParseFromString(store_.Get(AuditHeadKey())->value));
  head.set_last(4);
  ASSERT_OK(store_.Commit(
      store::Batch().Put(AuditHeadKey(), head.SerializeAsString())));
  EXPECT_THAT(log_.Verify(), StatusIs(kDataLoss, HasSubstr("its head")));
  head.set_last(3);
  ASSERT_OK(store_.Commit(
      store::Batch().Put(AuditHeadKey(), head.SerializeAsString())));
  EXPECT_THAT(log_.Verify(), StatusIs(kDataLoss));
}

TEST_F(AuditLogTest, WhenItGrowsTooLong_TheOldestGoAndTheChainStays) {
  AuditLog log(store_, clock_, {.records = 10, .removed_at_once = 4});
  for (int i = 1; i <= 40; ++i) {
    ASSERT_OK(log.Append(Record(absl::StrCat(i))));
    ASSERT_OK_AND_ASSIGN(const auto verified, log.Verify());
    EXPECT_LE(verified.records(), 12);
  }
  int rotations = 0;
  ASSERT_OK(log.Read(
      {},
      [&](const v1::AuditRecord& record) {
        if (record.method() != kRotation) return true;
        EXPECT_THAT(record.detail(), HasSubstr("were removed"));
        EXPECT_EQ(record.actor().name(), "system");
        ++rotations;
        return true;
      },
      [] { return false; }));
  EXPECT_GT(rotations, 0);
  EXPECT_THAT(store_.Get(AuditKey(1)), StatusIs(absl::StatusCode::kNotFound));

  // Somebody removes more than the log did, and mends the head.
  record::v1::AuditHead head;
  ASSERT_TRUE(head.ParseFromString(store_.Get(AuditHeadKey())->value));
  v1::AuditRecord next;
  ASSERT_TRUE(
      next.ParseFromString(store_.Get(AuditKey(head.removed() + 1))->value));
  head.set_removed(head.removed() + 1);
  head.set_removed_hash(next.hash());
  ASSERT_OK(store_.Commit(store::Batch()
                              .Delete(AuditKey(head.removed()))
                              .Put(AuditHeadKey(), head.SerializeAsString())));
  EXPECT_THAT(AuditLog(store_, clock_).Verify(),
              StatusIs(kDataLoss, HasSubstr("by another hand")));
}

TEST_F(AuditLogTest, WhenAnOldRecordIsBroken_ItIsNotRemoved) {
  AuditLog log(store_, clock_, {.records = 4, .removed_at_once = 2});
  for (int i = 1; i <= 4; ++i) ASSERT_OK(log.Append(Record("x")));
  Tamper(1, [](v1::AuditRecord& record) { record.set_detail("other"); });
  for (int i = 1; i <= 10; ++i) ASSERT_OK(log.Append(Record("x")));
  EXPECT_OK(store_.Get(AuditKey(1)));
  EXPECT_THAT(log.Verify(), StatusIs(kDataLoss, HasSubstr("record 1")));
}

TEST_F(AuditLogTest, WhenAskedForSome_OnlyThoseAreRead) {
  Fill(4);
  v1::AuditRecord other = Record("other", "bob");
  other.add_objects()->set_kind("service");
  other.mutable_objects(0)->set_name("web");
  ASSERT_OK(log_.Append(other));
  v1::AuditRequest request;
  request.set_tail(2);
  EXPECT_THAT(Details(request), ElementsAre("4", "other"));
  request.set_tail(0);
  EXPECT_THAT(Details(request), IsEmpty());
  request.clear_tail();
  EXPECT_EQ(Details(request).size(), 5u);
  request.set_tail(2);
  request.set_actor("alice");
  EXPECT_THAT(Details(request), ElementsAre("3", "4"));
  request.Clear();
  *request.mutable_since() = ToTimestamp(clock_.Now() - absl::Seconds(1));
  EXPECT_THAT(Details(request), ElementsAre("3", "4", "other"));
  request.Clear();
  for (const char* object : {"web", "service/web"}) {
    request.set_object(object);
    EXPECT_THAT(Details(request), ElementsAre("other"));
  }
  request.set_kind("volume");
  EXPECT_THAT(Details(request), IsEmpty());
}

TEST_F(AuditLogTest, WhenManyWrite_EveryRecordIsThereOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        ASSERT_OK(log_.Append(Record(absl::StrCat(t, "-", i))));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log_.Verify()->records(), 400);
  const std::vector<std::string> details = Details({});
  EXPECT_EQ(std::set<std::string>(details.begin(), details.end()).size(), 400);
}

TEST_F(AuditLogTest, WhenAChangeIsCommitted_BothAreThereOrNone) {
  const store::Key key{"service", "default", "web"};
  ASSERT_OK(log_.Commit(store::Batch().Put(key, "a", 0), Record("create")));
  EXPECT_THAT(log_.Commit(store::Batch().Put(key, "b", 0), Record("again")),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Details({}), ElementsAre("create"));
  store_.SetFault([](const store::Batch& batch) {
    return batch.essential() ? absl::OkStatus()
                             : absl::ResourceExhaustedError("disk is full");
  });
  EXPECT_THAT(log_.Commit(store::Batch().Put(key, "c"), Record("full")),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(store_.Get(key)->value, "a");
  // What makes room goes on.
  EXPECT_OK(
      log_.Commit(store::Batch().Delete(key).Essential(), Record("delete")));
  EXPECT_OK(log_.Append(Record("stop"), true));
  EXPECT_THAT(log_.Append(Record("other")),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Details({}), ElementsAre("create", "delete", "stop"));
  EXPECT_OK(log_.Verify());
}

TEST_F(AuditLogTest, WhenACallIsNoCommit_ItIsKeptBeforeAndAfter) {
  const AccessRule& rule = *FindRule("/bulwark.v1.Images/Pull");
  CallRecord good(&log_, nullptr, rule, Record("reference nginx"));
  ASSERT_OK(good.Begin());
  EXPECT_THAT(Details({}), ElementsAre("begins: reference nginx"));
  good.End(absl::OkStatus());
  CallRecord bad(&log_, nullptr, rule, Record("reference none"));
  ASSERT_OK(bad.Begin());
  bad.End(absl::NotFoundError("no such image"));
  EXPECT_THAT(Details({}),
              ElementsAre("begins: reference nginx", "done: reference nginx",
                          "begins: reference none", "failed: reference none"));
  // On a full disk it does not begin.
  store_.SetFault([](const store::Batch&) {
    return absl::ResourceExhaustedError("disk is full");
  });
  CallRecord full(&log_, nullptr, rule, Record("x"));
  EXPECT_THAT(full.Begin(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       HasSubstr("write the call to the audit log")));
}

TEST_F(AuditLogTest, WhenCallsOnlyRead_OnlyRefusedOnesAreKept) {
  Refusals refusals(clock_);
  const AccessRule& rule = *FindRule("/bulwark.v1.Resources/Get");
  CallRecord read(&log_, &refusals, rule, Record("x"));
  ASSERT_OK(read.Begin());
  read.End(absl::NotFoundError("no"));
  EXPECT_THAT(Details({}), IsEmpty());
  const auto refuse = [&] {
    CallRecord refused(&log_, &refusals, rule, Record("x"));
    refused.End(absl::PermissionDeniedError("no"));
  };
  for (int i = 0; i < Refusals::kAMinute + 7; ++i) refuse();
  EXPECT_EQ(Details({}).size(), Refusals::kAMinute);
  clock_.Advance(absl::Minutes(1));
  refuse();
  EXPECT_EQ(Details({}).back(), "refused after 7 more that are not kept: x");
}

TEST(DescribeTest, WhenARequestHoldsSecrets_TheyAreLeftOut) {
  v1::Identity alice;
  alice.set_name("alice");
  v1::PullImageRequest pull;
  pull.set_reference("nginx");
  pull.mutable_credentials()->set_username("SECRET");
  pull.mutable_credentials()->set_password("SECRET");
  v1::LoginRequest login;
  login.set_registry("r.local");
  login.set_username("u");
  login.set_sealed_password("SECRET");
  v1::SetSecretRequest set;
  set.set_project("shop");
  set.set_name("key");
  set.set_sealed_value("SECRET");
  (*set.mutable_labels())["a"] = "SECRET";
  v1::ExecStart exec;
  exec.set_target("web");
  exec.add_command("sh");
  exec.add_command("-c");
  exec.add_env("TOKEN=SECRET");
  v1::ApplyRequest apply;
  v1::Object& secret = *apply.add_objects();
  secret.mutable_secret()->mutable_metadata()->set_name("key");
  secret.mutable_secret()->mutable_spec()->set_sealed_value("SECRET");
  for (const google::protobuf::Message* message :
       std::initializer_list<const google::protobuf::Message*>{
           &pull, &login, &set, &exec, &apply}) {
    const v1::AuditRecord record = Describe("m", alice, message);
    EXPECT_THAT(record.SerializeAsString(), Not(HasSubstr("SECRET")));
  }
  EXPECT_EQ(Describe("m", alice, &pull).detail(), "reference nginx");
  EXPECT_EQ(Describe("m", alice, &exec).detail(), "target web, command sh -c");
  EXPECT_EQ(Describe("m", alice, &set).project(), "shop");
  EXPECT_EQ(Describe("m", alice, &apply).objects(0).name(), "key");
}

TEST(DescribeTest, WhenAValueChanges_ItsObjectIsReferredTo) {
  v1::SetSecretRequest set;
  set.set_project("shop");
  set.set_name("key");
  set.set_mode(v1::SetSecretRequest::UPDATE);
  v1::AuditRecord record = Describe("m", v1::Identity(), &set);
  ASSERT_EQ(record.objects_size(), 1);
  EXPECT_EQ(record.objects(0).kind(), "secret");
  EXPECT_EQ(record.objects(0).name(), "key");
  EXPECT_EQ(record.objects(0).project(), "shop");
  EXPECT_EQ(record.detail(), "set");

  v1::RollbackValueRequest rollback;
  rollback.set_kind("config");
  rollback.set_name("app");
  rollback.set_to_version(3);
  record = Describe("m", v1::Identity(), &rollback);
  ASSERT_EQ(record.objects_size(), 1);
  EXPECT_EQ(record.objects(0).kind(), "config");
  EXPECT_EQ(record.objects(0).name(), "app");
  EXPECT_EQ(record.objects(0).project(), "default");
  EXPECT_EQ(record.project(), "default");
  EXPECT_EQ(record.detail(), "to version 3");
}

TEST(DescribeTest, WhenAnObjectIsNamed_ItIsReferredTo) {
  v1::ScaleRequest scale;
  scale.set_project("shop");
  scale.set_service("web");
  scale.set_replicas(3);
  const v1::AuditRecord record = Describe("m", v1::Identity(), &scale);
  ASSERT_EQ(record.objects_size(), 1);
  EXPECT_EQ(record.objects(0).kind(), "service");
  EXPECT_EQ(record.objects(0).name(), "web");
  EXPECT_EQ(record.objects(0).project(), "shop");
  EXPECT_EQ(record.detail(), "replicas 3");
  EXPECT_EQ(ShortText("a\x1b[31m\n"), "a [31m ");
  // What is no text would make the record unreadable.
  EXPECT_EQ(ShortText("a\xff\xc3"), "a??");
  v1::ExecStart exec;
  for (int i = 0; i < 300; ++i) exec.add_command("x\u00e9");
  v1::AuditRecord read;
  EXPECT_TRUE(read.ParseFromString(
      Describe("m", v1::Identity(), &exec).SerializeAsString()));
}

}  // namespace
}  // namespace bulwark::api
