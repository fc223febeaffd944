// What is declared, decoded once.
#ifndef API_DECLARED_H_
#define API_DECLARED_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "api/plan.h"
#include "store/catch_up.h"
#include "store/store.h"

namespace bulwark::api {

// Every change of what is declared is planned from all that is. This holds it
// between two of them, so that a change costs what changes, not what there is.
// Thread-compatible.
class Declared {
 public:
  // The store must outlive this object.
  explicit Declared(store::MetadataStore& store);

  // As of now: see store::CatchUp::Run(). Valid until the next call.
  absl::StatusOr<const StoredObjects*> Read();

 private:
  void Reset();
  void Put(const store::Key& key, absl::string_view value, uint64_t revision);
  void Remove(const store::Key& key);

  store::CatchUp catch_up_;
  StoredObjects stored_;
  // The inputs of each revision that has some, and the revisions that cannot
  // be read: stored_.pinned is their sum.
  std::map<store::Key, std::vector<v1::InputVersion>> inputs_;
  std::set<store::Key> unreadable_revisions_;
  bool pins_changed_ = true;
};

}  // namespace bulwark::api

#endif  // API_DECLARED_H_
