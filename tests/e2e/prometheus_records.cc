#include "tests/e2e/prometheus_records.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "store/objects.h"

namespace bulwark::e2e {
namespace {

google::protobuf::Timestamp Ago(absl::Duration d) {
  google::protobuf::Timestamp stamp;
  stamp.set_seconds(absl::ToUnixSeconds(WallNow() - d));
  return stamp;
}

}  // namespace

v1::Object ChangedRecords::Get(const store::Key& key) const {
  const auto rows = OpenStore(world_);
  if (rows == nullptr) return {};
  const auto object = store::GetObject(*rows, key);
  EXPECT_TRUE(object.ok()) << object.status();
  return object.value_or(v1::Object());
}

void ChangedRecords::Put(const store::Key& key, const v1::Object& object) {
  before_.try_emplace(key.ToString(), key,
                      Replace(world_, key, store::Encode(object)));
}

void ChangedRecords::Spoil(const store::Key& key) {
  before_.try_emplace(key.ToString(), key,
                      Replace(world_, key, "\xff\xff no message"));
}

void ChangedRecords::AgeBackup(const std::string& volume, absl::Duration age) {
  const store::Key key = store::ObjectKey("volume", "default", volume);
  v1::Object object = Get(key);
  int changed = 0;
  for (v1::Condition& c :
       *object.mutable_volume()->mutable_status()->mutable_conditions()) {
    if (c.type() != "BackedUp") continue;
    *c.mutable_last_transition_time() = Ago(age);
    ++changed;
  }
  ASSERT_EQ(changed, 1) << object.ShortDebugString();
  Put(key, object);
}

void ChangedRecords::LoseTimeZone(const std::string& cron_job,
                                  absl::Duration late) {
  const store::Key key = store::ObjectKey("cron-job", "default", cron_job);
  v1::Object object = Get(key);
  v1::CronJob& cron = *object.mutable_cron_job();
  cron.mutable_spec()->set_time_zone("Nowhere/Nothing");
  *cron.mutable_status()->mutable_next_schedule_time() = Ago(late);
  Put(key, object);
}

void ChangedRecords::HideKey() {
  const std::string key = world_.Path("s.key");
  key_hidden_ = rename(key.c_str(), (key + ".hidden").c_str()) == 0;
  EXPECT_TRUE(key_hidden_) << key;
}

void ChangedRecords::PutBack() {
  const std::string key = world_.Path("s.key");
  if (key_hidden_) {
    EXPECT_EQ(rename((key + ".hidden").c_str(), key.c_str()), 0);
  }
  key_hidden_ = false;
  for (const auto& [name, record] : before_) {
    Replace(world_, record.first, record.second);
  }
  before_.clear();
}

}  // namespace bulwark::e2e
