// The store's contract over its implementations.
#include "tests/contract/store_contract.h"

#include "base/entropy.h"
#include "base/testing/status_matchers.h"
#include "store/mem/mem_store.h"
#include "store/rocks/rocks_store.h"

namespace bulwark::store {
namespace {

StoreBackend Mem() {
  return {.name = "mem",
          .persistent = false,
          .open = [](const std::string&, Clock& clock, LogRetention keep) {
            return std::make_unique<MemStore>(clock, keep);
          }};
}

StoreBackend Rocks() {
  return {.name = "rocks",
          .persistent = true,
          .open = [](const std::string& directory, Clock& clock,
                     LogRetention keep) -> std::unique_ptr<MetadataStore> {
            RealEntropy entropy;
            auto store = OpenRocksStore({.path = directory,
                                         .retention = keep,
                                         .reserve_bytes = 0,
                                         .checkpoints_kept = 1},
                                        clock, entropy);
            EXPECT_OK(store);
            return store.ok() ? *std::move(store) : nullptr;
          }};
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract,
                         ::testing::Values(Mem(), Rocks()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace bulwark::store
