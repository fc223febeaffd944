// What only a store's own records can bring about in the time of a test.
#ifndef TESTS_E2E_PROMETHEUS_RECORDS_H_
#define TESTS_E2E_PROMETHEUS_RECORDS_H_

#include <map>
#include <string>

#include "proto/bulwark/v1/objects.pb.h"
#include "tests/e2e/stored.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Changes what a daemon that does not run has stored, and puts it back.
class ChangedRecords {
 public:
  explicit ChangedRecords(const World& world) : world_(world) {}
  ChangedRecords(const ChangedRecords&) = delete;
  ChangedRecords& operator=(const ChangedRecords&) = delete;

  // Bytes that mean nothing.
  void Spoil(const store::Key& key);
  // The last backup was so long ago.
  void AgeBackup(const std::string& volume, absl::Duration age);
  // The cron job was due so long ago, and its time zone is none of this host.
  void LoseTimeZone(const std::string& cron_job, absl::Duration late);
  // The secrets' key is not where it belongs.
  void HideKey();
  // Everything as it was.
  void PutBack();

 private:
  v1::Object Get(const store::Key& key) const;
  void Put(const store::Key& key, const v1::Object& object);

  const World& world_;
  std::map<std::string, std::pair<store::Key, std::string>> before_;
  bool key_hidden_ = false;
};

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_PROMETHEUS_RECORDS_H_
