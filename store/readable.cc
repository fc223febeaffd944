#include "store/readable.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "store/objects.h"

namespace bulwark::store {

absl::StatusOr<ReadableListing> ListReadable(MetadataStore& store,
                                             const Filter& filter) {
  ASSIGN_OR_RETURN(Listing listing, store.List(filter));
  ReadableListing result;
  result.revision = listing.revision;
  result.objects.reserve(listing.records.size());
  for (Record& record : listing.records) {
    absl::StatusOr<v1::Object> object = Decode(record);
    if (object.ok()) {
      result.objects.push_back(*std::move(object));
    } else {
      result.unreadable.push_back({std::move(record), object.status()});
    }
  }
  return result;
}

absl::StatusOr<ReadableListing> ListReadable(
    MetadataStore& store, absl::string_view kind,
    std::optional<std::string> project) {
  Filter filter;
  filter.kind = std::string(kind);
  filter.project = std::move(project);
  return ListReadable(store, filter);
}

v1::Object Nameplate(const Key& key) {
  std::optional<v1::Object> object = NewObject(key.kind);
  CHECK(object.has_value());
  v1::Metadata& metadata = MutableMetadata(*object);
  metadata.set_project(key.project);
  metadata.set_name(key.name);
  return *std::move(object);
}

}  // namespace bulwark::store
