// What one commit is to do.
#ifndef STORE_BATCH_H_
#define STORE_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/key.h"

namespace bulwark::store {

// The largest value of a record, in bytes.
inline constexpr size_t kMaxValue = size_t{4} << 20;

// The revision that a record must have for a commit to happen: none = any
// state, 0 = the key must not exist.
using Expected = std::optional<uint64_t>;

// A set of writes that happen together, each key at most once. Fluent:
//
//   store.Commit(Batch().Put(key, bytes, record.revision).Delete(old));
//
// Thread-compatible.
class Batch {
 public:
  struct Item {
    enum class Op { kPut, kDelete, kRequire };
    Op op;
    Key key;
    std::string value;  // kPut
    Expected expected;
  };

  // Writes `value` under `key`.
  Batch& Put(Key key, std::string value, Expected expected = std::nullopt) {
    items_.push_back(
        {Item::Op::kPut, std::move(key), std::move(value), expected});
    return *this;
  }

  // Removes `key`. Without `expected`, a missing key is no error.
  Batch& Delete(Key key, Expected expected = std::nullopt) {
    items_.push_back({Item::Op::kDelete, std::move(key), {}, expected});
    return *this;
  }

  // Writes nothing, but the commit happens only if `key` has revision
  // `expected`: ties a decision to what it was based on.
  Batch& Require(Key key, uint64_t expected) {
    items_.push_back({Item::Op::kRequire, std::move(key), {}, expected});
    return *this;
  }

  // For status that can be rebuilt by looking: the commit stays atomic and in
  // order, but does not wait for the disk.
  Batch& NotDurable() {
    durable_ = false;
    return *this;
  }

  // For what may be acted on before it is known to last, since nothing that
  // outlives the machine is done for it before AwaitDurable(): readers and
  // watchers see it while the disk still works. Commit() waits all the same.
  Batch& SeenEarly() {
    seen_early_ = true;
    return *this;
  }

  // The same for what another such batch follows in a moment, made from it: the
  // disk is asked once for both. Commit() waits for the other, a little.
  Batch& SeenEarlyAndFollowed() {
    followed_ = true;
    return SeenEarly();
  }

  // For what keeps running things running, stops them or makes room: accepted
  // on a disk that is too full for anything else.
  Batch& Essential() {
    essential_ = true;
    return *this;
  }

  bool durable() const { return durable_; }
  bool seen_early() const { return durable_ && seen_early_; }
  bool followed() const { return seen_early() && followed_; }
  bool essential() const { return essential_; }
  bool empty() const { return items_.empty(); }
  const std::vector<Item>& items() const { return items_; }

 private:
  std::vector<Item> items_;
  bool durable_ = true;
  bool seen_early_ = false;
  bool followed_ = false;
  bool essential_ = false;
};

}  // namespace bulwark::store

#endif  // STORE_BATCH_H_
