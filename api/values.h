// Versions of secrets and configs: pure decisions, but for the vault.
#ifndef API_VALUES_H_
#define API_VALUES_H_

#include <cstdint>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/bulwark/v1/objects.pb.h"
#include "secrets/secrets.h"
#include "store/batch.h"
#include "store/key.h"

namespace bulwark::api {

// Versions that are kept beside those that a revision pins.
inline constexpr int kKeptVersions = 10;

// What kept revisions read.
struct PinnedInputs {
  // (kind, project, name, version)
  std::set<std::tuple<std::string, std::string, std::string, int64_t>> versions;
  // A revision cannot be read: what it pins is not known.
  bool incomplete = false;
};

bool IsValueKind(const v1::Object& object);  // a secret or a config

// What a value is bound to in its encryption.
secrets::Binding BindingOf(const v1::Object& secret, int64_t version);

// The versions of a secret or config, oldest first, and the newest one's
// number.
const google::protobuf::RepeatedPtrField<v1::ValueVersion>& VersionsOf(
    const v1::Object& object);
int64_t CurrentVersion(const v1::Object& object);

// The highest number that a version of it has had, and the same made known to
// an object that is put in its place: no number is given twice.
int64_t HighestVersion(const v1::Object& object);
void KeepHighestVersion(int64_t highest, v1::Object& object);

// A new value of an object.
struct NewValue {
  std::string digest;
  int64_t size_bytes = 0;
  int64_t rolled_back_to = 0;
  secrets::ValueRows rows;  // of a secret
  std::string content;      // of a config
};

// Makes `value` the newest version of `object` (its stored status, or an empty
// one): the status gets it, `batch` its rows, and what nobody needs any more
// goes from both; nothing goes while `pinned` is incomplete.
void AddVersion(v1::Object& object, const NewValue& value,
                const v1::Identity& actor, absl::Time now,
                const PinnedInputs& pinned, store::Batch& batch);

// Adds the removal of every row of `object`'s values.
void RemoveVersions(const v1::Object& object, store::Batch& batch);

}  // namespace bulwark::api

#endif  // API_VALUES_H_
