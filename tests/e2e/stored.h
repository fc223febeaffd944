// The records of a daemon that does not run, as they are in its store.
#ifndef TESTS_E2E_STORED_H_
#define TESTS_E2E_STORED_H_

#include <memory>
#include <string>

#include "store/rocks/rocks_store.h"
#include "tests/e2e/world.h"

namespace bulwark::e2e {

// Expects that it can be opened; none if it cannot.
std::unique_ptr<store::RocksStore> OpenStore(const World& world);

// Expects that there is such a record, and puts `value` in its place. Returns
// what was there.
std::string Replace(const World& world, const store::Key& key,
                    const std::string& value);

}  // namespace bulwark::e2e

#endif  // TESTS_E2E_STORED_H_
