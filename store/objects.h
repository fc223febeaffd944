// API objects as records of the store.
//
// An object lies under "<kind>/<project>/<name>" as a serialized
// bulwark.v1.Object, without its resource_version: that is the revision of the
// record. Kinds are the field names of Object in kebab case ("service",
// "cron-job").
#ifndef STORE_OBJECTS_H_
#define STORE_OBJECTS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "store/store.h"

namespace bulwark::store {

// "service", …; empty if no kind is set.
std::string KindOf(const v1::Object& object);

// Every kind, in the order of Object's fields.
std::vector<std::string> AllKinds();

// An Object with an empty message of `kind`; none for an unknown kind.
std::optional<v1::Object> NewObject(absl::string_view kind);

// The metadata of the message inside. A kind must be set.
const v1::Metadata& MetadataOf(const v1::Object& object);
v1::Metadata& MutableMetadata(v1::Object& object);

// An empty project in the metadata means "default".
Key KeyOf(const v1::Object& object);
Key ObjectKey(absl::string_view kind, absl::string_view project,
              absl::string_view name);

std::string Encode(const v1::Object& object);

// DATA_LOSS, naming the key, if the value is not an Object of the key's kind.
// Sets metadata.resource_version.
absl::StatusOr<v1::Object> Decode(const Record& record);
absl::StatusOr<v1::Object> Decode(const Key& key, absl::string_view value,
                                  uint64_t revision);

// The record's revision as Batch wants it: of metadata.resource_version, 0 (the
// key must not exist) if that is empty.
uint64_t RevisionOf(const v1::Metadata& metadata);
uint64_t RevisionOf(const v1::Object& object);

// One object. NOT_FOUND reads `get service shop/web: not found`.
absl::StatusOr<v1::Object> GetObject(MetadataStore& store, const Key& key);

struct ObjectListing {
  std::vector<v1::Object> objects;
  uint64_t revision = 0;
};

// All objects of a kind, of one project or of all.
absl::StatusOr<ObjectListing> ListObjects(
    MetadataStore& store, absl::string_view kind,
    std::optional<std::string> project = std::nullopt);

}  // namespace bulwark::store

#endif  // STORE_OBJECTS_H_
