#include "tests/e2e/stored.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/clock.h"
#include "base/entropy.h"

namespace bulwark::e2e {

std::unique_ptr<store::RocksStore> OpenStore(const World& world) {
  static RealClock clock;
  static RealEntropy entropy;
  store::RocksOptions options;
  options.path = world.Path("s/store");
  auto opened = store::RocksStore::Open(std::move(options), clock, entropy);
  EXPECT_TRUE(opened.ok()) << opened.status();
  return opened.ok() ? *std::move(opened) : nullptr;
}

std::string Replace(const World& world, const store::Key& key,
                    const std::string& value) {
  const auto rows = OpenStore(world);
  if (rows == nullptr) return "";
  const auto before = rows->Get(key);
  EXPECT_TRUE(before.ok()) << before.status();
  EXPECT_TRUE(rows->Commit(store::Batch().Put(key, value)).ok());
  return before.ok() ? before->value : "";
}

}  // namespace bulwark::e2e
