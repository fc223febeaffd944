// What every MetadataStore promises. Instantiate StoreContract with a backend:
//
//   INSTANTIATE_TEST_SUITE_P(Mem, StoreContract, Values(MemBackend()));
#ifndef TESTS_CONTRACT_STORE_CONTRACT_H_
#define TESTS_CONTRACT_STORE_CONTRACT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "base/testing/fake_clock.h"
#include "base/testing/temp_dir.h"
#include "store/store.h"

namespace bulwark::store {

struct StoreBackend {
  std::string name;
  bool persistent = false;  // a second Open on the same directory continues
  std::function<std::unique_ptr<MetadataStore>(
      const std::string& directory, Clock& clock, LogRetention retention)>
      open;

  friend std::ostream& operator<<(std::ostream& out, const StoreBackend& b) {
    return out << b.name;
  }
};

class StoreContract : public ::testing::TestWithParam<StoreBackend> {
 protected:
  StoreContract() { Open(); }

  // Closes the store, if it is open, and opens it again.
  void Open() {
    store_ = nullptr;
    store_ = GetParam().open(dir_ / "store", clock_, retention_);
    ASSERT_NE(store_, nullptr);
  }

  // Commits one put and returns its revision; 0 and a failure on error.
  uint64_t Put(const Key& key, const std::string& value,
               Expected expected = std::nullopt);
  // What Next() returns at once.
  std::vector<Change> Drain(Watcher& watcher);

  LogRetention retention_{absl::Hours(1), 10};
  testing::FakeClock clock_;
  testing::TempDir dir_;
  std::unique_ptr<MetadataStore> store_;
};

}  // namespace bulwark::store

#endif  // TESTS_CONTRACT_STORE_CONTRACT_H_
