// Listings for those who go on without the records that cannot be read.
#ifndef STORE_READABLE_H_
#define STORE_READABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/store.h"

namespace bulwark::store {

// A record that Decode() refuses.
struct Unreadable {
  Record record;
  absl::Status why;  // DATA_LOSS, naming the key
};

struct ReadableListing {
  std::vector<v1::Object> objects;
  std::vector<Unreadable> unreadable;
  uint64_t revision = 0;
};

// As ListObjects(), but one bad record does not take the others with it.
// ListObjects() is for whoever would do harm if a record were missing: who
// removes what no record accounts for, or counts.
absl::StatusOr<ReadableListing> ListReadable(MetadataStore& store,
                                             const Filter& filter);
absl::StatusOr<ReadableListing> ListReadable(
    MetadataStore& store, absl::string_view kind,
    std::optional<std::string> project = std::nullopt);

// What is known of a record without reading it: an object of its kind with
// nothing but project and name. The kind must be one of objects.
v1::Object Nameplate(const Key& key);

}  // namespace bulwark::store

#endif  // STORE_READABLE_H_
